package ann

import "slices"

// bereft are nodes that have lost a common neighbour on a layer.
type bereft struct {
	layer int
	nodes []uint32
}

// mendedTogether is how many losses are mended side by side. They do not see one another's new links, of which there are a few
// in a graph of many more nodes.
const mendedTogether = 256

// DeleteAll is Delete for many ids while nobody searches: searches wait until it ends. All go before any of those who have lost
// a neighbour gets a new one; that is most of the work, and is worked out side by side. What becomes of the graph does not
// depend on the number of processors.
func (g *Graph) DeleteAll(ids []uint64) {
	g.writer.Lock()
	defer g.writer.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	var losses []bereft
	for _, id := range ids {
		slot, ok := g.slotOf.get(g.ids, id)
		if !ok {
			continue
		}
		if g.levels[slot] == twinSlot || g.next[slot] != noSlot {
			g.remove(slot) // the node stays
			continue
		}
		g.slotOf.remove(g.ids, id)
		if slot == g.entry {
			g.entry, g.top = g.successor(slot)
		}
		for layer := int(g.levels[slot]); layer >= 0; layer-- {
			losses = append(losses, bereft{layer, g.removeLinks(layer, slot)})
		}
		g.freeSlotOf(slot)
	}
	for some := range slices.Chunk(losses, mendedTogether) {
		plans := make([][]newLink, len(some))
		sideBySide(len(some), func(i int) {
			sc := g.takeScratch()
			defer g.scratch.Put(sc)
			nodes := slices.DeleteFunc(some[i].nodes, func(slot uint32) bool { return g.levels[slot] == freeSlot }) // gone too
			plans[i] = g.planMend(sc, some[i].layer, nodes)
		})
		for i, links := range plans {
			layer := some[i].layer
			for _, l := range links { // another may have made it, or taken the room
				if !g.full(layer, l.a) && !g.full(layer, l.b) && !g.linked(layer, l.a, l.b) {
					g.link(layer, l.a, l.b, 0)
				}
			}
		}
	}
}
