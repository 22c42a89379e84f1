package ann

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Graph is an HNSW index. It is safe for concurrent use: searches run side by side, changes one after another, and a
// change stops searches only while it writes links, not while it looks for where they go.
//
// Each distinct vector is a node, and each id lies in a slot. On layer 0 a node has at most 2*M links, above it M.
// Links are symmetric. On each layer the links marked with treeBit are a spanning tree of the layer's nodes, so all
// of them can be reached from entry. Check verifies all of this.
type Graph struct {
	opt       Options // defaults filled in; fixed at NewGraph
	levelMult float64 // the paper's m_L: 1/ln(M)

	visits atomic.Pointer[visits] // nil until a search has a filter

	// writer is held by Add, AddBatch, Delete, Check, and while rows are encoded, and is taken before mu. Its holder may read what
	// mu guards, because only the holder changes it.
	writer sync.Mutex

	mu        sync.RWMutex // guards all below; a change holds it while it writes
	vecs      vectors
	coarse    *vectors // codes of vecs; see coarse.go
	slotOf    slotTable
	ids       []uint64     // by slot
	levels    []int8       // by slot: the node's highest layer, or freeSlot, or twinSlot
	base      rows[uint32] // links on layer 0, by slot: a count, and room for 2*M
	aux       []uint32     // by slot: a node's blocks in upper; a twin's node; of a free slot the one that is used after it
	next      []uint32     // by slot: a node's first twin; a twin's next; noSlot at the end
	upper     []uint32     // links above layer 0: per layer a count, and room for M; a node's layers lie together
	spare     [][]uint32   // free places in upper, by number of layers
	free      int          // free slots
	firstFree uint32       // the one that is used next; noSlot when there is none
	entry     uint32       // a node of the top layer; noSlot when there is none
	top       int          // highest layer in use; -1 when there is none
	dirty     dirty        // what is not yet stored
	scratch   sync.Pool    // of *scratch
	hand      scratch      // of the holder of writer
	foreseen  []shrinkage  // for the insertion in hand
}

const (
	noSlot   = 1<<31 - 1 // below treeBit, so that every slot fits beside it
	maxSlots = noSlot
	treeBit  = 1 << 31 // in a link: it belongs to the layer's spanning tree

	freeSlot = -1 // in levels
	twinSlot = -2

	// maxLevel bounds the height. At M = 4 one node in 4^16 would stand higher.
	maxLevel = 16
)

// NewGraph makes an empty graph.
func NewGraph(opt Options) (*Graph, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Graph{
		opt:       opt,
		levelMult: 1 / math.Log(float64(opt.M)),
		vecs:      newVectors(opt),
		base:      rows[uint32]{width: 1 + 2*opt.M},
		spare:     make([][]uint32, maxLevel+1),
		firstFree: noSlot,
		entry:     noSlot,
		top:       -1,
	}
	g.hand.vecs = &g.vecs
	return g, nil
}

// Options returns the options in use, with defaults filled in.
func (g *Graph) Options() Options { return g.opt }

// Dim returns the number of components of each vector.
func (g *Graph) Dim() int { return g.opt.Dim }

// Len returns the number of ids.
func (g *Graph) Len() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.slotOf.len()
}

// Has says whether id is there.
func (g *Graph) Has(id uint64) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, ok := g.slotOf.get(g.ids, id)
	return ok
}

// Vector returns a copy of what is stored under id: with Cosine, the vector at length 1; with Int8, what its code stands
// for.
func (g *Graph) Vector(id uint64) ([]float32, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	slot, ok := g.slotOf.get(g.ids, id)
	if !ok {
		return nil, false
	}
	return g.vecs.vector(slot), true
}

// Memory is how many bytes the parts of a graph take.
type Memory struct {
	Vectors int // float32s, codes, or both
	Links   int
	IDs     int // ids, their slots, and what else is known of each slot
}

// Total is all of it.
func (m Memory) Total() int { return m.Vectors + m.Links + m.IDs }

// Memory returns what the graph's arrays take, room for more included.
func (g *Graph) Memory() Memory {
	g.mu.RLock()
	defer g.mu.RUnlock()
	m := Memory{
		Vectors: g.vecs.floats.bytes() + g.vecs.codes.bytes(),
		Links:   g.base.bytes() + 4*cap(g.upper),
		IDs:     8*cap(g.ids) + cap(g.levels) + 4*cap(g.aux) + 4*cap(g.next) + 4*cap(g.slotOf.places) + 8*cap(g.dirty.rows) + 8*cap(g.dirty.vecs),
	}
	if g.coarse != nil {
		m.Vectors += g.coarse.codes.bytes()
	}
	for _, s := range g.spare {
		m.IDs += 4 * cap(s)
	}
	return m
}

// Holds says whether v is what is stored under id.
func (g *Graph) Holds(id uint64, v []float32) bool {
	v, err := g.opt.Metric.prepare(v, g.opt.Dim)
	if err != nil {
		return false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.holds(id, v)
}

// holds is Holds of a prepared vector.
func (g *Graph) holds(id uint64, v []float32) bool {
	slot, ok := g.slotOf.get(g.ids, id)
	if !ok {
		return false
	}
	var p probe
	g.vecs.probe(&p, v)
	return g.vecs.same(&p, slot)
}

// IDs yields the ids that were there when it began, in ascending order: for id := range g.IDs { … }.
func (g *Graph) IDs(yield func(uint64) bool) {
	g.mu.RLock()
	ids := make([]uint64, 0, len(g.ids)-g.free)
	for slot, level := range g.levels {
		if level != freeSlot {
			ids = append(ids, g.ids[slot])
		}
	}
	g.mu.RUnlock()
	if !slices.IsSorted(ids) { // slots are in the order of ids until one is used again
		slices.Sort(ids)
	}
	slices.Values(ids)(yield)
}

// maxLinks is the paper's M_max: how many links a node may hold on a layer.
func (g *Graph) maxLinks(layer int) int {
	if layer == 0 {
		return 2 * g.opt.M
	}
	return g.opt.M
}

// block returns the memory of a node's links on a layer: a count, then room for maxLinks.
func (g *Graph) block(slot uint32, layer int) []uint32 {
	if layer == 0 {
		return g.base.at(slot)
	}
	n := 1 + g.opt.M
	i := int(g.aux[slot]) + (layer-1)*n
	return g.upper[i : i+n : i+n]
}

// links lends a node's links on a layer, tree bits included. They are valid until a link changes.
func (g *Graph) links(slot uint32, layer int) []uint32 {
	b := g.block(slot, layer)
	return b[1 : 1+b[0]]
}

// reserve takes a slot for an insertion that is yet to be planned. For searches it is still free.
func (g *Graph) reserve() uint32 {
	if slot := g.firstFree; slot != noSlot {
		g.firstFree = g.aux[slot]
		g.free--
		return slot
	}
	g.growSlot()
	return uint32(len(g.ids) - 1)
}

// occupy gives a reserved slot, which has its vector, to an id, with room for links when level is that of a node.
func (g *Graph) occupy(slot uint32, id uint64, level int8) {
	g.dirty.rows.set(slot)
	g.dirty.vecs.set(slot)
	g.ids[slot] = id
	g.levels[slot] = level
	g.next[slot] = noSlot
	g.slotOf.put(g.ids, slot)
	if level >= 0 {
		g.block(slot, 0)[0] = 0
	}
	if level > 0 {
		g.aux[slot] = g.newUpper(int(level))
	}
}

func (g *Graph) growSlot() {
	g.base.reach(uint32(len(g.ids)))
	g.ids = append(g.ids, 0)
	g.levels = append(g.levels, freeSlot)
	g.aux = append(g.aux, 0)
	g.next = append(g.next, noSlot)
	g.dirty.rows.grow(len(g.ids))
	g.dirty.vecs.grow(len(g.ids))
}

// newUpper takes room for the links of so many layers above 0, all empty.
func (g *Graph) newUpper(layers int) uint32 {
	size := layers * (1 + g.opt.M)
	if n := len(g.spare[layers]); n > 0 {
		at := g.spare[layers][n-1]
		g.spare[layers] = g.spare[layers][:n-1]
		clear(g.upper[at : int(at)+size])
		return at
	}
	at := len(g.upper)
	g.upper = append(g.upper, make([]uint32, size)...)
	return uint32(at)
}

// freeSlotOf gives a slot back, and the room of its links. Nobody may link to it any more.
func (g *Graph) freeSlotOf(slot uint32) {
	if level := g.levels[slot]; level > 0 {
		g.spare[level] = append(g.spare[level], g.aux[slot])
	}
	g.levels[slot] = freeSlot
	g.aux[slot] = g.firstFree
	g.firstFree = slot
	g.free++
	g.dirty.rows.set(slot)
}
