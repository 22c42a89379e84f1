package importer

import (
	"encoding/binary"
	"errors"
)

// thriftWalk goes through a struct of Thrift's compact protocol, in which Parquet writes its footer and its page
// headers. It reads no more than the sizes, before the library allocates what they say.
type thriftWalk struct {
	b     []byte
	i     int
	items int // elements of lists and maps that may still come
}

// The types of the compact protocol. A list's booleans take a byte each.
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftInt16  = 4
	thriftInt32  = 5
	thriftInt64  = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

var (
	errShort  = errors.New("it ends inside a value")
	errThrift = errors.New("it is not a Thrift struct")
	errItems  = errors.New("it has too many elements")
)

// maxThriftDepth is far above what Parquet's structs need.
const maxThriftDepth = 32

func (t *thriftWalk) byte() (byte, error) {
	if t.i >= len(t.b) {
		return 0, errShort
	}
	t.i++
	return t.b[t.i-1], nil
}

func (t *thriftWalk) uvarint() (uint64, error) {
	n, size := binary.Uvarint(t.b[t.i:])
	if size == 0 {
		return 0, errShort
	}
	if size < 0 {
		return 0, errThrift
	}
	t.i += size
	return n, nil
}

// int reads a zigzag varint.
func (t *thriftWalk) int() (int64, error) {
	n, err := t.uvarint()
	return int64(n>>1) ^ -int64(n&1), err
}

func (t *thriftWalk) advance(n uint64) error {
	if n > uint64(len(t.b)-t.i) {
		return errShort
	}
	t.i += int(n)
	return nil
}

// fields calls do at the value of each field. What do leaves unread is skipped.
func (t *thriftWalk) fields(depth int, do func(id int64, kind byte) error) error {
	if depth > maxThriftDepth {
		return errThrift
	}
	for id := int64(0); ; {
		head, err := t.byte()
		if err != nil {
			return err
		}
		kind := head & 0xf
		if kind == thriftStop {
			return nil
		}
		if delta := head >> 4; delta != 0 {
			id += int64(delta)
		} else if id, err = t.int(); err != nil {
			return err
		}
		at := t.i
		if do != nil {
			if err := do(id, kind); err != nil {
				return err
			}
		}
		if t.i == at {
			if err := t.skip(kind, depth, false); err != nil {
				return err
			}
		}
	}
}

// list reads the head of a list. Each element takes a byte at least.
func (t *thriftWalk) list() (kind byte, n int, err error) {
	head, err := t.byte()
	if err != nil {
		return 0, 0, err
	}
	size := uint64(head >> 4)
	if size == 0xf {
		if size, err = t.uvarint(); err != nil {
			return 0, 0, err
		}
	}
	return head & 0xf, int(min(size, uint64(len(t.b)))), t.count(size)
}

func (t *thriftWalk) count(n uint64) error {
	if n > uint64(t.items) {
		return errItems
	}
	t.items -= int(n)
	if n > uint64(len(t.b)-t.i) {
		return errShort
	}
	return nil
}

func (t *thriftWalk) skip(kind byte, depth int, element bool) error {
	switch kind {
	case thriftTrue, thriftFalse:
		if element {
			return t.advance(1)
		}
		return nil // the field's type is the value
	case thriftByte:
		return t.advance(1)
	case thriftInt16, thriftInt32, thriftInt64:
		_, err := t.uvarint()
		return err
	case thriftDouble:
		return t.advance(8)
	case thriftBinary:
		n, err := t.uvarint()
		if err != nil {
			return err
		}
		return t.advance(n)
	case thriftList, thriftSet:
		kind, n, err := t.list()
		for ; err == nil && n > 0; n-- {
			err = t.skip(kind, depth+1, true)
		}
		return err
	case thriftMap:
		n, err := t.uvarint()
		if err != nil || n == 0 {
			return err
		}
		if err := t.count(n); err != nil {
			return err
		}
		kinds, err := t.byte()
		for ; err == nil && n > 0; n-- {
			if err = t.skip(kinds>>4, depth+1, true); err == nil {
				err = t.skip(kinds&0xf, depth+1, true)
			}
		}
		return err
	case thriftStruct:
		return t.fields(depth+1, nil)
	}
	return errThrift
}
