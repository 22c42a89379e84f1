package importer

import (
	"errors"
	"fmt"
	"strings"

	"robin"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetNode is one column or group of a Parquet schema. Its leaves are the columns lo to hi.
type parquetNode struct {
	name     string // dotted path, for messages
	key      []byte // its name as a JSON string and a colon
	repeated bool
	optional bool
	def, rep int // the levels of a value that is there, as Dremel (Melnik et al., 2010) counts them
	lo, hi   int
	shape    shape
	write    scalar // of a leaf
	children []*parquetNode
}

// shape is how a group is written.
type shape uint8

const (
	leaf    shape = iota
	object_       // its children by name
	list          // a group around one repeated child whose instances are the elements
	wrapped       // a list whose repeated child is a group around the element
	mapping       // a group around a repeated pair of key and value
)

// maxParquetColumns bounds what is held in memory, which is a page of each.
const maxParquetColumns = 1000

func newParquetNode(root *parquet.Column) (*parquetNode, []*parquetNode, error) {
	var leaves []*parquetNode
	var build func(c *parquet.Column, path []string) (*parquetNode, error)
	build = func(c *parquet.Column, path []string) (*parquetNode, error) {
		n := &parquetNode{
			name: strings.Join(path, "."), key: append(appendString(nil, c.Name()), ':'),
			repeated: c.Repeated(), optional: c.Optional(), def: c.MaxDefinitionLevel(), rep: c.MaxRepetitionLevel(), lo: len(leaves),
		}
		if c.Leaf() {
			if len(leaves) == maxParquetColumns {
				return nil, robin.Errorf(robin.CodeTooLarge, "the Parquet file has more than %d columns", maxParquetColumns)
			}
			var err error
			if n.write, err = scalarOf(c); err != nil {
				return nil, robin.Errorf(robin.CodeUnsupported, "column %q of the Parquet file cannot be read: %w; leave it out, or write it as text", n.name, err)
			}
			leaves = append(leaves, n)
			n.hi = len(leaves)
			return n, nil
		}
		n.shape = object_
		seen := map[string]bool{}
		for _, child := range c.Columns() {
			if seen[child.Name()] {
				return nil, robin.Errorf(robin.CodeInvalid, "the Parquet file names %q twice", strings.Join(append(path, child.Name()), "."))
			}
			seen[child.Name()] = true
			m, err := build(child, append(path[:len(path):len(path)], child.Name()))
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, m)
		}
		if n.hi = len(leaves); n.hi == n.lo {
			return nil, robin.Errorf(robin.CodeUnsupported, "%q of the Parquet file is a group without columns", n.name)
		}
		n.shape = shapeOf(n, c)
		return n, nil
	}
	n, err := build(root, nil)
	return n, leaves, err
}

// shapeOf tells lists and maps from plain groups, with the rules for older writers in Parquet's LogicalTypes.md.
func shapeOf(n *parquetNode, c *parquet.Column) shape {
	if len(n.children) != 1 || !n.children[0].repeated {
		return object_
	}
	only, kind := n.children[0], logical(c)
	switch kind.(type) {
	case *format.ListType:
		name := c.Columns()[0].Name()
		if only.shape == leaf || len(only.children) != 1 || name == "array" || name == c.Name()+"_tuple" {
			return list
		}
		return wrapped
	case *format.MapType:
		if len(only.children) == 2 && only.children[0].shape == leaf && !only.children[0].repeated {
			return mapping
		}
	}
	return object_
}

func logical(c *parquet.Column) format.LogicalTypeValue {
	if t := c.Type().LogicalType(); t != nil {
		return t.Value
	}
	return nil
}

// columnError is a value that cannot be written as JSON: an error of its row.
type columnError struct {
	code   robin.Code
	column string
	what   string
}

func (e *columnError) Error() string { return fmt.Sprintf("column %q %s", e.column, e.what) }

// errMisaligned is what a file with wrong levels gives.
var errMisaligned = errors.New("the columns of a group have different numbers of elements")

// objectWriter puts the values of one row back together.
type objectWriter struct {
	buf []byte
	max int
}

// object writes a group. values has a slice for each of n's columns.
func (w *objectWriter) object(n *parquetNode, values [][]parquet.Value) error {
	w.buf = append(w.buf, '{')
	empty := true
	for _, c := range n.children {
		mark := len(w.buf)
		if !empty {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(w.buf, c.key...)
		there, err := w.value(c, values[c.lo-n.lo:c.hi-n.lo])
		if err != nil {
			return err
		}
		if there {
			empty = false
		} else {
			w.buf = w.buf[:mark]
		}
	}
	w.buf = append(w.buf, '}')
	return nil
}

// value writes a node, or nothing when it is null or has no elements.
func (w *objectWriter) value(n *parquetNode, values [][]parquet.Value) (there bool, err error) {
	if len(values[0]) == 0 {
		return false, errMisaligned
	}
	if (n.optional || n.repeated) && values[0][0].DefinitionLevel() < n.def {
		return false, nil
	}
	if n.repeated {
		return true, w.elements(n, values, n.plain)
	}
	return n.plain(w, values)
}

// plain writes a node that is there and is not repeated, or one element of a repeated one.
func (n *parquetNode) plain(w *objectWriter, values [][]parquet.Value) (there bool, err error) {
	if len(w.buf) > w.max {
		return false, &columnError{robin.CodeTooLarge, n.name, fmt.Sprintf("makes the document longer than %d bytes", w.max)}
	}
	switch n.shape {
	case leaf:
		if len(values[0]) != 1 {
			return false, errMisaligned
		}
		return true, n.scalar(w, values[0][0])
	case list, wrapped, mapping:
		only := n.children[0]
		if len(values[0]) == 0 || values[0][0].DefinitionLevel() < only.def {
			return false, nil
		}
		switch n.shape {
		case list:
			return true, w.elements(only, values, only.plain)
		case wrapped:
			return true, w.elements(only, values, func(w *objectWriter, values [][]parquet.Value) (bool, error) {
				return w.value(only.children[0], values)
			})
		}
		return true, w.pairs(only, values)
	}
	return true, w.object(n, values)
}

func (n *parquetNode) scalar(w *objectWriter, v parquet.Value) error {
	if v.IsNull() {
		return errors.New("a value that must be there is null")
	}
	var what string
	if size := len(w.buf); (v.Kind() == parquet.ByteArray || v.Kind() == parquet.FixedLenByteArray) && size+len(v.ByteArray()) > w.max {
		return &columnError{robin.CodeTooLarge, n.name, fmt.Sprintf("makes the document longer than %d bytes", w.max)}
	}
	if w.buf, what = n.write(w.buf, v); what != "" {
		return &columnError{robin.CodeInvalid, n.name, what}
	}
	if len(w.buf) > w.max {
		return &columnError{robin.CodeTooLarge, n.name, fmt.Sprintf("makes the document longer than %d bytes", w.max)}
	}
	return nil
}

// elements writes the instances of a repeated node as an array.
func (w *objectWriter) elements(n *parquetNode, values [][]parquet.Value, each func(*objectWriter, [][]parquet.Value) (bool, error)) error {
	w.buf = append(w.buf, '[')
	first := true
	err := instances(n, values, func(part [][]parquet.Value) error {
		if !first {
			w.buf = append(w.buf, ',')
		}
		first = false
		there, err := each(w, part)
		if err == nil && !there {
			w.buf = append(w.buf, "null"...)
		}
		return err
	})
	w.buf = append(w.buf, ']')
	return err
}

// pairs writes a map as an object. Keys that are not text are written as text.
func (w *objectWriter) pairs(n *parquetNode, values [][]parquet.Value) error {
	key, value := n.children[0], n.children[1]
	w.buf = append(w.buf, '{')
	first := true
	err := instances(n, values, func(part [][]parquet.Value) error {
		if !first {
			w.buf = append(w.buf, ',')
		}
		first = false
		at := len(w.buf)
		if there, err := w.value(key, part[:key.hi-key.lo]); err != nil || !there {
			return errors.Join(err, missingKey(there, n.name))
		}
		if w.buf[at] != '"' {
			text := string(w.buf[at:])
			w.buf = appendString(w.buf[:at], text)
		}
		w.buf = append(w.buf, ':')
		there, err := w.value(value, part[value.lo-n.lo:])
		if err == nil && !there {
			w.buf = append(w.buf, "null"...)
		}
		return err
	})
	w.buf = append(w.buf, '}')
	return err
}

func missingKey(there bool, name string) error {
	if there {
		return nil
	}
	return &columnError{robin.CodeInvalid, name, "has an entry without a key"}
}

// instances cuts the values of a repeated node at each of its instances: where the repetition level is n's own, or
// lower at the first.
func instances(n *parquetNode, values [][]parquet.Value, yield func([][]parquet.Value) error) error {
	part := make([][]parquet.Value, len(values))
	at := make([]int, len(values))
	for at[0] < len(values[0]) {
		for i, column := range values {
			if at[i] == len(column) {
				return errMisaligned
			}
			end := at[i] + 1
			for end < len(column) && column[end].RepetitionLevel() > n.rep {
				end++
			}
			part[i], at[i] = column[at[i]:end], end
		}
		if err := yield(part); err != nil {
			return err
		}
	}
	for i, column := range values {
		if at[i] != len(column) {
			return errMisaligned
		}
	}
	return nil
}
