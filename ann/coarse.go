package ann

import "slices"

// With Float32 a graph has codes of its vectors too, from its first insertion or Settle on, and insertions choose their links by
// them: a code lies in a quarter of the memory, and that is what building waits for. Long scans go by them too, and compute the
// distances of the best anew. Walks and deletions go by the float32s.
//
// Graphs of 45,000 product texts and of 200,000 products find as much when built so as when built by float32s, after two thirds
// and four fifths of the time. Where codes cannot tell a vector's neighbours apart, as when all numbers are near a large one,
// it is linked by float32s.

// makeCoarse codes all vectors, unless that was done. The caller holds writer.
func (g *Graph) makeCoarse() {
	if g.vecs.coded || g.coarse != nil {
		return
	}
	opt := g.opt
	opt.Precision = Int8
	coarse := newVectors(opt)
	for slot := 0; slot < len(g.ids); slot += chunkSize {
		coarse.reach(uint32(slot))
	}
	g.sideBySide((len(g.ids)+chunkSize-1)/chunkSize, func(_ *scratch, chunk int) {
		for slot := chunk * chunkSize; slot < min((chunk+1)*chunkSize, len(g.ids)); slot++ {
			if g.levels[slot] != freeSlot {
				encodeVector(coarse.codes.at(uint32(slot)), g.vecs.floats.at(uint32(slot)))
			}
		}
	})
	g.mu.Lock()
	g.coarse = &coarse
	g.mu.Unlock()
}

// faithful says whether codes tell the neighbours of a plan apart: whether what they get wrong of the distances is small beside
// how much the distances differ.
func (g *Graph) faithful(sc *scratch, in *insertion) bool {
	near := in.layers[0].near
	if len(near) == 0 {
		return true
	}
	sc.slots = sc.slots[:0]
	for _, c := range near {
		sc.slots = append(sc.slots, c.slot)
	}
	g.vecs.probeAt(&sc.base, in.slot)
	exact := g.vecs.distances(&sc.compare, &sc.base, sc.slots)
	var mean, wrong, spread float64
	for _, d := range exact {
		mean += float64(d) / float64(len(exact))
	}
	for i, d := range exact {
		off, from := float64(near[i].dist-d), float64(d)-mean
		wrong += off * off
		spread += from * from
	}
	return wrong <= spread*maxWrong
}

// scanCoarse is scan by codes, with distances by float32s for the best of these. It says false, and has offered nothing, where
// the codes' errors might have hidden one of the nearest.
func (g *Graph) scanCoarse(sc *scratch, allow Set, best *nearest) bool {
	g.coarse.probe(&sc.base, sc.query.floats)
	rough := nearest{k: comparedAgain(best.k), heap: sc.coarse[:0]} // of slots
	defer func() { sc.coarse = rough.heap }()
	g.allowedSlots(sc, allow, func() { // as in scan: a function for both, given what differs, took a tenth longer
		sc.visited += len(sc.slots)
		for some := range slices.Chunk(sc.slots, scanTogether) {
			for i, d := range g.coarse.distances(&sc.compare, &sc.base, some) {
				if rough.wants(d) {
					rough.offer(uint64(some[i]), d)
				}
			}
		}
	})
	sc.slots = sc.slots[:0]
	for _, r := range rough.heap {
		sc.slots = append(sc.slots, uint32(r.ID))
	}
	exact := g.vecs.distances(&sc.compare, sc.query, sc.slots)
	near := nearest{k: best.k}
	var squares float64
	for i, d := range exact {
		off := float64(d - rough.heap[i].Distance)
		squares += off * off
		near.offer(g.ids[sc.slots[i]], d)
	}
	leftOut := len(exact) == rough.k
	if leftOut && near.heap[0].Distance+codeError(squares, len(exact)) > rough.heap[0].Distance {
		return false
	}
	for _, n := range near.heap {
		best.offer(n.ID, n.Distance)
	}
	return true
}

// maxWrong is the largest share of the variance of distances that codes may get wrong. With 256 dimensions no plan of product
// texts or of vectors drawn around centres came to that.
const maxWrong = 1. / 16
