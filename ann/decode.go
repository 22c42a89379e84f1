package ann

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Decoder makes a graph of what EncodeAll and EncodeChanges wrote. Give it the blocks of rows of the newest changes, then
// of those before, and of the base last; then the vectors, which with Int8 only whoever may have others need do; then ask
// for the graph. What is newest of a slot comes first and stays, so each slot is read once.
type Decoder struct {
	g        *Graph
	head     storedHead
	got      []uint8       // by slot: gotRow, gotVec
	sums     []uint32      // by slot; with Float32
	makeRoom sync.Once     // for float32s
	room     []atomic.Bool // by chunk: there is some for links and codes

	mu    sync.Mutex // guards what follows
	upper [][]uint32 // parts of Graph.upper, each row after its slot and its level
	stale []staleVector
}

const (
	gotRow = 1
	gotVec = 2
)

// storedHead is what a head says beside the options.
type storedHead struct {
	slots, free, firstFree, entry uint32
}

// staleVector is an id whose vector is no longer the one that its links were made for; vec is nil when it has none.
type staleVector struct {
	id  uint64
	vec []float32
}

// NewDecoder begins with the head of the newest changes. size is how many bytes all blocks have together: a head that
// speaks of more slots than that can hold is refused before anything is made for them.
func NewDecoder(head []byte, size int64) (*Decoder, error) {
	opt, h, err := decodeHead(head)
	if err != nil {
		return nil, fmt.Errorf("read graph: %w", err)
	}
	if int64(h.slots)*minRow > size {
		return nil, fmt.Errorf("read graph: %w: %d slots in %d bytes", ErrCorrupt, h.slots, size)
	}
	g, err := NewGraph(opt)
	if err != nil {
		return nil, fmt.Errorf("read graph: %w: %w", ErrCorrupt, err)
	}
	g.base.plain, g.vecs.floats.plain, g.vecs.codes.plain = true, true, true
	g.makeSlots(int(h.slots))
	d := &Decoder{g: g, head: h, got: make([]uint8, h.slots), room: make([]atomic.Bool, len(g.base.chunks))}
	if g.vecs.coded {
		g.vecs.codes.expect(int(h.slots))
	} else {
		d.sums = make([]uint32, h.slots)
	}
	return d, nil
}

func decodeHead(b []byte) (opt Options, h storedHead, err error) {
	if len(b) < len(codecMagic)+4 || string(b[:len(codecMagic)]) != codecMagic {
		return opt, h, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, codecMagic)
	}
	if v := binary.LittleEndian.Uint32(b[len(codecMagic):]); v != codecVersion {
		return opt, h, fmt.Errorf("%w: version %d, want %d", ErrVersion, v, codecVersion)
	}
	if len(b) != headSize {
		return opt, h, fmt.Errorf("%w: a head of %d bytes, want %d", ErrCorrupt, len(b), headSize)
	}
	b = b[len(codecMagic)+4:]
	u32 := func() (v uint32) {
		v, b = binary.LittleEndian.Uint32(b), b[4:]
		return v
	}
	opt.Dim = int(u32())
	opt.Metric, opt.Precision, b = Metric(b[0]), Precision(b[1]), b[2:]
	opt.M = int(u32())
	opt.EfConstruction = int(u32())
	opt.EfSearch = int(u32())
	opt.Seed, b = binary.LittleEndian.Uint64(b), b[8:]
	h = storedHead{slots: u32(), free: u32(), firstFree: u32(), entry: u32()}
	if opt.M == 0 || opt.EfConstruction == 0 || opt.EfSearch == 0 { // zero is for callers; what was in use is written
		return opt, h, fmt.Errorf("%w: an option is zero", ErrCorrupt)
	}
	if h.slots > maxSlots || h.free > h.slots {
		return opt, h, fmt.Errorf("%w: %d slots, %d of them free", ErrCorrupt, h.slots, h.free)
	}
	return opt, h, nil
}

// makeSlots makes the arrays of a new graph so long, all zero.
func (g *Graph) makeSlots(n int) {
	g.ids = make([]uint64, n)
	g.levels = make([]int8, n)
	g.aux = make([]uint32, n)
	g.next = make([]uint32, n)
	for from := 0; from < n; from += chunkSize {
		g.base.reach(uint32(from))
	}
	g.dirty.rows.grow(n)
	g.dirty.vecs.grow(n)
}

// Dim returns the number of components of each vector.
func (d *Decoder) Dim() int { return d.g.opt.Dim }

// Precision returns how the graph holds its vectors.
func (d *Decoder) Precision() Precision { return d.g.opt.Precision }

// Slots returns the number of slots.
func (d *Decoder) Slots() uint32 { return d.head.slots }

// Rows reads a block. It may be called from several goroutines at a time with blocks of the same changes, or of the base.
func (d *Decoder) Rows(block []byte) error {
	r := rowReader{b: block}
	var upper []uint32
	for len(r.b) > 0 && r.err == nil {
		upper = d.row(&r, upper)
	}
	if r.err != nil {
		return fmt.Errorf("read graph: %w", r.err)
	}
	if len(upper) > 0 {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.upper = append(d.upper, upper)
	}
	return nil
}

// row reads a row. Of one that a newer one has replaced it takes no more than what it says of the vector, if the newer one
// said nothing. It
// appends links above layer 0 to upper, and returns that.
func (d *Decoder) row(r *rowReader, upper []uint32) []uint32 {
	g := d.g
	slot, kind := r.u32(), r.u8()
	if slot >= d.head.slots {
		r.fail("row of slot %d, there are %d", slot, d.head.slots)
		return upper
	}
	level, vec := int(kind&kindMask), kind&kindVec != 0
	if chunk := slot / chunkSize; !d.room[chunk].Load() {
		d.reach(chunk)
	}
	fresh := d.got[slot]&gotRow == 0
	d.got[slot] |= gotRow
	if kind == kindFree {
		if next := r.u32(); fresh {
			g.levels[slot], g.aux[slot], g.next[slot] = freeSlot, next, noSlot
			d.got[slot] |= gotVec
		}
		return upper
	}
	if kind >= 2*kindVec || level > maxLevel && level != kindTwin {
		r.fail("slot %d is of kind %d", slot, kind)
		return upper
	}
	id, next := r.u64(), r.u32()
	if fresh {
		g.ids[slot], g.next[slot] = id, next
	}
	if level == kindTwin {
		if node := r.u32(); fresh {
			g.levels[slot], g.aux[slot] = twinSlot, node
		}
	} else {
		if fresh {
			g.levels[slot] = int8(level)
		}
		upper = d.rowLinks(r, slot, level, fresh, upper)
	}
	if vec {
		if b := r.take(g.vecs.stored()); b != nil && d.got[slot]&gotVec == 0 {
			d.got[slot] |= gotVec
			d.takeVector(slot, b)
		}
	}
	return upper
}

// reach makes room for the rows of a chunk. Another goroutine may do the same.
func (d *Decoder) reach(chunk uint32) {
	g := d.g
	populate(g.base.chunks[chunk])
	if g.vecs.coded {
		d.mu.Lock()
		g.vecs.reach(chunk * chunkSize)
		d.mu.Unlock()
		populate(g.vecs.codes.chunks[chunk])
	}
	d.room[chunk].Store(true)
}

// takeVector keeps what a row says of a vector.
func (d *Decoder) takeVector(slot uint32, b []byte) {
	vs := &d.g.vecs
	if !vs.coded {
		d.sums[slot] = binary.LittleEndian.Uint32(b)
		return
	}
	copy(vs.codes.at(slot), b)
}

func (d *Decoder) rowLinks(r *rowReader, slot uint32, level int, fresh bool, upper []uint32) []uint32 {
	g := d.g
	var above []uint32
	if fresh && level > 0 {
		start := len(upper) + 2
		upper = append(upper, slot, uint32(level))
		upper = append(upper, make([]uint32, level*(1+g.opt.M))...)
		above = upper[start:]
	}
	for layer := range level + 1 {
		n := int(r.u16())
		if n > g.maxLinks(layer) {
			r.fail("slot %d has %d links on layer %d, want at most %d", slot, n, layer, g.maxLinks(layer))
			return upper
		}
		links := r.take(4 * n)
		if links == nil || !fresh {
			continue
		}
		block := above
		if layer == 0 {
			block = g.base.at(slot)
		} else {
			above = above[1+g.opt.M:]
		}
		block[0] = uint32(n)
		for i := range n {
			block[1+i] = binary.LittleEndian.Uint32(links[4*i:])
		}
	}
	return upper
}

// SetVectors asks for the vectors of the slots from one up to another. It may be called from several goroutines at a
// time with parts that do not overlap, after the last Rows.
//
// The owner of the vectors may be ahead of the stored graph. An id for which vector returns an error that is ErrNoVector
// will be left out; one whose vector is not the one the graph was built with will be inserted anew. Any other error of
// vector is returned. What vector returns is not used any more when it is called again.
func (d *Decoder) SetVectors(from, to uint32, vector func(id uint64) ([]float32, error)) error {
	return d.SetVectorsFrom(from, to, func(uint64) []byte { return nil }, vector)
}

// SetVectorsFrom is SetVectors with a quick way to most of them: raw returns what should be the bytes of an id's vector,
// little-endian float32s, or nil. It need not prove them: they count only if they match the checksum in the graph's row.
// vector is asked for the others.
func (d *Decoder) SetVectorsFrom(from, to uint32, raw func(id uint64) []byte, vector func(id uint64) ([]float32, error)) error {
	g := d.g
	d.makeRoom.Do(func() {
		if g.vecs.coded {
			return // they have it by now
		}
		for slot := uint32(0); slot < d.head.slots; slot += chunkSize {
			g.vecs.reach(slot)
		}
	})
	if !g.vecs.coded {
		for _, chunk := range g.vecs.floats.chunks[from>>chunkShift : (to+chunkSize-1)>>chunkShift] {
			populate(chunk)
		}
	}
	var stale []staleVector
	row := make([]byte, g.vecs.codes.width)
	for slot := from; slot < to; slot++ {
		if g.levels[slot] == freeSlot {
			continue
		}
		id := g.ids[slot]
		if !g.vecs.coded && d.holdsRaw(slot, raw(id)) {
			continue
		}
		v, err := vector(id)
		if errors.Is(err, ErrNoVector) { // the row is zero until the node is removed
			if !g.vecs.coded {
				clear(g.vecs.floats.at(slot))
			}
			stale = append(stale, staleVector{id: id})
			continue
		}
		if err == nil && len(v) == g.opt.Dim && d.holds(slot, v, row) { // most were stored as they are compared
			continue
		}
		if err == nil {
			v, err = g.opt.Metric.prepare(v, g.opt.Dim)
		}
		if err != nil {
			return fmt.Errorf("read graph: vector of id %d: %w", id, err)
		}
		if !d.holds(slot, v, row) {
			stale = append(stale, staleVector{id: id, vec: slices.Clone(v)})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stale = append(d.stale, stale...)
	return nil
}

// holdsRaw gives a slot the float32s that b should be, and says whether they are those that its row tells of.
func (d *Decoder) holdsRaw(slot uint32, b []byte) bool {
	vs := &d.g.vecs
	return littleEndian && len(b) == 4*vs.dim && copy(vs.bytes(slot), b) > 0 && vs.checksum(slot) == d.sums[slot]
}

// holds says whether a vector is the one that a slot's row tells of. With Float32 the slot gets it in any case.
func (d *Decoder) holds(slot uint32, v []float32, row []byte) bool {
	vs := &d.g.vecs
	if vs.coded {
		encodeVector(row, v)
		return bytes.Equal(row, vs.codes.at(slot))
	}
	vs.set(slot, v)
	return vs.checksum(slot) == d.sums[slot]
}

// Graph returns a graph that behaves as the written one did: the same answers, and the same graph after the same further
// changes. With vectors that have changed it is brought up to them. The decoder must not be used any more. Searches get
// faster with Settle.
func (d *Decoder) Graph() (*Graph, error) {
	g := d.g
	for slot, got := range d.got {
		if got != gotRow|gotVec {
			return nil, fmt.Errorf("read graph: %w: slot %d is missing, or what it says of its vector", ErrCorrupt, slot)
		}
	}
	d.joinUpper()
	g.base.plain, g.vecs.floats.plain, g.vecs.codes.plain = false, false, false
	g.free, g.firstFree = int(d.head.free), d.head.firstFree
	if entry := d.head.entry; entry != noSlot {
		if entry >= d.head.slots || g.levels[entry] < 0 {
			return nil, fmt.Errorf("read graph: %w: entry point %d is not a node", ErrCorrupt, entry)
		}
		g.entry, g.top = entry, int(g.levels[entry])
	}
	var listed error
	var wg sync.WaitGroup
	wg.Go(func() { listed = g.listIDs() }) // which no other goroutine can help with
	proved := g.checkStored()
	wg.Wait()
	if err := cmp.Or(listed, proved); err != nil {
		return nil, fmt.Errorf("read graph: %w: %w", ErrCorrupt, err)
	}
	slices.SortFunc(d.stale, func(a, b staleVector) int {
		first, _ := g.slotOf.get(g.ids, a.id)
		second, _ := g.slotOf.get(g.ids, b.id)
		return cmp.Compare(first, second)
	})
	var gone, ids []uint64
	var vecs [][]float32
	for _, s := range d.stale {
		gone = append(gone, s.id)
		if s.vec != nil {
			ids, vecs = append(ids, s.id), append(vecs, s.vec)
		}
	}
	g.DeleteAll(gone)
	if err := g.checkTwinVectors(); err != nil {
		return nil, fmt.Errorf("read graph: %w: %w", ErrCorrupt, err)
	}
	if err := g.AddBatch(ids, vecs); err != nil {
		return nil, fmt.Errorf("read graph: %w", err)
	}
	return g, nil
}

// listIDs fills the table of ids.
func (g *Graph) listIDs() error {
	g.slotOf.grow(g.ids, len(g.ids)-g.free)
	const ahead = 16 // ids whose places are on their way
	for slot, level := range g.levels {
		if slot+ahead < len(g.ids) {
			g.slotOf.fetch(g.ids[slot+ahead])
		}
		if level == freeSlot {
			continue
		}
		if other := g.slotOf.put(g.ids, uint32(slot)); other != noSlot {
			return fmt.Errorf("id %d is at slots %d and %d", g.ids[slot], other, slot)
		}
	}
	return nil
}

// joinUpper makes Graph.upper of its parts.
func (d *Decoder) joinUpper() {
	g := d.g
	size := 0
	for _, part := range d.upper {
		size += len(part)
	}
	g.upper = make([]uint32, 0, size)
	for _, part := range d.upper {
		for len(part) > 0 {
			slot, n := part[0], 2+int(part[1])*(1+g.opt.M)
			g.aux[slot] = uint32(len(g.upper))
			g.upper = append(g.upper, part[2:n]...)
			part = part[n:]
		}
	}
	d.upper = nil
}

// rowReader takes fields from the front of a block, and remembers the first error.
type rowReader struct {
	b   []byte
	err error
}

func (r *rowReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// take returns the next n bytes, or nil when there are not so many.
func (r *rowReader) take(n int) []byte {
	if len(r.b) < n {
		r.fail("a row is cut short")
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *rowReader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *rowReader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *rowReader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *rowReader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}
