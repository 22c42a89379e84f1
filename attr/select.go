package attr

import (
	"cmp"
	"math"
	mathbits "math/bits"
	"slices"
	"strings"

	"robin"
	"robin/filter"
)

// Select gives the documents that pass a filter; a nil filter passes all. A field that is no attribute, an operator
// that its type does not know, and a value of another type are robin.CodeInvalid errors for /filter, whether or not the
// test would have decided anything.
func (t *Table) Select(n filter.Node) (Set, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n == nil {
		return t.setLocked(t.live), nil
	}
	b, err := t.evalLocked(n)
	if err != nil {
		return Set{}, err
	}
	return t.setLocked(b), nil
}

// Check says whether Select would accept a filter.
func (t *Table) Check(n filter.Node) error {
	_, err := New(t.types).Select(n)
	return err
}

// evalLocked gives the slots that pass; the caller may change them.
func (t *Table) evalLocked(n filter.Node) (bits, error) {
	switch n := n.(type) {
	case filter.And:
		return t.listLocked(n, bits.and)
	case filter.Or:
		return t.listLocked(n, bits.or)
	case filter.Not:
		b, err := t.evalLocked(n.Node)
		if err != nil {
			return nil, err
		}
		return t.complementLocked(b), nil
	case filter.Exists:
		return t.existsLocked(n.Field)
	case filter.In:
		return t.testLocked(n.Field, filter.Equal, n.Values)
	case filter.Compare:
		if n.Op == filter.NotEqual {
			b, err := t.testLocked(n.Field, filter.Equal, []string{n.Value})
			if err != nil {
				return nil, err
			}
			return t.complementLocked(b), nil
		}
		return t.testLocked(n.Field, n.Op, []string{n.Value})
	}
	return nil, robin.Errorf(robin.CodeInternal, "a filter node of the unknown type %T", n)
}

func (t *Table) listLocked(nodes []filter.Node, join func(bits, bits)) (bits, error) {
	var all bits
	for i, n := range nodes {
		b, err := t.evalLocked(n)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			all = b
		} else {
			join(all, b)
		}
	}
	return all, nil
}

func (t *Table) complementLocked(b bits) bits {
	for i := range b {
		b[i] = t.live[i] &^ b[i]
	}
	return b
}

func (t *Table) existsLocked(field string) (bits, error) {
	out := newBits(len(t.numbers))
	if c, ok := t.words[field]; ok {
		for slot, code := range c.first {
			if code != 0 {
				out.set(uint32(slot))
			}
		}
		return out, nil
	}
	if c, ok := t.nums[field]; ok {
		for slot, v := range c.first {
			if !math.IsNaN(v) {
				out.set(uint32(slot))
			}
		}
		return out, nil
	}
	return nil, t.unknown("/filter", field)
}

// testLocked gives the slots with a value for which "value op one of wanted" holds. op is not NotEqual.
func (t *Table) testLocked(field string, op filter.Op, wanted []string) (bits, error) {
	typ, ok := t.types[field]
	if !ok {
		return nil, t.unknown("/filter", field)
	}
	switch typ {
	case robin.Keyword, robin.Bool:
		if op != filter.Equal {
			return nil, robin.Invalid("/filter", "%s is a %s, which knows =, != and IN but not %s", field, typ, op)
		}
		return t.wordsLocked(field, typ, wanted)
	}
	spans := make([]span, 0, len(wanted))
	for _, w := range wanted {
		from, to, ok := parseSpan(typ, w)
		if !ok {
			return nil, robin.Invalid("/filter", "%s is a %s, and %s is not %s", field, typ, quote(w), describe(typ))
		}
		switch inf := math.Inf(1); op {
		case filter.Less:
			from, to = -inf, math.Nextafter(from, -inf)
		case filter.LessOrEqual:
			from = -inf
		case filter.Greater:
			from, to = math.Nextafter(to, inf), inf
		case filter.GreaterOrEqual:
			to = inf
		}
		spans = append(spans, span{from, to})
	}
	return t.nums[field].within(spans), nil
}

func parseSpan(typ robin.AttributeType, s string) (from, to float64, ok bool) {
	if typ == robin.Date {
		return parseDate(s)
	}
	n, ok := parseNumber(s)
	return n, n, ok
}

func (t *Table) wordsLocked(field string, typ robin.AttributeType, wanted []string) (bits, error) {
	c := t.words[field]
	match := make([]bool, len(c.spellings))
	for _, w := range wanted {
		if typ == robin.Bool {
			if _, ok := parseBool(w); !ok {
				return nil, robin.Invalid("/filter", "%s is a bool, and %s is not true or false", field, quote(w))
			}
			w = strings.TrimSpace(w)
		}
		if group, ok := c.byFold[Fold(w)]; ok {
			for _, code := range c.members[group] {
				match[code] = true
			}
		}
	}
	out := newBits(len(t.numbers))
	for slot, code := range c.first {
		if match[code] {
			out.set(uint32(slot))
		}
	}
	for slot, codes := range c.more {
		for _, code := range codes {
			if match[code] {
				out.set(slot)
			}
		}
	}
	return out, nil
}

// span is from ≤ value ≤ to.
type span struct{ from, to float64 }

// within gives the slots with a value in one of the spans.
func (c *numbers) within(spans []span) bits {
	// Merged, at most one span can hold a value: the last that starts at or before it.
	spans = merge(spans)
	in := func(v float64) bool {
		if len(spans) == 1 {
			return v >= spans[0].from && v <= spans[0].to
		}
		i, _ := slices.BinarySearchFunc(spans, v, func(s span, v float64) int {
			if s.from <= v {
				return -1
			}
			return 1
		})
		return i > 0 && v <= spans[i-1].to
	}
	out := newBits(len(c.first))
	for slot, v := range c.first {
		if in(v) { // never for NaN
			out.set(uint32(slot))
		}
	}
	for slot, values := range c.more {
		if slices.ContainsFunc(values, in) {
			out.set(slot)
		}
	}
	return out
}

// merge sorts spans and joins those that overlap.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	out := spans[:1]
	for _, s := range spans[1:] {
		if last := &out[len(out)-1]; s.from <= last.to {
			last.to = max(last.to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// bits is a set of slots.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b *bits) grow(n int) {
	for len(*b) < (n+63)/64 {
		*b = append(*b, 0)
	}
}

func (b bits) set(i uint32)      { b[i/64] |= 1 << (i % 64) }
func (b bits) clear(i uint32)    { b[i/64] &^= 1 << (i % 64) }
func (b bits) has(i uint32) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bits) and(o bits) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b bits) or(o bits) {
	for i := range b {
		b[i] |= o[i]
	}
}

func (b bits) count() int {
	n := 0
	for _, w := range b {
		n += mathbits.OnesCount64(w)
	}
	return n
}

func (b bits) each(f func(slot uint32)) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			f(uint32(i*64 + mathbits.TrailingZeros64(w)))
		}
	}
}
