package ann

import "unsafe"

const (
	// chunkShift sets how many rows lie together: 256, a quarter MiB of vectors at 256 dimensions. Growing adds a chunk and
	// moves nothing, so a large index never holds two copies of its vectors or links.
	chunkShift = 8
	chunkSize  = 1 << chunkShift

	// slabBytes is how much is allocated at a time once there is as much. Slabs are long enough for huge pages, which they
	// ask for: a row is far from the one before, and with 1,000,000 vectors looking up where its page lies took a quarter
	// of the time of a distance.
	slabBytes = 16 << 20
)

type number interface{ byte | float32 | uint32 }

// rows holds a row of so many numbers by slot. It owns its memory; at lends it.
type rows[T number] struct {
	width  int
	chunks [][]T // nil where no slot of the chunk was ever in use
	plain  bool  // new slabs do not ask for huge pages; see settle.go
}

func (r *rows[T]) at(slot uint32) []T {
	i := int(slot%chunkSize) * r.width
	return r.chunks[slot>>chunkShift][i : i+r.width : i+r.width]
}

// first is &r.at(slot)[0], with one check in place of three.
func (r *rows[T]) first(slot uint32) *T {
	chunk := unsafe.Pointer(unsafe.SliceData(r.chunks[slot>>chunkShift]))
	return (*T)(unsafe.Add(chunk, uintptr(slot%chunkSize)*uintptr(r.width)*unsafe.Sizeof(*new(T))))
}

// bytes is what the rows take.
func (r *rows[T]) bytes() int {
	n := 0
	for _, c := range r.chunks {
		n += len(c) * int(unsafe.Sizeof(T(0)))
	}
	return n
}

// together is how many chunks a slab has.
func (r *rows[T]) together() int {
	return max(1, slabBytes/(int(unsafe.Sizeof(T(0)))*chunkSize*r.width))
}

// expect makes the list of chunks as long as it is with so many slots, so that reach, if one at a time calls it, is safe
// beside at of other chunks.
func (r *rows[T]) expect(slots int) {
	chunks, together := (slots+chunkSize-1)/chunkSize, r.together()
	r.chunks = make([][]T, (chunks+together-1)/together*together)
}

// reach makes room for a slot.
func (r *rows[T]) reach(slot uint32) {
	c := int(slot >> chunkShift)
	for len(r.chunks) <= c {
		r.chunks = append(r.chunks, nil)
	}
	if r.chunks[c] != nil {
		return
	}
	size, together := chunkSize*r.width, r.together()
	if c < together {
		r.chunks[c] = make([]T, size)
		return
	}
	slab := make([]T, together*size)
	if !r.plain {
		hugePages(slab)
	}
	first := c - c%together
	for i := range together {
		part := slab[i*size : (i+1)*size : (i+1)*size]
		if at := first + i; at == len(r.chunks) {
			r.chunks = append(r.chunks, part)
		} else if r.chunks[at] == nil {
			r.chunks[at] = part
		}
	}
}
