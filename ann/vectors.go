package ann

// vectors holds prepared vectors by slot. It owns its memory; at lends it.
type vectors struct {
	rows[float32]
	metric Metric
}

func newVectors(o Options) vectors { return vectors{rows[float32]{width: o.Dim}, o.Metric} }

func (vs *vectors) set(slot uint32, v []float32) {
	vs.reach(slot)
	copy(vs.at(slot), v)
}

func (vs *vectors) distance(q []float32, slot uint32) Distance {
	return vs.metric.distance(q, vs.at(slot))
}

func (vs *vectors) between(a, b uint32) Distance {
	return vs.metric.distance(vs.at(a), vs.at(b))
}

// ahead is how many comparisons before its own a vector is fetched.
const ahead = 2

// distances compares q with each of slots, in order, and appends to dst. Searches come here with all unseen
// neighbours of a node at once: they lie anywhere, so while one is compared one of the next is on its way from memory.
func (vs *vectors) distances(dst []Distance, q []float32, slots []uint32) []Distance {
	if vs.metric != Cosine {
		for _, s := range slots {
			dst = append(dst, vs.metric.distance(q, vs.at(s)))
		}
		return dst
	}
	for i, s := range slots {
		next := vs.at(slots[min(i+ahead, len(slots)-1)])
		dst = append(dst, cosineDistance(dotAhead(q, vs.at(s), next)))
	}
	return dst
}
