package ann

import (
	"math"
	"time"
)

// candidate is a node and its distance from what is being looked for.
type candidate struct {
	dist Distance
	slot uint32
}

// key is a number that orders by distance and then by slot.
func (c candidate) key() uint64 {
	bits := math.Float32bits(float32(c.dist) + 0) // -0 and 0 are one distance
	if bits>>31 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 31
	}
	return uint64(bits)<<32 | uint64(c.slot)
}

// candidateOf is the candidate with a key.
func candidateOf(key uint64) candidate {
	bits := uint32(key >> 32)
	if bits>>31 == 1 {
		bits &^= 1 << 31
	} else {
		bits = ^bits
	}
	return candidate{Distance(math.Float32frombits(bits)), uint32(key)}
}

// scratch is the memory of one search at a time, kept in a pool.
type scratch struct {
	seen      []uint64    // a bit by slot: whether it was seen
	touched   []uint32    // the slots that were
	allowed   []uint64    // a bit by slot: whether it is of a node with an allowed id; of WalkAllowed alone
	enough    int         // allowed nodes to meet around each one; of WalkAllowed alone
	frontier  nearHeap    // seen, links not yet followed
	results   farHeap     // the best so far
	starts    []candidate // where a search of layer 0 begins
	slots     []uint32
	seeds     []uint32 // allowed nodes from all over
	behind    []uint32 // neighbours that a filter does not allow
	vecs      *vectors // what is compared: the graph's, or codes of them
	query     *probe   // what is looked for
	own       probe    // the query of a search
	base      probe    // what neighbours are compared with among themselves
	compare   comparisons
	coarse    []Neighbor  // found by codes
	ids       []uint64    // some that a filter allows; later those whose vectors a source lends
	strangers []uint64    // those of them that the slots of others say nothing of
	lent      [][]float32 // vectors that a source lends
	visited   int         // distances computed since the scratch was taken
	began     time.Time   // when a worker's slice did; zero in other hands
}

func (g *Graph) takeScratch() *scratch {
	sc, ok := g.scratch.Get().(*scratch)
	if !ok {
		sc = new(scratch)
	}
	sc.vecs, sc.visited = &g.vecs, 0
	return sc
}

// begin forgets what was seen, and both heaps. It clears what the last search touched: a bit for each slot of a million
// stays in the processor's second cache, where a number for each would not, and few of them are set.
func (sc *scratch) begin(slots int) {
	if words := (slots + 63) / 64; len(sc.seen) < words {
		sc.seen = make([]uint64, words+words/4)
	} else {
		for _, s := range sc.touched {
			sc.seen[s/64] = 0
		}
	}
	sc.touched = sc.touched[:0]
	sc.frontier = sc.frontier[:0]
	sc.results = sc.results[:0]
}

// see marks a slot and says whether it had not been seen.
func (sc *scratch) see(slot uint32) bool {
	word, bit := &sc.seen[slot/64], uint64(1)<<(slot%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	sc.touched = append(sc.touched, slot)
	return true
}

// saw says whether a slot was seen.
func (sc *scratch) saw(slot uint32) bool { return sc.seen[slot/64]>>(slot%64)&1 == 1 }

// nearHeap has the nearest candidate at its root.
type nearHeap []candidate

func (h *nearHeap) push(c candidate) {
	s := append(*h, c)
	*h = s
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent].dist <= c.dist {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = c
}

func (h *nearHeap) pop() candidate {
	s := *h
	root, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if r := child + 1; r < len(s) && s[r].dist < s[child].dist {
			child = r
		}
		if last.dist <= s[child].dist {
			break
		}
		s[i] = s[child]
		i = child
	}
	if len(s) > 0 {
		s[i] = last
	}
	return root
}

// farHeap has the farthest candidate at its root.
type farHeap []candidate

func (h *farHeap) push(c candidate) {
	s := append(*h, c)
	*h = s
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent].dist >= c.dist {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = c
}

// replaceRoot puts c in the place of the farthest.
func (h farHeap) replaceRoot(c candidate) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if r := child + 1; r < len(h) && h[r].dist > h[child].dist {
			child = r
		}
		if c.dist >= h[child].dist {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = c
}

// shrink leaves the nearest n, one at least.
func (h *farHeap) shrink(n int) {
	for len(*h) > n {
		last := (*h)[len(*h)-1]
		*h = (*h)[:len(*h)-1]
		h.replaceRoot(last)
	}
}
