package ann

import (
	"iter"
	"math/bits"
)

// dirty holds which slots have changed since their rows were last handed to EncodeAll or EncodeChanges, so that a
// checkpoint stores no more than those. rows is of all that a row has, vecs of the vector only.
type dirty struct {
	rows, vecs slotBits
}

// slotBits is a set of slots.
type slotBits []uint64

// grow makes room for so many slots.
func (b *slotBits) grow(slots int) {
	for len(*b)*64 < slots {
		*b = append(*b, 0)
	}
}

func (b slotBits) set(slot uint32)      { b[slot/64] |= 1 << (slot % 64) }
func (b slotBits) clear(slot uint32)    { b[slot/64] &^= 1 << (slot % 64) }
func (b slotBits) has(slot uint32) bool { return b[slot/64]&(1<<(slot%64)) != 0 }

func (b slotBits) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b slotBits) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, w := range b {
			for ; w != 0; w &= w - 1 {
				if !yield(uint32(i*64 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// Changed counts the slots that EncodeChanges would write.
func (g *Graph) Changed() int {
	g.writer.Lock()
	defer g.writer.Unlock()
	return g.dirty.rows.count()
}
