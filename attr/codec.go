package attr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"robin"
)

// A stored table is for whoever made it: it names its attributes and their types, and is refused where they differ. Its
// keeper proves that the bytes are as they were written. Numbers are little-endian, counts and lengths uvarints.
//
//	version     uint8   1
//	documents   count, then for each its number as a uint64, ascending; a document's place is its place in this list
//	columns     count, then for each, by name:
//	  name      length and bytes
//	  type      length and bytes
//	  then of words
//	    spellings  count, then length and bytes of each; a spelling's code is its place in this list, from 1
//	    first      for each document a uint32: the code of its first value, 0 for none
//	    more       count, then for each: the document's place, a count, and so many codes, all uvarints
//	  or of numbers
//	    first      for each document a float64: its first value, NaN for none
//	    more       count, then for each: the document's place, a count, and so many float64s
const tableVersion = 1

// AppendBinary appends the table to dst.
func (t *Table) AppendBinary(dst []byte) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	slots := make([]uint32, 0, t.slots.n)
	t.live.each(func(slot uint32) { slots = append(slots, slot) })
	slices.SortFunc(slots, func(a, b uint32) int {
		if t.numbers[a] < t.numbers[b] {
			return -1
		}
		return 1
	})
	dst = binary.AppendUvarint(append(dst, tableVersion), uint64(len(slots)))
	for _, slot := range slots {
		dst = binary.LittleEndian.AppendUint64(dst, t.numbers[slot])
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.names)))
	for _, name := range t.names {
		dst = appendString(dst, name)
		dst = appendString(dst, string(t.types[name]))
		if c := t.words[name]; c != nil {
			dst = c.append(dst, slots)
		} else {
			dst = t.nums[name].append(dst, slots)
		}
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (c *words) append(dst []byte, slots []uint32) []byte {
	codes := make([]uint32, len(c.spellings)) // as stored: those that are free are left out
	used := uint64(0)
	for code, n := range c.uses {
		if n > 0 {
			used++
			codes[code] = uint32(used)
		}
	}
	dst = binary.AppendUvarint(dst, used)
	for code, s := range c.spellings {
		if codes[code] > 0 {
			dst = appendString(dst, s)
		}
	}
	first := func(dst []byte, code uint32) []byte { return binary.LittleEndian.AppendUint32(dst, codes[code]) }
	further := func(dst []byte, code uint32) []byte { return binary.AppendUvarint(dst, uint64(codes[code])) }
	return appendLists(dst, slots, c.first, c.more, first, further)
}

func (c *numbers) append(dst []byte, slots []uint32) []byte {
	write := func(dst []byte, v float64) []byte { return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)) }
	return appendLists(dst, slots, c.first, c.more, write, write)
}

// appendLists appends the first value of each slot, and then, by its place among slots, the further ones of those that have
// several.
func appendLists[V any](dst []byte, slots []uint32, first []V, more map[uint32][]V, writeFirst, writeFurther func([]byte, V) []byte) []byte {
	count := uint64(0)
	for _, slot := range slots {
		dst = writeFirst(dst, first[slot])
		if len(more[slot]) > 0 {
			count++
		}
	}
	dst = binary.AppendUvarint(dst, count)
	for place, slot := range slots {
		if list := more[slot]; len(list) > 0 {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(place)), uint64(len(list)))
			for _, v := range list {
				dst = writeFurther(dst, v)
			}
		}
	}
	return dst
}

// DecodeTable reads what AppendBinary wrote of a table of these types. It keeps no part of b and allocates no more than a
// small multiple of it.
func DecodeTable(types map[string]robin.AttributeType, b []byte) (*Table, error) {
	t := New(types)
	d := decoder{b: b}
	if v := d.byte(); d.err == nil && v != tableVersion {
		return nil, fmt.Errorf("decode attributes: version %d, want %d", v, tableVersion)
	}
	n := d.count(8)
	t.numbers = make([]uint64, n)
	t.live.grow(n)
	for i := range t.numbers {
		number := binary.LittleEndian.Uint64(d.take(8))
		if i > 0 && number <= t.numbers[i-1] {
			d.fail("documents out of order")
			break
		}
		t.numbers[i] = number
		t.slots.put(number, uint32(i))
		t.live.set(uint32(i))
	}
	names := make([]string, d.count(2))
	for i := range names {
		name := d.string()
		names[i] = name
		if typ := d.string(); d.err == nil && (typ != string(types[name]) || i > 0 && name <= names[i-1]) {
			return nil, fmt.Errorf("decode attributes: attribute %q of type %q, want %q", name, typ, types[name])
		}
		if c := t.words[name]; c != nil {
			c.decode(&d, n)
		} else if c := t.nums[name]; c != nil {
			c.decode(&d, n)
		}
	}
	if d.err == nil && !slices.Equal(names, slices.Sorted(maps.Keys(types))) {
		return nil, errors.New("decode attributes: there are others")
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes after the end")
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode attributes: %w", d.err)
	}
	return t, nil
}

func (c *words) decode(d *decoder, documents int) {
	n := d.count(1)
	for range n {
		s := d.string()
		if _, twice := c.codes[s]; d.err != nil || twice {
			d.fail("a spelling that is there twice")
			return
		}
		c.take(s)
	}
	for code := range c.uses { // they are counted below
		c.uses[code] = 0
	}
	use := func(code uint64) uint32 {
		if code > uint64(n) {
			d.fail("a code beyond the spellings")
			return 0
		}
		c.uses[code]++
		return uint32(code)
	}
	first := d.list(documents, 4)
	c.first = make([]uint32, len(first)/4)
	for i := range c.first {
		c.first[i] = use(uint64(binary.LittleEndian.Uint32(first[4*i:])))
	}
	c.uses[0] = 0
	for range d.count(3) {
		place := d.place(documents)
		list := make([]uint32, d.count(1))
		for i := range list {
			list[i] = use(d.uvarint())
		}
		c.more[place] = list
	}
	if d.err == nil && slices.Contains(c.uses[1:], 0) {
		d.fail("a spelling that no document has")
	}
}

func (c *numbers) decode(d *decoder, documents int) {
	first := d.list(documents, 8)
	c.first = make([]float64, len(first)/8)
	for i := range c.first {
		c.first[i] = math.Float64frombits(binary.LittleEndian.Uint64(first[8*i:]))
	}
	for range d.count(10) {
		place := d.place(documents)
		list := make([]float64, d.count(8))
		for i := range list {
			list[i] = math.Float64frombits(binary.LittleEndian.Uint64(d.take(8)))
		}
		c.more[place] = list
	}
}

// list gives n items of so many bytes each, or nothing.
func (d *decoder) list(n, size int) []byte {
	if d.err == nil && len(d.b)/size < n {
		d.fail("a column that is cut short")
	}
	if d.err != nil {
		return nil
	}
	out := d.b[:n*size]
	d.b = d.b[n*size:]
	return out
}

func (d *decoder) uvarint() uint64 {
	v, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.fail("a number that is cut short")
		return 0
	}
	d.b = d.b[w:]
	return v
}

func (d *decoder) place(documents int) uint32 {
	v := d.uvarint()
	if v >= uint64(documents) {
		d.fail("a place beyond the documents")
		return 0
	}
	return uint32(v)
}
