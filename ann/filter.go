package ann

import (
	"fmt"
	"math"
	"slices"
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

// What plans cost, in vectors that a walk compares. BenchmarkPlans has what they take.
const (
	// visitsPerEf is how many vectors a walk without a filter compares for each of ef: 5 to 12 on product texts, 10 on clusters, 22
	// on clusters that overlap.
	visitsPerEf = 12
	// allowedVisits is how many times as long a walk through allowed nodes takes, without what it begins with.
	allowedVisits = 2
	// scanCost is that of a vector that a scan compares, because it knows long before which ones it will want.
	scanCost = 0.3
	// bitCost is that of making an allowed id a bit.
	bitCost = 0.05
	// leastOpen is how many of a node's links must lead to allowed nodes for a walk through those to find its way: of 200,000
	// vectors drawn around 2,000 centres, one in ten allowed at random, it found 0.997 of the 10 nearest, with one in twenty 0.97.
	leastOpen = 2.5
)

// choosePlan takes the cheapest plan for a filter that allows so many of n. A walk that gathers ef allowed nodes compares the
// more the fewer are allowed. One through allowed nodes compares about as many whatever is allowed, as long as enough of the
// links of a node lead to some.
func choosePlan(n, allowed, ef, links int) Plan {
	open := visitsPerEf * float64(ef)
	if allowed == n && n > 0 {
		if float64(n) <= open {
			return Scan
		}
		return Walk
	}
	share := float64(max(allowed, 1)) / float64(max(n, 1))
	scan := scanCost * float64(allowed)
	walk := open / share
	within := allowedVisits*open + scanCost*float64(seeds(allowed, ef)) + bitCost*float64(allowed)
	if share*float64(links) < leastOpen {
		within = math.Inf(1)
	}
	switch {
	case scan <= min(walk, within):
		return Scan
	case within < walk:
		return WalkAllowed
	}
	return Walk
}

// scan compares every allowed vector.
func (g *Graph) scan(sc *scratch, allow Set, best *nearest) {
	if allow != nil {
		g.allowedSlots(sc, allow, func() {
			sc.visited += len(sc.slots)
			for some := range slices.Chunk(sc.slots, scanTogether) {
				for i, d := range g.vecs.distances(&sc.compare, sc.query, some) {
					if best.wants(d) {
						best.offer(g.ids[some[i]], d)
					}
				}
			}
		})
		return
	}
	sc.slots = sc.slots[:0]
	compare := func() {
		sc.visited += len(sc.slots)
		for i, d := range g.vecs.distances(&sc.compare, sc.query, sc.slots) {
			if best.wants(d) {
				g.offerAll(best, candidate{d, sc.slots[i]}, nil)
			}
		}
		sc.slots = sc.slots[:0]
	}
	for slot, level := range g.levels {
		if level < 0 {
			continue
		}
		if sc.slots = append(sc.slots, uint32(slot)); len(sc.slots) == scanTogether {
			compare()
		}
	}
	compare()
}

const (
	// scanTogether is how many vectors a scan compares at a time: their codes fit the processor's first cache.
	scanTogether = 64
	// askTogether is how many ids are taken from a filter at a time that does not say.
	askTogether = 256
)

// allowedSlots leaves in sc.slots the slots of allowed ids, some at a time, and calls do each time.
//
// Ids that came one after another lie in slots one after another. So a slot is guessed by how far the last one that was looked
// up lay from its id, which costs a fraction of a look-up.
func (g *Graph) allowedSlots(sc *scratch, allow Set, do func()) {
	slots := uint64(len(g.ids))
	ahead := uint64(0) // how far, modulo 2^64
	locate := func(ids []uint64) {
		sc.slots, sc.strangers = sc.slots[:0], sc.strangers[:0]
		for _, id := range ids {
			if slot := id + ahead; slot < slots && g.ids[slot] == id && g.levels[slot] != freeSlot {
				sc.slots = append(sc.slots, uint32(slot))
			} else {
				sc.strangers = append(sc.strangers, id)
			}
		}
		if len(sc.strangers) > 0 {
			guessed := len(sc.slots)
			sc.slots = g.slotOf.getAll(g.ids, sc.strangers, sc.slots)
			if len(sc.slots) > guessed {
				last := sc.slots[len(sc.slots)-1]
				ahead = uint64(last) - g.ids[last]
			}
		}
		do()
	}
	if batches, ok := allow.(BatchSet); ok {
		for ids := range batches.Batches() {
			locate(ids)
		}
		return
	}
	sc.ids = sc.ids[:0]
	for id := range allow.All() {
		if sc.ids = append(sc.ids, id); len(sc.ids) == askTogether {
			locate(sc.ids)
			sc.ids = sc.ids[:0]
		}
	}
	locate(sc.ids)
}
