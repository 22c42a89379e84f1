package ann

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"unsafe"
)

// vectors holds prepared vectors by slot, as float32s or as codes. It owns its memory; floats.at lends it.
type vectors struct {
	metric Metric
	dim    int
	coded  bool
	floats rows[float32] // unless coded
	codes  rows[byte]    // if coded: codes.go says what is in a row
}

func newVectors(o Options) vectors {
	return vectors{
		metric: o.Metric, dim: o.Dim, coded: o.Precision == Int8,
		floats: rows[float32]{width: o.Dim}, codes: rows[byte]{width: codeWidth(o.Dim)},
	}
}

// probe is what others are compared with, in the form that the kernels take: a query, or what lies in a slot.
type probe struct {
	floats []float32 // borrowed; unless coded
	row    []byte    // borrowed, or own; if coded
	codes  []byte    // of the row
	scale  float32   // of the row, as codeEnd has it
	norm   float32
	own    []byte // the row of what lies in no slot
}

// comparisons is the memory of comparing a probe with many slots.
type comparisons struct {
	floats []*float32
	codes  []*byte
	dots   []float32
	ints   []int32
	dists  []Distance
}

// reach makes room for a slot.
func (vs *vectors) reach(slot uint32) {
	if vs.coded {
		vs.codes.reach(slot)
	} else {
		vs.floats.reach(slot)
	}
}

func (vs *vectors) set(slot uint32, v []float32) {
	vs.reach(slot)
	if vs.coded {
		encodeVector(vs.codes.at(slot), v)
		return
	}
	copy(vs.floats.at(slot), v)
}

// copy gives a slot the vector of another.
func (vs *vectors) copy(to, from uint32) {
	vs.reach(to)
	if vs.coded {
		copy(vs.codes.at(to), vs.codes.at(from))
	} else {
		copy(vs.floats.at(to), vs.floats.at(from))
	}
}

// vector returns a copy of what a slot holds; of a code, what it stands for.
func (vs *vectors) vector(slot uint32) []float32 {
	v := make([]float32, vs.dim)
	if vs.coded {
		decodeVector(v, vs.codes.at(slot))
	} else {
		copy(v, vs.floats.at(slot))
	}
	return v
}

// probe readies a prepared vector.
func (vs *vectors) probe(p *probe, v []float32) {
	if !vs.coded {
		p.floats = v
		return
	}
	if p.own == nil {
		p.own = make([]byte, vs.codes.width)
	}
	encodeVector(p.own, v)
	vs.probeRow(p, p.own)
}

// probeAt readies what a slot holds. It stays valid as long as the slot does not change.
func (vs *vectors) probeAt(p *probe, slot uint32) {
	if vs.coded {
		vs.probeRow(p, vs.codes.at(slot))
	} else {
		p.floats = vs.floats.at(slot)
	}
}

func (vs *vectors) probeRow(p *probe, row []byte) {
	p.row, p.codes = row, row[:len(row)-codeTail]
	p.scale, p.norm = codeEnd(row)
}

// same says whether a slot holds bit for bit what p is of: 0 and -0 differ, because a float32 vector must come back as it
// went in.
func (vs *vectors) same(p *probe, slot uint32) bool {
	if vs.coded {
		return bytes.Equal(p.row, vs.codes.at(slot))
	}
	for i, x := range vs.floats.at(slot) {
		if math.Float32bits(x) != math.Float32bits(p.floats[i]) {
			return false
		}
	}
	return true
}

// sameSlots is same of what two slots hold.
func (vs *vectors) sameSlots(a, b uint32) bool {
	if vs.coded {
		return bytes.Equal(vs.codes.at(a), vs.codes.at(b))
	}
	return vs.same(&probe{floats: vs.floats.at(a)}, b)
}

// appendStored appends what a row says of a slot's vector.
func (vs *vectors) appendStored(b []byte, slot uint32) []byte {
	if vs.coded {
		return append(b, vs.codes.at(slot)...)
	}
	return binary.LittleEndian.AppendUint32(b, vs.checksum(slot))
}

// stored is how long that is.
func (vs *vectors) stored() int {
	if vs.coded {
		return vs.codes.width
	}
	return 4
}

// checksum is the CRC-32C of a slot's float32s, little-endian.
func (vs *vectors) checksum(slot uint32) uint32 {
	if littleEndian {
		return crc32.Checksum(vs.bytes(slot), castagnoli)
	}
	v := vs.floats.at(slot)
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return crc32.Checksum(b, castagnoli)
}

// bytes are a slot's float32s as they lie in memory.
func (vs *vectors) bytes(slot uint32) []byte {
	v := vs.floats.at(slot)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// distance compares p with one slot. It goes through the kernels for four, so that a distance is the same to the bit
// whichever way it was asked for.
func (vs *vectors) distance(p *probe, slot uint32) Distance {
	if vs.coded {
		var ints [4]int32
		row := vs.codes.first(slot)
		codeDots(ints[:], p.codes, []*byte{row, row, row, row})
		var d [1]Distance
		vs.codeDistances(d[:], p, []*byte{row}, ints[:])
		return d[0]
	}
	var four [4]float32
	row := vs.floats.first(slot)
	vs.kernel(four[:], p.floats, []*float32{row, row, row, row})
	return vs.metric.fromKernel(four[0])
}

// kernel is dots, or squares for L2.
func (vs *vectors) kernel(dst, q []float32, rows []*float32) {
	if vs.metric == L2 {
		squares(dst, q, rows)
	} else {
		dots(dst, q, rows)
	}
}

// distances compares p with each of slots, in order. The answer is valid until the next call with c.
func (vs *vectors) distances(c *comparisons, p *probe, slots []uint32) []Distance {
	c.reset()
	vs.gather(c, slots)
	return vs.compare(c, p)
}

// reset forgets what was gathered.
func (c *comparisons) reset() { c.floats, c.codes = c.floats[:0], c.codes[:0] }

// gather adds slots to what compare compares. They lie anywhere, and their codes are fetched from here on, so that all that a
// search waits for is on its way together: without this, searches of 45,000 product texts took a tenth longer. Float32s are
// too long for that; the kernels fetch four while they compare four.
func (vs *vectors) gather(c *comparisons, slots []uint32) {
	if !vs.coded {
		for _, s := range slots {
			c.floats = append(c.floats, vs.floats.first(s))
		}
		return
	}
	before := len(c.codes)
	for _, s := range slots {
		c.codes = append(c.codes, vs.codes.first(s))
	}
	if n := len(slots); n > 0 {
		fetchRows(unsafe.Pointer(&c.codes[before]), n, vs.codes.width)
	}
}

// compare compares p with what was gathered, in order. The answer is valid until c is used again.
func (vs *vectors) compare(c *comparisons, p *probe) []Distance {
	if !vs.coded {
		vs.compareFloats(c, p.floats)
		return c.dists
	}
	n := len(c.codes)
	c.codes = inFours(c.codes)
	c.ints, c.dists = grown(c.ints, len(c.codes)), grown(c.dists, n)
	codeDots(c.ints, p.codes, c.codes)
	vs.codeDistances(c.dists, p, c.codes[:n], c.ints)
	return c.dists
}

// compareFloats is compare of rows of float32s.
func (vs *vectors) compareFloats(c *comparisons, q []float32) {
	n := len(c.floats)
	c.floats = inFours(c.floats)
	c.dots, c.dists = grown(c.dots, len(c.floats)), grown(c.dists, n)
	vs.kernel(c.dots, q, c.floats)
	for i, d := range c.dots[:n] {
		c.dists[i] = vs.metric.fromKernel(d)
	}
}

// inFours repeats the first of some rows until there are as many as the kernels like.
func inFours[T any](rows []T) []T {
	for len(rows)%4 != 0 {
		rows = append(rows, rows[0])
	}
	return rows
}

// codeDistances makes distances of what codeDots gave for some rows.
func (vs *vectors) codeDistances(dst []Distance, p *probe, rows []*byte, products []int32) {
	products, at := products[:len(rows)], vs.codes.width-codeTail
	dst = dst[:len(rows)]
	for i, row := range rows {
		scale, norm := codeEnd((*[codeTail]byte)(unsafe.Add(unsafe.Pointer(row), at))[:])
		x := p.scale * scale * float32(products[i])
		if vs.metric == L2 {
			x = max(0, p.norm+norm-2*x)
		}
		dst[i] = vs.metric.fromKernel(x)
	}
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, 2*n)
	}
	return s[:n]
}
