package importer

import (
	"encoding/binary"
	"fmt"
	"io"

	"robin"
)

// What a Parquet file may ask for. Writers cut pages at about 1 MiB, and footers are some 100 bytes a column and group.
const (
	maxFooterBytes    = 16 << 20
	maxFooterElements = 500_000
	maxSchemaElements = 4 * maxParquetColumns
)

// checkFooter looks at the sizes that the footer declares: the library allocates by them before it reads on.
func checkFooter(r io.ReaderAt, size int64, depth int) error {
	bad := func(format string, args ...any) error {
		return robin.Errorf(robin.CodeInvalid, "the Parquet file is damaged: %w", fmt.Errorf(format, args...))
	}
	var tail [8]byte
	if size < 12 {
		return bad("it has only %d bytes", size)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return fmt.Errorf("read the end of the Parquet file: %w", err)
	}
	switch string(tail[4:]) {
	case "PAR1":
	case "PARE":
		return robin.Errorf(robin.CodeUnsupported, "the Parquet file is encrypted")
	default:
		return bad("it does not end with PAR1; it was cut short")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-12 {
		return bad("its footer says that it has %d bytes, the file has %d", n, size)
	}
	if n > maxFooterBytes {
		return robin.Errorf(robin.CodeTooLarge, "the footer of the Parquet file has %d bytes, the limit is %d", n, maxFooterBytes)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-8-n); err != nil {
		return fmt.Errorf("read the footer of the Parquet file: %w", err)
	}
	t := &thriftWalk{b: b, items: maxFooterElements}
	err := t.fields(0, func(id int64, kind byte) error {
		if id == 2 && kind == thriftList {
			return checkSchema(t, depth)
		}
		return nil
	})
	if robin.CodeOf(err) != robin.CodeInternal {
		return err
	}
	if err != nil {
		return bad("its footer cannot be read: %w", err)
	}
	return nil
}

// checkSchema follows the tree of columns, which is written as a list with the number of each one's children: the
// library goes down it by recursion.
func checkSchema(t *thriftWalk, depth int) error {
	kind, n, err := t.list()
	if err != nil {
		return err
	}
	if kind != thriftStruct || n > maxSchemaElements {
		return robin.Errorf(robin.CodeTooLarge, "the Parquet file has %d columns and groups, the limit is %d", n, maxSchemaElements)
	}
	var open []int64 // children still to come, outermost first
	for range n {
		children := int64(0)
		err := t.fields(1, func(id int64, kind byte) (err error) {
			if id == 5 && kind == thriftInt32 {
				children, err = t.int()
			}
			return err
		})
		if err != nil {
			return err
		}
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		if children > 0 {
			open = append(open, children)
		}
		if len(open) > 2*depth { // a list is two groups deep
			return robin.Errorf(robin.CodeTooLarge, "the columns of the Parquet file are nested more than %d deep, the limit is %d", len(open)-1, 2*depth)
		}
	}
	return nil
}
