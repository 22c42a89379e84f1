package ann

// candidate is a node and its distance from what is being looked for.
type candidate struct {
	dist Distance
	slot uint32
}

// scratch is the memory of one search at a time, kept in a pool.
type scratch struct {
	epoch    uint16
	marks    []uint16    // by slot: the epoch in which it was last seen
	frontier nearHeap    // seen, links not yet followed
	results  farHeap     // the best so far
	starts   []candidate // where a search of layer 0 begins
	slots    []uint32
	dists    []Distance
	visited  int // distances computed since the scratch was taken
}

func (g *Graph) takeScratch() *scratch {
	sc, ok := g.scratch.Get().(*scratch)
	if !ok {
		sc = new(scratch)
	}
	sc.visited = 0
	return sc
}

// begin forgets all marks and heaps. Marks of older epochs count as unset, so only one search in 65,535 clears them.
func (sc *scratch) begin(slots int) {
	if len(sc.marks) < slots {
		sc.marks = make([]uint16, slots+slots/4)
		sc.epoch = 0
	}
	sc.epoch++
	if sc.epoch == 0 {
		clear(sc.marks)
		sc.epoch = 1
	}
	sc.frontier = sc.frontier[:0]
	sc.results = sc.results[:0]
}

// see marks a slot and says whether it had not been seen.
func (sc *scratch) see(slot uint32) bool {
	if sc.marks[slot] == sc.epoch {
		return false
	}
	sc.marks[slot] = sc.epoch
	return true
}

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
