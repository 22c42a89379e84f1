package attr

import (
	"cmp"
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

// AppendBinary appends the table to dst. The table may change meanwhile: it is locked only for copies of some thousands of
// values, and of a column's list of spellings. What it appends can be decoded in any case, and is right of all documents but
// those that were set or deleted before it returned: these its keeper has to set or delete again.
func (t *Table) AppendBinary(dst []byte) []byte {
	places := t.places()
	dst = slices.Grow(dst, (8+4*len(t.words)+8*len(t.nums))*len(places))
	dst = binary.AppendUvarint(append(dst, tableVersion), uint64(len(places)))
	for _, p := range places {
		dst = binary.LittleEndian.AppendUint64(dst, p.number)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.names)))
	for _, name := range t.names {
		dst = appendString(dst, name)
		dst = appendString(dst, string(t.types[name]))
		if c := t.words[name]; c != nil {
			dst = t.appendWords(dst, c, places)
		} else {
			dst = t.appendNumbers(dst, t.nums[name], places)
		}
	}
	return dst
}

// place is where a document stands in a stored table.
type place struct {
	number uint64
	slot   uint32
}

// copiedTogether is how many values are copied under one lock: at most a millisecond's worth.
const copiedTogether = 1 << 13

// places lists the documents by number.
func (t *Table) places() []place {
	list := make([]place, 0, t.Len())
	for from, more := 0, true; more; from += copiedTogether {
		t.mu.RLock()
		end := min(from+copiedTogether, len(t.numbers))
		for slot := from; slot < end; slot++ {
			if t.live.has(uint32(slot)) {
				list = append(list, place{t.numbers[slot], uint32(slot)})
			}
		}
		more = end < len(t.numbers)
		t.mu.RUnlock()
	}
	slices.SortFunc(list, func(a, b place) int { return cmp.Compare(a.number, b.number) })
	return slices.CompactFunc(list, func(a, b place) bool { return a.number == b.number }) // deleted and set again meanwhile
}

// lists is what a column has of some documents: the first value of each, and the further ones of those that have several.
type lists[V any] struct {
	first []V
	more  []furtherValues[V]
}

type furtherValues[V any] struct {
	place  int
	values []V // the column's, which it replaces and does not change
}

// copyLists gives what a column has of each place. column is called under the lock.
func copyLists[V any](t *Table, places []place, column func() (first []V, more map[uint32][]V)) lists[V] {
	l := lists[V]{first: make([]V, 0, len(places))}
	for from := 0; from < len(places); from += copiedTogether {
		t.mu.RLock()
		first, more := column()
		for i, p := range places[from:min(from+copiedTogether, len(places))] {
			l.first = append(l.first, first[p.slot])
			if values := more[p.slot]; len(values) > 0 {
				l.more = append(l.more, furtherValues[V]{from + i, values})
			}
		}
		t.mu.RUnlock()
	}
	return l
}

func (t *Table) appendWords(dst []byte, c *words, places []place) []byte {
	l := copyLists(t, places, func() ([]uint32, map[uint32][]uint32) { return c.first, c.more })
	dst, codes := t.appendSpellings(dst, c, l)
	for i, code := range l.first {
		l.first[i] = codes[code]
	}
	more := l.more[:0]
	for _, m := range l.more {
		values := make([]uint32, 0, len(m.values))
		for _, code := range m.values {
			if codes[code] > 0 {
				values = append(values, codes[code])
			}
		}
		if len(values) > 0 {
			more = append(more, furtherValues[uint32]{m.place, values})
		}
	}
	l.more = more
	return l.append(dst, binary.LittleEndian.AppendUint32,
		func(dst []byte, code uint32) []byte { return binary.AppendUvarint(dst, uint64(code)) })
}

// appendSpellings appends those that the lists have, and gives the code that each is stored as. A code that has become free
// since it was copied, and then may be of another spelling by now, was only had by documents that have changed since.
func (t *Table) appendSpellings(dst []byte, c *words, l lists[uint32]) (_ []byte, stored []uint32) {
	t.mu.RLock()
	spellings, uses := slices.Clone(c.spellings), slices.Clone(c.uses)
	t.mu.RUnlock()
	had := make([]bool, len(spellings))
	for _, code := range l.first {
		had[code] = true
	}
	for _, m := range l.more {
		for _, code := range m.values {
			had[code] = true
		}
	}
	stored = make([]uint32, len(spellings))
	count := uint32(0)
	for code := range spellings {
		if had[code] && uses[code] > 0 { // 0, no value, is in use by none
			count++
			stored[code] = count
		}
	}
	dst = binary.AppendUvarint(dst, uint64(count))
	for code, s := range spellings {
		if stored[code] > 0 {
			dst = appendString(dst, s)
		}
	}
	return dst, stored
}

func (t *Table) appendNumbers(dst []byte, c *numbers, places []place) []byte {
	write := func(dst []byte, v float64) []byte { return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)) }
	l := copyLists(t, places, func() ([]float64, map[uint32][]float64) { return c.first, c.more })
	return l.append(dst, write, write)
}

func (l lists[V]) append(dst []byte, writeFirst, writeFurther func([]byte, V) []byte) []byte {
	for _, v := range l.first {
		dst = writeFirst(dst, v)
	}
	dst = binary.AppendUvarint(dst, uint64(len(l.more)))
	for _, m := range l.more {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(m.place)), uint64(len(m.values)))
		for _, v := range m.values {
			dst = writeFurther(dst, v)
		}
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
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
