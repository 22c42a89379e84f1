package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// The layout of bbolt's pages, from go.etcd.io/bbolt/internal/common. Page header: number u64, kind u16, count u16, pages
// that follow as one u32. Branch element: offset u32, key length u32, child u64. Leaf element: kind u32, offset u32, key
// length u32, value length u32. Offsets are from the element itself. A bucket is a leaf element of kind 1, whose value
// is root u64, sequence u64, and with root 0 a page of its own that follows.
const (
	pageBranch   = 1
	pageLeaf     = 2
	pageFreelist = 16

	elementSize   = 16
	leafIsBucket  = 1
	bucketHead    = 16
	longCount     = 0xffff
	maxPageNumber = 1 << 48
)

// MaxProblems bounds what a check lists: one bad page can make a thousand complaints.
const MaxProblems = 20

// Check looks at the structure of a file that nobody writes to, after Guard: that every page is where it should be, is used
// once, is in order, and is not also free. It reads the file and not the mapping, so no damage can harm the process.
// bbolt's own Check would panic in a goroutine of its own.
func Check(path string) error {
	f, m, err := openGuarded(path)
	if err != nil {
		return err
	}
	defer f.Close()
	c := newPageCheck(f, m)
	if c.all(); len(c.problems) > 0 {
		return fmt.Errorf("%s: %w: %s", path, ErrDamaged, c.problems[0])
	}
	return nil
}

// State is what a transaction sees of a file that others may write to. As long as that is open its pages are not used again.
type State struct {
	f *os.File
	m meta
}

// StateOf finds what tx sees of its file at path. The headers take turns, so two commits since tx began are an error; from then on
// there may be any number.
func StateOf(path string, tx *bolt.Tx) (*State, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	newest, other, err := readMetas(f)
	if err == nil {
		for _, m := range []meta{newest, other} {
			if m.txid == uint64(tx.ID()) {
				return &State{f, m}, nil
			}
		}
		err = errors.New("the file was written to while the check began; try again")
	}
	return nil, errors.Join(err, f.Close())
}

// Close closes the file.
func (s *State) Close() error { return s.f.Close() }

// Problems is Check of a state.
func (s *State) Problems() []string {
	c := newPageCheck(s.f, s.m)
	c.all()
	return c.problems
}

// CheckInner looks at the pages that lead to others, and at the list of free ones. bbolt goes where they point, and a branch
// that led back to itself would end the process: no recover helps against a stack that overflows. It reads a hundredth of the
// file; what is on the leaves proves itself when it is read.
//
// It also gives the leaves of the bucket of a name, for Fetch.
func (s *State) CheckInner(bucket string) (Leaves, error) {
	c := newPageCheck(s.f, s.m)
	c.inner, c.wanted = true, bucket
	if c.all(); len(c.problems) > 0 {
		return Leaves{}, fmt.Errorf("%w: %s", ErrDamaged, c.problems[0])
	}
	return Leaves{s.f.Name(), int64(s.m.pageSize), c.found}, nil
}

// The states of a page in pageCheck.used.
const (
	pageUnknown = iota
	pageUsed
	pageFree
)

type pageCheck struct {
	f        *os.File
	m        meta
	inner    bool     // of a bucket's leaves one is looked for, to know how deep they are
	inBucket bool     // with inner: the walk is in one
	leaves   int      // depth of that bucket's leaves, when it is known
	wanted   string   // name of a bucket whose leaves are listed
	listing  bool     // the bucket that the walk is in, or was in last, is that one
	found    []uint64 // those leaves
	used     []byte   // by page number
	buffers  [][]byte // by depth: a page's memory
	problems []string
}

func newPageCheck(f *os.File, m meta) *pageCheck {
	return &pageCheck{f: f, m: m, used: make([]byte, m.highWater)}
}

func (c *pageCheck) bad(format string, args ...any) {
	if len(c.problems) < MaxProblems {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

func (c *pageCheck) all() {
	if c.m.highWater < 2 || c.m.highWater > maxPageNumber {
		c.bad("the file says that it has %d pages", c.m.highWater)
		return
	}
	c.used[0], c.used[1] = pageUsed, pageUsed
	if c.m.freelist != noFreelist {
		c.freelist()
	}
	c.tree(c.m.root, nil, nil, 0)
	if c.inner {
		return // pages that go on from a leaf are not known
	}
	lost := 0
	for _, u := range c.used {
		if u == pageUnknown {
			lost++
		}
	}
	if lost > 0 && len(c.problems) == 0 {
		c.bad("%d pages are neither used nor free", lost)
	}
}

// checkedPage is a page with those that follow as one with it. Values are not looked at, and most of a page is values, so
// no more is read of it than needed.
type checkedPage struct {
	number uint64
	b      []byte // as much of it as was read, its first page at least
	size   int    // of all
	depth  int
}

// page reads the first of the pages that are one, and takes their numbers. Pages of one depth share the memory.
func (c *pageCheck) page(number uint64, depth int) *checkedPage {
	if number < 2 || number >= c.m.highWater {
		c.bad("page %d is outside of the file's %d", number, c.m.highWater)
		return nil
	}
	for len(c.buffers) <= depth {
		c.buffers = append(c.buffers, make([]byte, c.m.pageSize))
	}
	b := c.buffers[depth][:c.m.pageSize]
	if _, err := c.f.ReadAt(b, int64(number*c.m.pageSize)); err != nil {
		c.bad("page %d: %v", number, err)
		return nil
	}
	more := uint64(binary.LittleEndian.Uint32(b[12:]))
	if id := binary.LittleEndian.Uint64(b); id != number {
		c.bad("page %d calls itself %d", number, id)
		return nil
	}
	if number+more >= c.m.highWater {
		c.bad("page %d goes on for %d pages, past the end", number, more)
		return nil
	}
	if !c.take(number, number+more) {
		return nil
	}
	return &checkedPage{number, b, int((1 + more) * c.m.pageSize), depth}
}

// take marks pages as used.
func (c *pageCheck) take(first, last uint64) bool {
	for n := first; n <= last; n++ {
		if n < 2 || n >= c.m.highWater {
			c.bad("page %d is outside of the file's %d", n, c.m.highWater)
			return false
		}
		if c.used[n] != pageUnknown {
			c.bad("page %d is used twice, or used and free", n)
			return false
		}
		c.used[n] = pageUsed
	}
	return true
}

// reach makes sure that so many bytes of the page are read, as far as it has them.
func (c *pageCheck) reach(p *checkedPage, n int) bool {
	have := len(p.b)
	if n = min(n, p.size); n <= have {
		return true
	}
	p.b = slices.Grow(p.b, n-have)[:n]
	c.buffers[p.depth] = p.b
	if _, err := c.f.ReadAt(p.b[have:], int64(p.number*c.m.pageSize)+int64(have)); err != nil {
		c.bad("page %d: %v", p.number, err)
		return false
	}
	return true
}

func (c *pageCheck) freelist() {
	p := c.page(c.m.freelist, 0)
	if p == nil || !c.reach(p, p.size) {
		return
	}
	b := p.b
	if kind := binary.LittleEndian.Uint16(b[8:]); kind != pageFreelist {
		c.bad("page %d is of kind %#x, want the list of free pages", c.m.freelist, kind)
		return
	}
	count := uint64(binary.LittleEndian.Uint16(b[10:]))
	list := b[pageHeader:]
	if count == longCount {
		count, list = binary.LittleEndian.Uint64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		c.bad("the list of free pages says that it has %d", count)
		return
	}
	last := uint64(0)
	for i := range count {
		n := binary.LittleEndian.Uint64(list[8*i:])
		switch {
		case n < 2 || n >= c.m.highWater:
			c.bad("free page %d is outside of the file's %d", n, c.m.highWater)
		case n <= last:
			c.bad("the list of free pages is not in order at %d", n)
		case c.used[n] != pageUnknown:
			c.bad("page %d is free and used", n)
		default:
			c.used[n] = pageFree
		}
		last = n
	}
}

// maxTreeDepth is far beyond what a file of any size needs: a branch has two children at least.
const maxTreeDepth = 40

// tree checks a page and what is below it. Its keys lie from low on and before high; nil is no bound.
func (c *pageCheck) tree(number uint64, low, high []byte, depth int) {
	if depth > maxTreeDepth {
		c.bad("page %d is too deep", number)
		return
	}
	p := c.page(number, depth)
	if p == nil {
		return
	}
	if c.inBucket && p.kind() == pageLeaf {
		c.leaves = depth
		c.list(number)
		return
	}
	c.elements(p, low, high, depth)
}

func (p *checkedPage) kind() uint16 { return binary.LittleEndian.Uint16(p.b[8:]) }

func (c *pageCheck) elements(p *checkedPage, low, high []byte, depth int) {
	number, b, kind := p.number, p.b, p.kind()
	count := int(binary.LittleEndian.Uint16(b[10:]))
	if kind != pageBranch && kind != pageLeaf {
		c.bad("page %d is of kind %#x", number, kind)
		return
	}
	if pageHeader+count*elementSize > p.size {
		c.bad("page %d says that it has %d elements", number, count)
		return
	}
	if !c.reach(p, c.keysEnd(p, kind, count)) {
		return
	}
	b = p.b
	if kind == pageBranch && count == 0 {
		c.bad("branch page %d is empty", number)
		return
	}
	type child struct {
		page uint64
		key  []byte
	}
	var children []child
	if kind == pageBranch {
		children = make([]child, 0, count)
	}
	var last []byte
	for i := range count {
		e := b[pageHeader+i*elementSize:]
		offset, keyLen, valueLen := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[4:])), uint64(0)
		elementKind := uint32(0)
		if kind == pageLeaf {
			elementKind = binary.LittleEndian.Uint32(e)
			offset = uint64(binary.LittleEndian.Uint32(e[4:]))
			keyLen = uint64(binary.LittleEndian.Uint32(e[8:]))
			valueLen = uint64(binary.LittleEndian.Uint32(e[12:]))
		}
		if offset < elementSize || offset+keyLen+valueLen > uint64(p.size-pageHeader-i*elementSize) {
			c.bad("page %d: element %d reaches beyond the page", number, i)
			return
		}
		key := e[offset : offset+keyLen]
		if i > 0 && bytes.Compare(last, key) >= 0 || i == 0 && low != nil && bytes.Compare(key, low) < 0 {
			c.bad("page %d: key %d is out of order", number, i)
		}
		last = key
		switch {
		case kind == pageBranch:
			children = append(children, child{binary.LittleEndian.Uint64(e[8:]), key})
		case elementKind == leafIsBucket:
			c.listing = string(key) == c.wanted
			c.bucket(number, e[offset+keyLen:offset+keyLen+valueLen], depth)
		case elementKind != 0:
			c.bad("page %d: element %d is of kind %d", number, i, elementKind)
		}
	}
	if last != nil && high != nil && bytes.Compare(last, high) >= 0 {
		c.bad("page %d: the last key belongs to the next page", number)
	}
	for i, ch := range children {
		next := high
		if i+1 < len(children) {
			next = children[i+1].key
		}
		if c.inBucket && depth+1 == c.leaves { // a tree has all its leaves at one depth
			if c.take(ch.page, ch.page) {
				c.list(ch.page)
			}
		} else {
			c.tree(ch.page, ch.key, next, depth+1)
		}
	}
}

// list takes down a leaf, if it is of the bucket that is wanted.
func (c *pageCheck) list(leaf uint64) {
	if c.listing {
		c.found = append(c.found, leaf)
	}
}

// keysEnd says how much of a page must be read for its keys, and for the buckets that lie in it. Where it makes no sense that
// is all.
func (c *pageCheck) keysEnd(p *checkedPage, kind uint16, count int) int {
	end := pageHeader + count*elementSize
	for i := range count {
		at := pageHeader + i*elementSize
		if at+elementSize > len(p.b) {
			return p.size
		}
		e := p.b[at:]
		last := uint64(at) + uint64(binary.LittleEndian.Uint32(e)) + uint64(binary.LittleEndian.Uint32(e[4:]))
		if kind == pageLeaf {
			last = uint64(at) + uint64(binary.LittleEndian.Uint32(e[4:])) + uint64(binary.LittleEndian.Uint32(e[8:]))
			if binary.LittleEndian.Uint32(e) == leafIsBucket {
				last += uint64(binary.LittleEndian.Uint32(e[12:]))
			}
		}
		end = max(end, int(min(last, uint64(p.size))))
	}
	return end
}

func (c *pageCheck) bucket(number uint64, value []byte, depth int) {
	if len(value) < bucketHead {
		c.bad("page %d holds a bucket that is cut short", number)
		return
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		c.inBucket, c.leaves = c.inner, 0
		c.tree(root, nil, nil, depth+1)
		c.inBucket = false
		return
	}
	if inline := value[bucketHead:]; len(inline) < pageHeader {
		c.bad("page %d holds a bucket that is cut short", number)
	} else {
		c.elements(&checkedPage{number, inline, len(inline), depth}, nil, nil, depth+1)
	}
}
