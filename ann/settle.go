package ann

import "unsafe"

// A graph that is read fills its memory at once, and waits for each page that it gets. For 1,000,000 vectors of 256
// components on a virtual machine that took 3.0 s of processor time with huge pages, which the system has to find or make,
// and 0.5 s with small ones. So a Decoder takes small ones, and Settle has them exchanged while searches go on.

// Settle moves a graph that was read to huge pages, and codes its float32s. It ends when that is done, or when stop is closed.
func (g *Graph) Settle(stop <-chan struct{}) {
	g.mu.RLock()
	links, floats, codes := g.base.slabs(), g.vecs.floats.slabs(), g.vecs.codes.slabs()
	g.mu.RUnlock()
	if settle(links, stop) && settle(floats, stop) && settle(codes, stop) {
		g.writer.Lock()
		defer g.writer.Unlock()
		g.makeCoarse()
	}
}

func settle[T number](slabs [][]T, stop <-chan struct{}) bool {
	for _, slab := range slabs {
		select {
		case <-stop:
			return false
		default:
			collapse(slab)
		}
	}
	return true
}

// slabs lists the slabs in use.
func (r *rows[T]) slabs() (list [][]T) {
	together := r.together()
	for first := together; first < len(r.chunks); first += together {
		if c := r.chunks[first]; c != nil {
			list = append(list, unsafe.Slice(unsafe.SliceData(c), min(together, len(r.chunks)-first)*len(c)))
		}
	}
	return list
}
