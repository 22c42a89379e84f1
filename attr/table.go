package attr

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin"
)

// Table holds the attributes of a collection's documents. A document has a slot, which indexes every column; the slot
// of a deleted document goes to the next new one, so columns stay as long as the collection once was, however many
// documents come and go.
type Table struct {
	types map[string]robin.AttributeType // fixed at New
	names []string                       // sorted

	mu      sync.RWMutex
	slots   slotIndex
	numbers []uint64 // slot → document number
	live    bits     // slots in use
	free    []uint32
	words   map[string]*words   // keyword and bool
	nums    map[string]*numbers // number and date
}

// New makes an empty table.
func New(types map[string]robin.AttributeType) *Table {
	t := &Table{
		types: maps.Clone(types),
		names: slices.Sorted(maps.Keys(types)),
		slots: slotIndex{pages: map[uint64]*slotPage{}},
		words: map[string]*words{},
		nums:  map[string]*numbers{},
	}
	for name, typ := range types {
		switch typ {
		case robin.Keyword, robin.Bool:
			t.words[name] = newWords()
		default:
			t.nums[name] = &numbers{more: map[uint32][]float64{}}
		}
	}
	return t
}

// Set writes a document's attributes, in place of those it had. Attributes that the table does not have, or has with
// another type, are left out.
func (t *Table) Set(number uint64, v Values) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot, exists := t.slots.get(number)
	switch {
	case exists:
	case len(t.free) > 0:
		slot = t.free[len(t.free)-1]
		t.free = t.free[:len(t.free)-1]
	default:
		slot = uint32(len(t.numbers))
		t.numbers = append(t.numbers, 0)
		t.live.grow(len(t.numbers))
		for _, c := range t.words {
			c.first = append(c.first, 0)
		}
		for _, c := range t.nums {
			c.first = append(c.first, math.NaN())
		}
	}
	t.slots.put(number, slot)
	t.numbers[slot] = number
	t.live.set(slot)
	for name, c := range t.words {
		c.set(slot, v[name].Words)
	}
	for name, c := range t.nums {
		c.set(slot, v[name].Numbers)
	}
}

// Delete forgets a document. It is no error when there is none.
func (t *Table) Delete(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot, exists := t.slots.get(number)
	if !exists {
		return
	}
	t.slots.remove(number)
	t.live.clear(slot)
	t.free = append(t.free, slot)
	for _, c := range t.words {
		c.set(slot, nil)
	}
	for _, c := range t.nums {
		c.set(slot, nil)
	}
}

// Len counts the documents.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.slots.n
}

// All gives every document's number.
func (t *Table) All() Set {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.setLocked(t.live)
}

// setLocked turns slots into document numbers.
func (t *Table) setLocked(b bits) Set {
	out := make([]uint64, 0, b.count())
	b.each(func(slot uint32) { out = append(out, t.numbers[slot]) })
	if !slices.IsSorted(out) { // slots are in the order of numbers until one is used again
		slices.Sort(out)
	}
	s := roaring64.New()
	s.AddMany(out)
	return Set{s}
}

// unknown is the error for a field that is no attribute.
func (t *Table) unknown(pointer, field string) error {
	names := slices.DeleteFunc(slices.Clone(t.names), robin.ReservedAttribute)
	if len(names) == 0 {
		return robin.Invalid(pointer, "%q is not an attribute: the collection's settings list none", field)
	}
	return robin.Invalid(pointer, "%q is not an attribute; the attributes are %s", field, strings.Join(names, ", "))
}

// words is a column of dictionary codes. Code 0 is no value. Spellings that fold to one word are codes of one group,
// so that a test looks at groups while a facet can show how the word is written.
type words struct {
	first []uint32            // slot → code of its first value
	more  map[uint32][]uint32 // slot → codes of its other values

	codes     map[string]uint32 // spelling → code
	spellings []string          // code → spelling
	uses      []int             // code → documents that have it; 0: the code is free
	groups    []uint32          // code → group
	freeCodes []uint32

	byFold     map[string]uint32 // folded word → group
	folds      []string          // group → folded word
	members    [][]uint32        // group → its codes
	freeGroups []uint32
}

func newWords() *words {
	return &words{
		more: map[uint32][]uint32{}, codes: map[string]uint32{}, byFold: map[string]uint32{},
		spellings: []string{""}, uses: []int{0}, groups: []uint32{0}, folds: []string{""}, members: [][]uint32{nil},
	}
}

func (c *words) set(slot uint32, values []string) {
	old, oldMore := c.first[slot], c.more[slot]
	c.first[slot] = 0
	delete(c.more, slot)
	if len(values) > 0 {
		c.first[slot] = c.take(values[0])
	}
	if len(values) > 1 {
		codes := make([]uint32, len(values)-1)
		for i, v := range values[1:] {
			codes[i] = c.take(v)
		}
		c.more[slot] = codes
	}
	// Released after the new ones are taken, so that an unchanged value keeps its code.
	c.release(old)
	for _, code := range oldMore {
		c.release(code)
	}
}

func (c *words) take(spelling string) uint32 {
	if code, ok := c.codes[spelling]; ok {
		c.uses[code]++
		return code
	}
	fold := Fold(spelling)
	group, ok := c.byFold[fold]
	if !ok {
		if n := len(c.freeGroups); n > 0 {
			group, c.freeGroups = c.freeGroups[n-1], c.freeGroups[:n-1]
		} else {
			group = uint32(len(c.folds))
			c.folds = append(c.folds, "")
			c.members = append(c.members, nil)
		}
		c.folds[group] = fold
		c.byFold[fold] = group
	}
	var code uint32
	if n := len(c.freeCodes); n > 0 {
		code, c.freeCodes = c.freeCodes[n-1], c.freeCodes[:n-1]
	} else {
		code = uint32(len(c.spellings))
		c.spellings = append(c.spellings, "")
		c.uses = append(c.uses, 0)
		c.groups = append(c.groups, 0)
	}
	c.codes[spelling] = code
	c.spellings[code] = spelling
	c.uses[code] = 1
	c.groups[code] = group
	c.members[group] = append(c.members[group], code)
	return code
}

func (c *words) release(code uint32) {
	if code == 0 {
		return
	}
	c.uses[code]--
	if c.uses[code] > 0 {
		return
	}
	delete(c.codes, c.spellings[code])
	c.spellings[code] = ""
	c.freeCodes = append(c.freeCodes, code)
	group := c.groups[code]
	c.groups[code] = 0
	m := c.members[group]
	c.members[group] = slices.Delete(m, slices.Index(m, code), slices.Index(m, code)+1)
	if len(c.members[group]) == 0 {
		delete(c.byFold, c.folds[group])
		c.folds[group] = ""
		c.freeGroups = append(c.freeGroups, group)
	}
}

// label gives the spelling of a group that most documents use, the first in byte order among equals.
func (c *words) label(group uint32) string {
	best := c.members[group][0]
	for _, code := range c.members[group][1:] {
		if c.uses[code] > c.uses[best] || c.uses[code] == c.uses[best] && c.spellings[code] < c.spellings[best] {
			best = code
		}
	}
	return c.spellings[best]
}

// numbers is a column of float64. NaN is no value.
type numbers struct {
	first []float64
	more  map[uint32][]float64
}

func (c *numbers) set(slot uint32, values []float64) {
	c.first[slot] = math.NaN()
	delete(c.more, slot)
	if len(values) > 0 {
		c.first[slot] = values[0]
	}
	if len(values) > 1 {
		c.more[slot] = slices.Clone(values[1:])
	}
}

// each calls f with every value of a slot.
func (c *numbers) each(slot uint32, f func(float64)) {
	if v := c.first[slot]; !math.IsNaN(v) {
		f(v)
		for _, v := range c.more[slot] {
			f(v)
		}
	}
}
