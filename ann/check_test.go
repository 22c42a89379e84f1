package ann

import (
	"math"
	"slices"
	"testing"
)

func TestCheckSeesEachKindOfDamage(t *testing.T) {
	damage := func(what string, do func(g *Graph)) {
		t.Helper()
		g := smallGraph(t, 200)
		do(g)
		if g.Check() == nil {
			t.Errorf("%s: Check saw nothing", what)
		}
	}
	node := func(g *Graph) uint32 { // one that has links, twins or not
		for slot, level := range g.levels {
			if level == 0 {
				return uint32(slot)
			}
		}
		t.Fatal("no node")
		return 0
	}
	damage("a link from one end only", func(g *Graph) {
		n := node(g)
		g.dropHalf(0, g.links(n, 0)[0]&^treeBit, n)
	})
	damage("a node cut off", func(g *Graph) {
		n := node(g)
		for len(g.links(n, 0)) > 0 {
			g.unlink(0, n, g.links(n, 0)[0]&^treeBit)
		}
	})
	damage("a tree link that only one end knows", func(g *Graph) { g.links(node(g), 0)[0] ^= treeBit })
	damage("a link to oneself", func(g *Graph) { n := node(g); g.links(n, 0)[0] = n })
	damage("a link to a free slot", func(g *Graph) { g.links(node(g), 0)[0] = g.firstFree })
	damage("a link out of range", func(g *Graph) { g.links(node(g), 0)[0] = noSlot - 1 })
	damage("too many links", func(g *Graph) { g.block(node(g), 0)[0] = uint32(2*g.opt.M + 1) })
	damage("an entry point below the top", func(g *Graph) { g.entry = node(g) })
	damage("a top that nobody reaches", func(g *Graph) { g.top++ })
	damage("an id at another's slot", func(g *Graph) { g.ids[node(g)]++ })
	damage("an id too many", func(g *Graph) { g.slotOf.used++ })
	damage("a free slot forgotten", func(g *Graph) { g.firstFree = g.aux[g.firstFree]; g.free-- })
	damage("a taken slot given away", func(g *Graph) { g.aux[node(g)] = g.firstFree; g.firstFree = node(g); g.free++ })
	damage("a twin that is not in its list", func(g *Graph) {
		for slot, next := range g.next {
			if g.levels[slot] >= 0 && next != noSlot {
				g.next[slot] = noSlot
				return
			}
		}
		t.Fatal("no twins")
	})
	damage("a twin with another vector", func(g *Graph) {
		for slot, level := range g.levels {
			if level == twinSlot {
				g.vecs.copy(uint32(slot), g.entry)
				return
			}
		}
		t.Fatal("no twins")
	})
	damage("a vector that is no number", func(g *Graph) { g.vecs.floats.at(node(g))[0] = float32(math.NaN()) })
	damage("a code of another vector", func(g *Graph) { g.coarse.copy(node(g), g.entry) })
	damage("a vector of another length", func(g *Graph) { g.vecs.floats.at(node(g))[0] += 2 })
}

// A graph that is read is not walked, so that what its links lead to is proved by other means.
func TestAStoredLinkLeadsToAnotherNode(t *testing.T) {
	slotOf := func(g *Graph, level int8) uint32 {
		slot := slices.Index(g.levels, level)
		if slot < 0 {
			t.Fatalf("no slot of level %d", level)
		}
		return uint32(slot)
	}
	for what, to := range map[string]func(g *Graph) uint32{
		"a free slot":  func(g *Graph) uint32 { return slotOf(g, freeSlot) },
		"a twin":       func(g *Graph) uint32 { return slotOf(g, twinSlot) },
		"the end":      func(g *Graph) uint32 { return uint32(len(g.levels)) },
		"itself":       func(g *Graph) uint32 { return slotOf(g, 0) },
		"another node": func(g *Graph) uint32 { return slotOf(g, 1) },
	} {
		g := smallGraph(t, 200)
		if err := g.checkStored(); err != nil {
			t.Fatal(err)
		}
		links := g.links(slotOf(g, 0), 0)
		links[0] = to(g) | links[0]&treeBit
		if g.checkStored() == nil {
			t.Errorf("a link to %s was not seen", what)
		}
	}
}
