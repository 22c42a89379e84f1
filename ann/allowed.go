package ann

import (
	"slices"
	"unsafe"
)

// The plan WalkAllowed is the search of ACORN-1 (Patel, Kraft, Guestrin and Zaharia, "ACORN: Performant and Predictable Search
// over Vector Embeddings and Structured Data", SIGMOD 2024): it goes through allowed nodes only, and where too few of a node's
// neighbours are allowed, the neighbours of the others stand in for them. It serves filters that leave out the query's
// surroundings. It looks at many nodes for each that it goes on from, and each question to the filter would wait for memory
// several times. So the filter is made a bit for each node first.

// seeds is how many of the allowed vectors are compared before the walk begins, from all over them, because the nearest may not
// be linked with one another: of 200,000 vectors drawn around 2,000 centres, a tenth allowed in whole neighbourhoods, ef 192, a
// walk found 0.907 of the 10 nearest with 1 for each of ef, 0.975 with 32. Where walks compare few vectors, fewer will do: of
// 200,000 product texts searches found 0.975 with 2 for each vector that a walk would compare, 0.982 with 3, in a tenth more time.
func (f *filtered) seeds() int { return max(1, int(2*f.visits*float64(f.ef))) }

// keptWithin is how many candidates the walk keeps. Of those product texts walks found 0.982 with two thirds of ef, 0.975 with
// a half, in nine tenths of the time.
func (f *filtered) keptWithin() int { return max(f.k, 2*f.ef/3) }

// enough is how many allowed nodes are met around each that it goes on from, before the neighbours of others are left alone.
// With 32 walks found 0.984 of those product texts where they found 0.975 with 16, in 1.15 times the time; of the drawn vectors,
// of which walks compare three times as many, 0.923 and 0.892.
func (f *filtered) enough(links int) int { return min(links, int(3*f.visits)) }

// markAllowed sets in sc.allowed the bits of nodes with an allowed id, and appends the seeds, compared, to sc.starts.
//
// Like allowedSlots it guesses slots. It is written out because of a tenth of 200,000 ids it takes a sixth of the search.
func (g *Graph) markAllowed(sc *scratch, f *filtered) {
	if words := (len(g.ids) + 63) / 64; len(sc.allowed) < words {
		sc.allowed = make([]uint64, words+words/4)
	} else {
		clear(sc.allowed)
	}
	sc.seeds = sc.seeds[:0]
	every := (f.allowed-1)/f.seeds() + 1
	next, nextStranger := 0, 0 // seeds, in some and in sc.slots
	ids, levels, allowed := g.ids, g.levels, sc.allowed
	ahead := uint64(0) // how far slots lie from ids, modulo 2^64
	for some := range batches(sc, f.allow) {
		strangers := sc.strangers[:0]
		for _, id := range some {
			if slot, ok := inStep(ids, levels, id, ahead); ok {
				allowed[slot/64] |= 1 << (slot % 64)
			} else {
				strangers = append(strangers, id)
			}
		}
		for ; next < len(some); next += every {
			if slot, ok := inStep(ids, levels, some[next], ahead); ok {
				sc.seeds = append(sc.seeds, uint32(slot))
			}
		}
		next -= len(some)
		if sc.strangers = strangers; len(strangers) == 0 {
			continue
		}
		sc.slots = g.slotOf.getAll(ids, strangers, sc.slots[:0])
		for i, slot := range sc.slots {
			ahead = uint64(slot) - ids[slot]
			if levels[slot] == twinSlot {
				slot = g.aux[slot]
				sc.slots[i] = slot
			}
			allowed[slot/64] |= 1 << (slot % 64)
		}
		for ; nextStranger < len(sc.slots); nextStranger += every {
			sc.seeds = append(sc.seeds, sc.slots[nextStranger])
		}
		nextStranger -= len(sc.slots)
	}
	sc.visited += len(sc.seeds)
	for some := range slices.Chunk(sc.seeds, scanTogether) {
		for i, d := range g.vecs.distances(&sc.compare, sc.query, some) {
			sc.starts = append(sc.starts, candidate{d, some[i]})
		}
	}
	sc.enough = f.enough(g.maxLinks(0))
}

// inStep says whether a node's id lies so far from its slot, and in which. It is inlined.
func inStep(ids []uint64, levels []int8, id, ahead uint64) (slot uint64, ok bool) {
	slot = id + ahead
	return slot, slot < uint64(len(ids)) && ids[slot] == id && levels[slot] >= 0
}

// allows says whether markAllowed found an allowed id of a node.
func (sc *scratch) allows(node uint32) bool { return sc.allowed[node/64]>>(node%64)&1 == 1 }

// allowedAround takes the unseen allowed nodes around one to sc.slots: its neighbours, and the neighbours of those that are not
// allowed, until it has met sc.enough that are. What lies behind a node is looked at once.
func (g *Graph) allowedAround(sc *scratch, node uint32) {
	missing := sc.enough
	sc.behind = sc.behind[:0]
	for _, l := range g.links(node, 0) {
		slot := l &^ treeBit
		if sc.allows(slot) {
			missing--
			if sc.see(slot) {
				sc.slots = append(sc.slots, slot)
			}
		} else if !sc.saw(slot) {
			sc.behind = append(sc.behind, slot)
		}
	}
	if missing <= 0 {
		return
	}
	for _, b := range sc.behind {
		prefetch(unsafe.Pointer(g.base.first(b)))
	}
	for _, b := range sc.behind {
		if missing <= 0 {
			return
		}
		sc.see(b)
		for _, l := range g.links(b, 0) {
			if slot := l &^ treeBit; sc.allows(slot) {
				missing--
				if sc.see(slot) {
					sc.slots = append(sc.slots, slot)
				}
			}
		}
	}
}
