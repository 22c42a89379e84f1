package importer

import (
	"errors"
	"fmt"
	"io"
	"os"

	"robin"

	"github.com/parquet-go/parquet-go"
)

// parquetDecoder makes a JSON object of each row of a Parquet file, its fields in the schema's order. A value that is
// null gives no field. It holds one page of each column in memory. The sizes that a file declares are checked before the
// library allocates them (see checkFooter and plainGroup); what it panics at in spite of that is the file's error.
type parquetDecoder struct {
	source io.ReaderAt
	file   *parquet.File // for its footer
	size   int64
	root   *parquetNode
	leaves []*parquetNode
	limits Limits
	close  func()

	group   int             // number of row groups that were begun
	columns []*columnReader // of the row group that is being read
	left    int64           // its rows that are still to come
	row     int             // rows given, over all groups
	decoded int64           // bytes of the objects given
	values  [][]parquet.Value
}

// parquetMagic begins and ends a Parquet file.
var parquetMagic = []byte("PAR1")

// openParquet reads the footer. r is used until close.
func openParquet(r io.ReaderAt, size int64, limits Limits, closeFn func()) (d *parquetDecoder, err error) {
	d = &parquetDecoder{source: r, size: size, limits: limits, close: closeFn}
	defer d.guard(&err, "the Parquet footer is damaged")
	if err := checkFooter(r, size, limits.Depth); err != nil {
		return nil, err
	}
	d.file, err = parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, robin.Errorf(robin.CodeInvalid, "the Parquet footer is damaged: %w", err)
	}
	d.root, d.leaves, err = newParquetNode(d.file.Root())
	return d, err
}

// guard turns a panic of the library into an error of the file.
func (d *parquetDecoder) guard(err *error, what string) {
	if p := recover(); p != nil {
		*err = robin.Errorf(robin.CodeInvalid, "%s: %v", what, p)
	}
}

func (d *parquetDecoder) next() (row Row, err error) {
	defer d.guard(&err, fmt.Sprintf("the Parquet file is damaged near row %d", d.row+1))
	for d.left == 0 {
		if err := d.nextGroup(); err != nil {
			return Row{}, err
		}
	}
	d.left--
	d.row++
	tooLong := ""
	for i, c := range d.columns {
		whole, err := c.row(d.limits.RowBytes / 2)
		if err != nil {
			return Row{}, unreadable(err, "row %d, column %q of the Parquet file", d.row, d.leaves[i].name)
		}
		if !whole {
			tooLong = d.leaves[i].name
		}
		d.values[i] = c.values
	}
	if tooLong != "" {
		return badRow(d.row, robin.CodeTooLarge, "column %q holds more values than a document of %d bytes can", tooLong, d.limits.RowBytes), nil
	}
	w := objectWriter{max: d.limits.RowBytes}
	err = w.object(d.root, d.values)
	var bad *columnError
	switch {
	case errors.As(err, &bad):
		return badRow(d.row, bad.code, "%s", bad), nil
	case err != nil:
		return Row{}, robin.Errorf(robin.CodeInvalid, "the Parquet file is damaged in row %d: %w", d.row, err)
	}
	if d.decoded += int64(len(w.buf)); d.decoded > d.limits.DecodedBytes {
		return Row{}, robin.Errorf(robin.CodeTooLarge, "the import is over the limit of %d bytes after decompression", d.limits.DecodedBytes)
	}
	return Row{Line: d.row, Raw: w.buf}, nil
}

// nextGroup begins the next row group, or gives io.EOF after the last.
func (d *parquetDecoder) nextGroup() error {
	for i, c := range d.columns {
		if more, err := c.more(); err != nil || more {
			return robin.Errorf(robin.CodeInvalid, "the Parquet file is damaged: column %q goes on after the last row (%d) of its row group", d.leaves[i].name, d.row)
		}
	}
	d.closeColumns()
	if d.group == len(d.file.RowGroups()) {
		return io.EOF
	}
	where := fmt.Sprintf("row group %d (from row %d) of the Parquet file", d.group+1, d.row+1)
	plain, err := newPlainGroup(d.file.Metadata(), d.source, d.size, d.group, d.leaves)
	if err != nil {
		return unreadable(err, "%s", where)
	}
	f, err := parquet.OpenFile(plain, plain.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return unreadable(err, "%s", where)
	}
	d.group++
	for _, g := range f.RowGroups() { // one
		d.left = g.NumRows()
		for i, chunk := range g.ColumnChunks() {
			d.columns = append(d.columns, &columnReader{pages: chunk.Pages(), repeated: d.leaves[i].rep > 0})
		}
	}
	d.values = make([][]parquet.Value, len(d.columns))
	return nil
}

// unreadable says where the file cannot be read. What no other code fits to is damage.
func unreadable(err error, format string, args ...any) error {
	code := robin.CodeOf(err)
	if code == robin.CodeInternal {
		code = robin.CodeInvalid
	}
	return robin.Errorf(code, "%s cannot be read: %w", fmt.Sprintf(format, args...), err)
}

func (d *parquetDecoder) closeColumns() {
	for _, c := range d.columns {
		_ = c.pages.Close() // they were only read
	}
	d.columns = nil
}

// stop frees what next holds.
func (d *parquetDecoder) stop() {
	d.closeColumns()
	d.close()
}

// share is how much of the file has become rows, from 0 to 1.
func (d *parquetDecoder) share() float64 {
	return float64(d.row) / float64(max(d.file.NumRows(), 1))
}

// columnReader gives the values of one column row by row. Their bytes are parts of pages, which are left to the garbage
// collector and not handed back to the library's pool.
type columnReader struct {
	pages    parquet.Pages
	repeated bool // a row may have several values
	page     parquet.ValueReader
	buf      [128]parquet.Value
	n, at    int             // buf[at:n] is still to be given
	values   []parquet.Value // of the last row
}

// more says whether another value follows.
func (c *columnReader) more() (bool, error) {
	for c.at == c.n {
		if c.page == nil {
			p, err := c.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			c.page = p.Values()
		}
		n, err := c.page.ReadValues(c.buf[:])
		c.at, c.n = 0, n
		switch {
		case errors.Is(err, io.EOF):
			c.page = nil
		case err != nil:
			return false, err
		case n == 0:
			return false, io.ErrNoProgress
		}
	}
	return true, nil
}

// row reads the values of the next row into c.values, which is valid until the next call. It is not whole when there
// are more than most; the others are skipped.
func (c *columnReader) row(most int) (whole bool, err error) {
	c.values = c.values[:0]
	for read := 0; ; read++ {
		more, err := c.more()
		switch {
		case err != nil:
			return false, err
		case !more && read == 0:
			return false, errors.New("the column ends before the row group does")
		case !more:
			return read <= most, nil
		}
		v := c.buf[c.at]
		if starts := v.RepetitionLevel() == 0; starts != (read == 0) {
			if read == 0 {
				return false, errors.New("the row begins inside another one")
			}
			return read <= most, nil
		}
		c.at++
		if read < most {
			c.values = append(c.values, v)
		}
		if !c.repeated {
			return true, nil
		}
	}
}

// spoolParquet copies a stream into a temporary file, because Parquet is read from its end. The stream has its limit.
func spoolParquet(r io.Reader) (f *os.File, size int64, err error) {
	f, err = os.CreateTemp("", "robin-parquet-*")
	if err != nil {
		return nil, 0, fmt.Errorf("make a temporary file for the Parquet stream: %w", err)
	}
	// Its name goes now, so that it goes with the process however that ends.
	err = os.Remove(f.Name())
	if err == nil {
		size, err = io.Copy(f, r)
	}
	if err != nil {
		_ = f.Close()
		if code := robin.CodeOf(err); code != robin.CodeInternal {
			return nil, 0, err // of the stream: damaged, or over its limit
		}
		return nil, 0, fmt.Errorf("copy the Parquet stream to a temporary file: %w", err)
	}
	return f, size, nil
}
