package recall

import (
	"iter"
	"math/bits"
)

// subset is a filter: a bit for each id.
type subset struct {
	bits []uint64
	n    int
}

func newSubset(of int) *subset { return &subset{bits: make([]uint64, (of+63)/64)} }

func (s *subset) add(id int) {
	if !s.Contains(uint64(id)) {
		s.bits[id/64] |= 1 << (id % 64)
		s.n++
	}
}

// Contains says whether the filter allows id.
func (s *subset) Contains(id uint64) bool { return s.bits[id/64]>>(id%64)&1 == 1 }

// Len is how many ids the filter allows.
func (s *subset) Len() int { return s.n }

// All yields them in ascending order.
func (s *subset) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for batch := range s.Batches() {
			for _, id := range batch {
				if !yield(id) {
					return
				}
			}
		}
	}
}

// Batches yields them many at a time.
func (s *subset) Batches() iter.Seq[[]uint64] {
	return func(yield func([]uint64) bool) {
		var buf [256]uint64
		n := 0
		for i, word := range s.bits {
			for ; word != 0; word &= word - 1 {
				buf[n%len(buf)] = uint64(64*i + bits.TrailingZeros64(word)) // there is room: % spares a check
				n++
			}
			if n > len(buf)-64 {
				if !yield(buf[:n]) {
					return
				}
				n = 0
			}
		}
		if n > 0 {
			yield(buf[:n])
		}
	}
}
