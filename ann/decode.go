package ann

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Decode reads what Encode wrote, asks vector for the vector of each id, and returns a graph that behaves as the
// written one did: the same answers, and the same graph after the same further changes. It reads no byte beyond the
// end mark.
//
// The owner of the vectors may be ahead of the stored graph. An id for which vector returns an error that is
// ErrNoVector is left out; one whose vector is not the one the graph was built with is inserted anew. Any other error
// of vector ends Decode with that error. Damage of any kind gives ErrCorrupt, another version ErrVersion.
func Decode(r io.Reader, vector func(id uint64) ([]float32, error)) (*Graph, error) {
	d := &blockReader{r: r}
	g, stale, err := decode(d, vector)
	if err != nil {
		return nil, fmt.Errorf("read graph: %w", err)
	}
	if err := g.checkStructure(); err != nil {
		return nil, fmt.Errorf("read graph: %w: %w", ErrCorrupt, err)
	}
	var ids []uint64
	var vecs [][]float32
	for _, s := range stale {
		g.Delete(s.id)
		if s.vec != nil {
			ids, vecs = append(ids, s.id), append(vecs, s.vec)
		}
	}
	if err := g.checkTwinVectors(); err != nil {
		return nil, fmt.Errorf("read graph: %w: %w", ErrCorrupt, err)
	}
	if err := g.AddBatch(ids, vecs); err != nil {
		return nil, fmt.Errorf("read graph: %w", err)
	}
	return g, nil
}

// staleVector is an id whose vector is no longer the one that its links were made for; vec is nil when it has none.
type staleVector struct {
	id  uint64
	vec []float32
}

func decode(d *blockReader, vector func(id uint64) ([]float32, error)) (*Graph, []staleVector, error) {
	if err := d.begin(); err != nil {
		return nil, nil, err
	}
	var opt Options
	opt.Dim = int(d.u32())
	opt.Metric = Metric(d.u8())
	opt.M = int(d.u32())
	opt.EfConstruction = int(d.u32())
	opt.EfSearch = int(d.u32())
	opt.Seed = d.u64()
	slots, free, entry := d.u32(), d.u32(), d.u32()
	if d.err != nil {
		return nil, nil, d.err
	}
	if opt.M == 0 || opt.EfConstruction == 0 || opt.EfSearch == 0 { // zero is for callers; Encode writes what was in use
		return nil, nil, fmt.Errorf("%w: an option is zero", ErrCorrupt)
	}
	g, err := NewGraph(opt)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if slots > maxSlots || free > slots || entry > maxSlots {
		return nil, nil, fmt.Errorf("%w: %d slots, %d free, entry point %d", ErrCorrupt, slots, free, entry)
	}

	var stale []staleVector
	freeSeen := uint32(0)
	for slot := range slots {
		kind := d.u8()
		if d.err != nil {
			return nil, nil, d.err
		}
		if kind == codecFree {
			if freeSeen++; freeSeen > free {
				return nil, nil, fmt.Errorf("%w: more than %d free slots", ErrCorrupt, free)
			}
			g.growSlot()
			continue
		}
		if kind != codecTwin && kind > maxLevel {
			return nil, nil, fmt.Errorf("%w: slot %d is of kind %d", ErrCorrupt, slot, kind)
		}
		s, err := g.decodeSlot(d, slot, kind, vector)
		if err != nil {
			return nil, nil, err
		}
		if s != nil {
			stale = append(stale, *s)
		}
	}
	if freeSeen != free {
		return nil, nil, fmt.Errorf("%w: %d free slots, want %d", ErrCorrupt, freeSeen, free)
	}
	for range free {
		g.free = append(g.free, d.u32())
	}
	if err := d.end(); err != nil {
		return nil, nil, err
	}
	if entry != noSlot {
		if entry >= slots || g.levels[entry] < 0 {
			return nil, nil, fmt.Errorf("%w: entry point %d is not a node", ErrCorrupt, entry)
		}
		g.entry, g.top = entry, int(g.levels[entry])
	}
	return g, stale, nil
}

// decodeSlot reads a slot that is not free, and reports it when its vector is not the one that was written.
func (g *Graph) decodeSlot(d *blockReader, slot uint32, kind uint8, vector func(id uint64) ([]float32, error)) (*staleVector, error) {
	id, sum, next := d.u64(), d.u32(), d.u32()
	if d.err != nil {
		return nil, d.err
	}
	if _, ok := g.slotOf[id]; ok {
		return nil, fmt.Errorf("%w: id %d is there twice", ErrCorrupt, id)
	}
	g.growSlot()
	g.ids[slot] = id
	g.next[slot] = next
	g.slotOf[id] = slot
	if kind == codecTwin {
		g.levels[slot] = twinSlot
		g.aux[slot] = d.u32()
	} else {
		g.levels[slot] = int8(kind)
		if kind > 0 {
			g.aux[slot] = g.newUpper(int(kind))
		}
		for layer := range int(kind) + 1 {
			if err := g.decodeLinks(d, slot, layer); err != nil {
				return nil, err
			}
		}
	}
	if d.err != nil {
		return nil, d.err
	}

	v, err := vector(id)
	if errors.Is(err, ErrNoVector) {
		g.vecs.set(slot, make([]float32, g.opt.Dim)) // until the node is removed
		return &staleVector{id: id}, nil
	}
	if err == nil {
		v, err = g.opt.Metric.prepare(v, g.opt.Dim)
	}
	if err != nil {
		return nil, fmt.Errorf("vector of id %d: %w", id, err)
	}
	g.vecs.set(slot, v)
	d.bytes = appendVector(d.bytes[:0], v)
	if crc32.Checksum(d.bytes, castagnoli) != sum {
		return &staleVector{id: id, vec: slices.Clone(v)}, nil
	}
	return nil, nil
}

func (g *Graph) decodeLinks(d *blockReader, slot uint32, layer int) error {
	n := int(d.u16())
	if n > g.maxLinks(layer) {
		return fmt.Errorf("%w: slot %d has %d links on layer %d, want at most %d", ErrCorrupt, slot, n, layer, g.maxLinks(layer))
	}
	block := g.block(slot, layer)
	block[0] = uint32(n)
	for i := range n {
		block[1+i] = d.u32()
	}
	return d.err
}

// blockReader gives out the body of a stream of blocks, and remembers the first error. A block is handed on only
// when its checksum is right.
type blockReader struct {
	r     io.Reader
	buf   []byte // of the present block
	left  []byte // what of it is not yet read
	done  uint64 // bytes of payload in the blocks so far
	ended bool
	err   error
	field [8]byte // one that lay across two blocks
	bytes []byte  // of a vector
}

func (d *blockReader) begin() error {
	var head [len(codecMagic) + 4]byte
	if err := d.readFull(head[:]); err != nil {
		return err
	}
	if string(head[:len(codecMagic)]) != codecMagic {
		return fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, codecMagic)
	}
	if v := binary.LittleEndian.Uint32(head[len(codecMagic):]); v != codecVersion {
		return fmt.Errorf("%w: version %d, want %d", ErrVersion, v, codecVersion)
	}
	return nil
}

// end reads the end mark; nothing may come before it.
func (d *blockReader) end() error {
	if d.err == nil && len(d.left) == 0 && !d.ended {
		d.nextBlock()
	}
	if d.err == nil && (!d.ended || len(d.left) > 0) {
		d.err = fmt.Errorf("%w: more follows after the last slot", ErrCorrupt)
	}
	return d.err
}

func (d *blockReader) nextBlock() {
	var head [8]byte
	if d.err = d.readFull(head[:]); d.err != nil {
		return
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length > maxPayload {
		d.err = fmt.Errorf("%w: block of %d bytes, want at most %d", ErrCorrupt, length, maxPayload)
		return
	}
	if d.buf == nil {
		d.buf = make([]byte, maxPayload)
	}
	d.left = d.buf[:length]
	if d.err = d.readFull(d.left); d.err != nil {
		return
	}
	if blockSum(d.done, d.left) != binary.LittleEndian.Uint32(head[4:]) {
		d.err = fmt.Errorf("%w: checksum of the block after %d bytes is wrong", ErrCorrupt, d.done)
		return
	}
	d.done += uint64(length)
	d.ended = length == 0
}

func (d *blockReader) readFull(b []byte) error {
	_, err := io.ReadFull(d.r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends too early", ErrCorrupt)
	}
	return err
}

// take returns the next n bytes of the body, n at most 8; zeros after an error.
func (d *blockReader) take(n int) []byte {
	if len(d.left) >= n && d.err == nil {
		b := d.left[:n]
		d.left = d.left[n:]
		return b
	}
	got := 0
	for got < n && d.err == nil {
		if len(d.left) == 0 {
			if d.ended {
				d.err = fmt.Errorf("%w: the end mark comes too early", ErrCorrupt)
				break
			}
			d.nextBlock()
			continue
		}
		c := copy(d.field[got:n], d.left)
		d.left = d.left[c:]
		got += c
	}
	if d.err != nil {
		d.field = [8]byte{}
	}
	return d.field[:n]
}

func (d *blockReader) u8() uint8   { return d.take(1)[0] }
func (d *blockReader) u16() uint16 { return binary.LittleEndian.Uint16(d.take(2)) }
func (d *blockReader) u32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }
func (d *blockReader) u64() uint64 { return binary.LittleEndian.Uint64(d.take(8)) }
