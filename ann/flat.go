package ann

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Flat compares a query with every vector: exact, and as slow as there are vectors. It is safe for concurrent use;
// searches run side by side.
type Flat struct {
	opt  Options
	mu   sync.RWMutex      // guards all below
	slot map[uint64]uint32 // of each id
	ids  []uint64          // by slot, without gaps
	vecs vectors
}

// NewFlat makes an empty index.
func NewFlat(opt Options) (*Flat, error) {
	opt.Precision = Float32
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Flat{
		opt:  opt,
		slot: make(map[uint64]uint32),
		vecs: newVectors(opt),
	}, nil
}

// Add stores a copy of v under id, in place of what was there.
func (f *Flat) Add(id uint64, v []float32) error {
	v, err := f.opt.Metric.prepare(v, f.opt.Dim)
	if err != nil {
		return fmt.Errorf("add %d: %w", id, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	slot, ok := f.slot[id]
	if !ok {
		slot = uint32(len(f.ids))
		f.ids = append(f.ids, id)
		f.slot[id] = slot
	}
	f.vecs.set(slot, v)
	return nil
}

// AddBatch is Add for each id and its vector, or for none when one of them is refused.
func (f *Flat) AddBatch(ids []uint64, vecs [][]float32) error {
	if err := checkBatch(f.opt, ids, vecs); err != nil {
		return err
	}
	for i, id := range ids {
		if err := f.Add(id, vecs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes id and says whether it was there.
func (f *Flat) Delete(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	slot, ok := f.slot[id]
	if !ok {
		return false
	}
	last := uint32(len(f.ids) - 1)
	if slot != last { // the last one fills the gap
		f.ids[slot] = f.ids[last]
		f.slot[f.ids[slot]] = slot
		f.vecs.copy(slot, last)
	}
	f.ids = f.ids[:last]
	delete(f.slot, id)
	return true
}

// Search returns the k nearest of the allowed vectors, by distance and then by id.
func (f *Flat) Search(q []float32, k int, opt SearchOptions) ([]Neighbor, error) {
	if k < 1 {
		return nil, fmt.Errorf("search for %d: %w", k, ErrLimit)
	}
	q, err := f.opt.Metric.prepare(q, f.opt.Dim)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	best := nearest{k: min(k, len(f.ids)), max: opt.MaxDistance}
	p := probe{floats: q}
	visited := 0
	if opt.Allow != nil && opt.Allow.Len() < len(f.ids)/scanBySlot {
		for id := range opt.Allow.All() {
			if slot, ok := f.slot[id]; ok {
				visited++
				best.offer(id, f.vecs.distance(&p, slot))
			}
		}
	} else {
		var c comparisons
		slots := make([]uint32, 0, scanTogether)
		compare := func() {
			visited += len(slots)
			for i, d := range f.vecs.distances(&c, &p, slots) {
				if best.wants(d) {
					best.offer(f.ids[slots[i]], d)
				}
			}
			slots = slots[:0]
		}
		for slot, id := range f.ids {
			if opt.Allow != nil && !opt.Allow.Contains(id) {
				continue
			}
			if slots = append(slots, uint32(slot)); len(slots) == scanTogether {
				compare()
			}
		}
		compare()
	}
	if opt.Stats != nil {
		*opt.Stats = SearchStats{Plan: Scan, Visited: visited}
	}
	return best.sorted(), nil
}

// Len returns the number of ids.
func (f *Flat) Len() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.ids)
}

// Dim returns the number of components of each vector.
func (f *Flat) Dim() int { return f.opt.Dim }

// Has says whether id is there.
func (f *Flat) Has(id uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ok := f.slot[id]
	return ok
}

// Vector returns a copy of what is stored under id: with Cosine, the vector at length 1.
func (f *Flat) Vector(id uint64) ([]float32, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	slot, ok := f.slot[id]
	if !ok {
		return nil, false
	}
	return f.vecs.vector(slot), true
}

// IDs yields the ids that were there when it began, in ascending order: for id := range f.IDs { … }.
func (f *Flat) IDs(yield func(uint64) bool) {
	f.mu.RLock()
	ids := slices.Sorted(maps.Keys(f.slot))
	f.mu.RUnlock()
	slices.Values(ids)(yield)
}

// Check returns the first thing found that cannot be.
func (f *Flat) Check() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if len(f.slot) != len(f.ids) {
		return fmt.Errorf("check: %d ids have a slot, but %d slots are taken", len(f.slot), len(f.ids))
	}
	for slot, id := range f.ids {
		if s, ok := f.slot[id]; !ok || int(s) != slot {
			return fmt.Errorf("check: slot %d holds id %d, which is listed at slot %d (%t)", slot, id, s, ok)
		}
		if err := checkVector(f.opt, f.vecs.floats.at(uint32(slot))); err != nil {
			return fmt.Errorf("check: vector of id %d: %w", id, err)
		}
	}
	return nil
}

// checkBatch is what must hold before any of a batch is stored.
func checkBatch(opt Options, ids []uint64, vecs [][]float32) error {
	if len(ids) != len(vecs) {
		return fmt.Errorf("add batch: %w: %d ids, %d vectors", ErrDimension, len(ids), len(vecs))
	}
	for i, v := range vecs {
		if _, err := opt.Metric.prepare(v, opt.Dim); err != nil {
			return fmt.Errorf("add batch: vector %d, id %d: %w", i, ids[i], err)
		}
	}
	return nil
}

// scanBySlot: of a filter that allows more than one id in so many, each slot's id is asked about, in memory order; the ids of
// a smaller one are looked up. A look-up costs about as much as four questions.
const scanBySlot = 4

// nearest keeps the k best of the neighbours it is offered, the worst of them at the root of a heap.
type nearest struct {
	k    int
	max  *Distance
	heap []Neighbor
}

// compareNeighbors orders by distance and then by id.
func compareNeighbors(a, b Neighbor) int { return nearer(a.Distance, b.Distance, a.ID, b.ID) }

// nearer orders by distance, which is never NaN, and then by number.
func nearer[N uint32 | uint64](a, b Distance, i, j N) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return cmp.Compare(i, j)
}

// wants says whether a neighbour at this distance may be among the best.
func (n *nearest) wants(d Distance) bool {
	return len(n.heap) < n.k || n.k > 0 && d <= n.heap[0].Distance
}

func (n *nearest) offer(id uint64, d Distance) {
	if n.max != nil && d > *n.max {
		return
	}
	x := Neighbor{ID: id, Distance: d}
	if len(n.heap) < n.k {
		n.heap = append(n.heap, x)
		for i := len(n.heap) - 1; i > 0; {
			parent := (i - 1) / 2
			if compareNeighbors(n.heap[i], n.heap[parent]) <= 0 {
				return
			}
			n.heap[i], n.heap[parent] = n.heap[parent], n.heap[i]
			i = parent
		}
		return
	}
	if n.k == 0 || d > n.heap[0].Distance || compareNeighbors(x, n.heap[0]) >= 0 {
		return
	}
	n.heap[0] = x
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(n.heap) {
			return
		}
		if r := child + 1; r < len(n.heap) && compareNeighbors(n.heap[r], n.heap[child]) > 0 {
			child = r
		}
		if compareNeighbors(n.heap[child], n.heap[i]) <= 0 {
			return
		}
		n.heap[i], n.heap[child] = n.heap[child], n.heap[i]
		i = child
	}
}

func (n *nearest) sorted() []Neighbor {
	slices.SortFunc(n.heap, compareNeighbors)
	return n.heap
}
