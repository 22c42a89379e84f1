package ann

import (
	"fmt"
	"unsafe"
)

// Plan says how a search goes about finding the nearest.
type Plan uint8

const (
	// Walk goes along links, through nodes that a filter does not allow too, and keeps those that it allows.
	Walk Plan = iota
	// WalkAllowed goes through allowed nodes only; where a neighbour is not allowed, its neighbours stand in for it.
	WalkAllowed
	// Scan compares every allowed vector.
	Scan
)

func (p Plan) String() string {
	switch p {
	case Walk:
		return "walk"
	case WalkAllowed:
		return "walk_allowed"
	case Scan:
		return "scan"
	}
	return fmt.Sprintf("Plan(%d)", uint8(p))
}

// What plans cost, in comparisons of vectors. BenchmarkPlans has what they take.
const (
	// visitsPerEf is how many vectors a walk without a filter compares for each of ef: 12 on product texts, 22 on clusters
	// that overlap.
	visitsPerEf = 12
	// allowedVisits is how many times as many a walk through allowed nodes takes: they are fewer, so it goes farther.
	allowedVisits = 2
	// askCost is that of asking a filter about a node.
	askCost = 0.07
)

// choosePlan takes the cheapest plan for a filter that allows so many of n. A walk that gathers ef allowed nodes compares the
// more the fewer are allowed. One through allowed nodes compares about as many whatever is allowed, but asks about more and
// more nodes until it has found as many neighbours as a node has, or has asked about all neighbours of neighbours.
func choosePlan(n, allowed, ef, links int) Plan {
	if allowed == n && n > 0 {
		if float64(n) <= visitsPerEf*float64(ef) {
			return Scan
		}
		return Walk
	}
	share := float64(max(allowed, 1)) / float64(max(n, 1))
	open := visitsPerEf * float64(ef)
	scan := float64(allowed)
	walk := open / share
	within := allowedVisits*open + askCost*float64(ef)*min(float64(links)/share, float64(links*links))
	switch {
	case scan <= min(walk, within):
		return Scan
	case within < walk:
		return WalkAllowed
	}
	return Walk
}

// allowedAround appends to sc.slots the unseen allowed nodes around one: its neighbours, and the neighbours of those that are
// not allowed, until there are as many as a node has links. It is the search of ACORN-1 (Patel, Kraft, Guestrin and Zaharia,
// "ACORN: Performant and Predictable Search over Vector Embeddings and Structured Data", SIGMOD 2024). Where it finds none,
// the neighbours that are not allowed are gone through themselves.
func (g *Graph) allowedAround(sc *scratch, node uint32, allow Set) {
	before := len(sc.slots)
	enough := before + g.maxLinks(0)
	sc.behind = sc.behind[:0]
	for _, l := range g.links(node, 0) {
		slot := l &^ treeBit
		if !sc.see(slot) {
			continue
		}
		if g.allowedNode(slot, allow) {
			sc.slots = append(sc.slots, slot)
		} else {
			sc.behind = append(sc.behind, slot)
			prefetch(unsafe.Pointer(&g.base.at(slot)[0]))
		}
	}
	for _, b := range sc.behind {
		if len(sc.slots) >= enough {
			return
		}
		for _, l := range g.links(b, 0) {
			if slot := l &^ treeBit; !sc.saw(slot) && g.allowedNode(slot, allow) {
				sc.see(slot)
				sc.slots = append(sc.slots, slot)
			}
		}
	}
	if len(sc.slots) == before {
		sc.slots = append(sc.slots, sc.behind...)
	}
}

// scanBySlot: a filter that allows more than one id in so many is scanned slot by slot, in memory order, asking it
// about each; a smaller one is enumerated and looked up. A look-up costs about as much as four questions.
const scanBySlot = 4

// scan compares every allowed vector.
func (g *Graph) scan(sc *scratch, allow Set, allowed int, best *nearest) {
	if allowed == 0 {
		return
	}
	if allow != nil && allowed < g.slotOf.len()/scanBySlot {
		ids := make([]uint64, 0, scanTogether)
		compare := func() {
			sc.slots = g.slotOf.getAll(g.ids, ids, sc.slots[:0])
			sc.visited += len(sc.slots)
			for i, d := range g.vecs.distances(&sc.compare, sc.query, sc.slots) {
				if best.wants(d) {
					best.offer(g.ids[sc.slots[i]], d)
				}
			}
			ids = ids[:0]
		}
		for id := range allow.All() {
			if ids = append(ids, id); len(ids) == scanTogether {
				compare()
			}
		}
		compare()
		return
	}
	sc.slots = sc.slots[:0]
	compare := func() {
		sc.visited += len(sc.slots)
		for i, d := range g.vecs.distances(&sc.compare, sc.query, sc.slots) {
			if best.wants(d) {
				g.offerAll(best, candidate{d, sc.slots[i]}, allow)
			}
		}
		sc.slots = sc.slots[:0]
	}
	for slot, level := range g.levels {
		if level < 0 || allow != nil && !g.allowedNode(uint32(slot), allow) {
			continue
		}
		if sc.slots = append(sc.slots, uint32(slot)); len(sc.slots) == scanTogether {
			compare()
		}
	}
	compare()
}

// scanTogether is how many vectors a scan compares at a time.
const scanTogether = 64
