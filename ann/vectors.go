package ann

// chunkShift sets how many vectors lie in one piece of memory: 256, a quarter MiB at 256 dimensions. Growing adds a
// piece and moves nothing, so a large index never holds two copies of its vectors.
const (
	chunkShift = 8
	chunkSize  = 1 << chunkShift
)

// vectors holds prepared vectors by slot. It owns its memory; at lends it.
type vectors struct {
	dim    int
	metric Metric
	chunks [][]float32 // nil where no slot of the chunk was ever set
}

func (vs *vectors) at(slot uint32) []float32 {
	i := int(slot%chunkSize) * vs.dim
	return vs.chunks[slot>>chunkShift][i : i+vs.dim : i+vs.dim]
}

func (vs *vectors) set(slot uint32, v []float32) {
	c := int(slot >> chunkShift)
	for len(vs.chunks) <= c {
		vs.chunks = append(vs.chunks, nil)
	}
	if vs.chunks[c] == nil {
		vs.chunks[c] = make([]float32, chunkSize*vs.dim)
	}
	copy(vs.at(slot), v)
}

func (vs *vectors) distance(q []float32, slot uint32) Distance {
	return vs.metric.distance(q, vs.at(slot))
}

func (vs *vectors) between(a, b uint32) Distance {
	return vs.metric.distance(vs.at(a), vs.at(b))
}

// distances compares q with each of slots, in order, and appends to dst. Searches come here with all unseen
// neighbours of a node at once.
func (vs *vectors) distances(dst []Distance, q []float32, slots []uint32) []Distance {
	for _, s := range slots {
		dst = append(dst, vs.metric.distance(q, vs.at(s)))
	}
	return dst
}
