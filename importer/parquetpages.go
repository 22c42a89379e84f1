package importer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"robin"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// What the pages of a row group may ask for.
const (
	maxPageBytes  = 64 << 20
	maxPageValues = 16 << 20
	maxPageHeader = 8 << 20   // statistics hold a longest value up to four times
	maxGroupPages = 1_000_000 // their places are held in memory
	maxGroupBytes = 512 << 20 // of the largest page and the dictionary of every column together
	valueBytes    = 8         // about what a decoded value takes beside its bytes: levels and an offset or an index
)

// plainGroup is one row group as a Parquet file of its own whose pages are not compressed. They are decompressed and
// checked here, each when it is read: parquet-go allocates what a page declares, decompresses without a limit, and
// (v0.32.0) gives the zeros of a fresh buffer for an LZ4 page that is less than a third of its plain size.
type plainGroup struct {
	r      io.ReaderAt
	leaves []*parquetNode
	head   []byte // the magic bytes
	pages  []plainPage
	tail   []byte // the footer
	size   int64
	codecs []format.CompressionCodec // by column
	last   []inflated                // by column, because the columns are read side by side
}

// plainPage is a page in both files.
type plainPage struct {
	column int
	at     int64 // of its header in the plain file
	header []byte
	size   int64 // of its plain data
	from   int64 // of its data in the source
	source format.PageHeader
}

func (p *plainPage) end() int64 { return p.at + int64(len(p.header)) + p.size }

type inflated struct {
	at   int64 // of its page; 0 is none, since pages begin behind the magic bytes
	data []byte
}

var protocol = new(thrift.CompactProtocol)

// newPlainGroup reads all page headers of a row group and lays out the plain file.
func newPlainGroup(meta *format.FileMetaData, r io.ReaderAt, size int64, group int, leaves []*parquetNode) (*plainGroup, error) {
	rg := meta.RowGroups[group]
	if len(rg.Columns) != len(leaves) {
		return nil, robin.Errorf(robin.CodeInvalid, "it has %d columns, the schema has %d", len(rg.Columns), len(leaves))
	}
	g := &plainGroup{r: r, leaves: leaves, head: parquetMagic, size: int64(len(parquetMagic)), last: make([]inflated, len(leaves))}
	plain := format.RowGroup{NumRows: rg.NumRows}
	memory := int64(0)
	for i := range rg.Columns {
		m := rg.Columns[i].MetaData
		if rg.Columns[i].FilePath != "" {
			return nil, robin.Errorf(robin.CodeUnsupported, "column %q lies in another file", leaves[i].name)
		}
		start := g.size
		needs, err := g.column(i, &m, size)
		if err != nil {
			if code := robin.CodeOf(err); code != robin.CodeInternal {
				return nil, robin.Errorf(code, "column %q: %w", leaves[i].name, err)
			}
			return nil, robin.Errorf(robin.CodeInvalid, "column %q is damaged: %w", leaves[i].name, err)
		}
		memory += needs
		g.codecs = append(g.codecs, m.Codec)
		plain.Columns = append(plain.Columns, format.ColumnChunk{MetaData: format.ColumnMetaData{
			Type: m.Type, Encoding: m.Encoding, PathInSchema: m.PathInSchema, Codec: format.Uncompressed, NumValues: m.NumValues,
			TotalUncompressedSize: g.size - start, TotalCompressedSize: g.size - start, DataPageOffset: start,
		}})
	}
	if memory > maxGroupBytes {
		return nil, robin.Errorf(robin.CodeTooLarge, "its pages need %d MiB at once, the limit is %d; write the file with smaller pages", memory>>20, maxGroupBytes>>20)
	}
	footer, err := thrift.Marshal(protocol, format.FileMetaData{
		Version: 1, Schema: meta.Schema, NumRows: rg.NumRows, RowGroups: []format.RowGroup{plain},
	})
	if err != nil {
		return nil, err
	}
	g.tail = append(binary.LittleEndian.AppendUint32(footer, uint32(len(footer))), parquetMagic...)
	g.size += int64(len(g.tail))
	return g, nil
}

// column reads the page headers of a column and gives what it needs in memory.
func (g *plainGroup) column(i int, m *format.ColumnMetaData, size int64) (memory int64, err error) {
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	end := at + m.TotalCompressedSize
	if at < 4 || m.TotalCompressedSize < 0 || end < at || end > size {
		return 0, errors.New("it lies outside the file")
	}
	dictionary, largest := int64(0), int64(0)
	for at < end {
		h, n, err := g.header(at, end)
		if err != nil {
			return 0, err
		}
		at += n
		values := int64(h.DataPageHeader.V.NumValues) + int64(h.DataPageHeaderV2.V.NumValues) + int64(h.DictionaryPageHeader.V.NumValues)
		plain := int64(h.UncompressedPageSize)
		switch {
		case h.CompressedPageSize < 0 || plain < 0 || values < 0:
			return 0, fmt.Errorf("the page at byte %d has a negative size", at)
		case int64(h.CompressedPageSize) > end-at:
			return 0, fmt.Errorf("the page at byte %d goes beyond its column", at)
		case plain > maxPageBytes || values > maxPageValues:
			return 0, robin.Errorf(robin.CodeTooLarge, "the page at byte %d has %d bytes and %d values, the limits are %d and %d; write the file with smaller pages",
				at, plain, values, maxPageBytes, maxPageValues)
		case len(g.pages) == maxGroupPages:
			return 0, robin.Errorf(robin.CodeTooLarge, "the row group has more than %d pages", maxGroupPages)
		}
		needs := 2*plain + values*valueBytes // once here, once in the library
		switch h.Type {
		case format.DictionaryPage:
			dictionary = max(dictionary, needs)
		case format.DataPage, format.DataPageV2:
			largest = max(largest, needs)
		}
		if h.Type != format.IndexPage {
			p := plainPage{column: i, at: g.size, size: plain, from: at, source: h}
			if p.header, err = plainHeader(h); err != nil {
				return 0, err
			}
			g.pages = append(g.pages, p)
			g.size = p.end()
		}
		at += int64(h.CompressedPageSize)
	}
	return dictionary + largest, nil
}

// header reads the page header at a place of the source and gives its length.
func (g *plainGroup) header(at, end int64) (h format.PageHeader, n int64, err error) {
	for window := int64(512); ; window *= 8 {
		b := make([]byte, min(window, end-at))
		if _, err := g.r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
			return h, 0, err
		}
		w := &thriftWalk{b: b, items: 1000}
		err := w.fields(0, nil)
		if errors.Is(err, errShort) && int64(len(b)) < end-at && window < maxPageHeader {
			continue
		}
		if err == nil {
			err = thrift.Unmarshal(protocol, b[:w.i], &h)
		}
		if err != nil {
			return h, 0, fmt.Errorf("the page header at byte %d cannot be read: %w", at, err)
		}
		return h, int64(w.i), nil
	}
}

// plainHeader is the header of the same page without compression.
func plainHeader(h format.PageHeader) ([]byte, error) {
	h.CompressedPageSize, h.CRC = h.UncompressedPageSize, 0
	h.DataPageHeader.V.Statistics, h.DataPageHeaderV2.V.Statistics = format.Statistics{}, format.Statistics{}
	if h.DataPageHeaderV2.Valid {
		h.DataPageHeaderV2.V.IsCompressed = thrift.New(false)
	}
	return thrift.Marshal(protocol, h)
}

// ReadAt reads the plain file.
func (g *plainGroup) ReadAt(b []byte, at int64) (n int, err error) {
	for n < len(b) {
		part, err := g.part(at + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(b[n:], part)
	}
	return n, nil
}

// part gives what lies at a place, up to the end of its part of the file.
func (g *plainGroup) part(at int64) ([]byte, error) {
	if at < int64(len(g.head)) {
		return g.head[at:], nil
	}
	if rest := g.size - at; rest <= int64(len(g.tail)) {
		if rest <= 0 {
			return nil, io.EOF
		}
		return g.tail[int64(len(g.tail))-rest:], nil
	}
	p := &g.pages[sort.Search(len(g.pages), func(i int) bool { return g.pages[i].end() > at })]
	if at -= p.at; at < int64(len(p.header)) {
		return p.header[at:], nil
	}
	last := &g.last[p.column]
	if last.at != p.at {
		data, err := g.inflate(p)
		if err != nil {
			if code := robin.CodeOf(err); code != robin.CodeInternal {
				return nil, err
			}
			return nil, robin.Errorf(robin.CodeInvalid, "the page at byte %d is damaged: %w", p.from, err)
		}
		*last = inflated{p.at, data}
	}
	return last.data[at-int64(len(p.header)):], nil
}

// inflate gives the plain data of a page: as long as it says, with no more encoded values than it says.
func (g *plainGroup) inflate(p *plainPage) ([]byte, error) {
	h, node := &p.source, g.leaves[p.column]
	data := make([]byte, h.CompressedPageSize)
	if _, err := g.r.ReadAt(data, p.from); err != nil {
		return nil, err
	}
	if h.CRC != 0 && uint32(h.CRC) != crc32.ChecksumIEEE(data) {
		return nil, errors.New("its checksum does not hold")
	}
	codec := g.codecs[p.column]
	switch h.Type {
	case format.DataPageV2:
		if !h.DataPageHeaderV2.Valid {
			return nil, errors.New("it lacks the header of its kind")
		}
		v := &h.DataPageHeaderV2.V
		repetition, definition := int64(v.RepetitionLevelsByteLength), int64(v.DefinitionLevelsByteLength)
		levels := repetition + definition
		if repetition < 0 || definition < 0 || levels > int64(len(data)) || levels > p.size {
			return nil, errors.New("its levels are longer than it is")
		}
		if v.IsCompressed.Valid && !v.IsCompressed.V {
			codec = format.Uncompressed
		}
		values, err := inflate(codec, data[levels:], p.size-levels)
		if err != nil {
			return nil, err
		}
		err = checkValues(node, v.Encoding, int64(v.NumValues), data[:repetition], data[repetition:levels], values)
		return append(data[:levels:levels], values...), err
	case format.DataPage:
		if !h.DataPageHeader.Valid {
			return nil, errors.New("it lacks the header of its kind")
		}
		v := &h.DataPageHeader.V
		plain, err := inflate(codec, data, p.size)
		if err != nil {
			return nil, err
		}
		var repetition, definition []byte
		values := plain
		if node.rep > 0 {
			if repetition, values, err = prefixed(values); err != nil {
				return nil, err
			}
		}
		if node.def > 0 {
			if definition, values, err = prefixed(values); err != nil {
				return nil, err
			}
		}
		return plain, checkValues(node, v.Encoding, int64(v.NumValues), repetition, definition, values)
	}
	return inflate(codec, data, p.size)
}

// prefixed cuts off the part that four bytes give the length of.
func prefixed(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b)-4) {
		return nil, nil, errShort
	}
	return b[4 : 4+n], b[4+n:], nil
}

// inflate decompresses a page, to size bytes and no more.
func inflate(codec format.CompressionCodec, data []byte, size int64) ([]byte, error) {
	var r io.Reader
	switch codec {
	case format.Uncompressed:
		r = bytes.NewReader(data)
	case format.Snappy:
		if n, err := snappy.DecodedLen(data); err != nil || int64(n) != size {
			return nil, fmt.Errorf("a page says that it has %d bytes, its Snappy data %d", size, n)
		}
		return snappy.Decode(nil, data)
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		r = z
	case format.Zstd:
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxPageBytes))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(data))
	case format.Lz4Raw:
		buf := make([]byte, size)
		n, err := lz4.UncompressBlock(data, buf)
		if err != nil || int64(n) != size {
			return nil, fmt.Errorf("the LZ4 data of a page does not give the %d bytes that it says", size)
		}
		return buf, nil
	default:
		return nil, robin.Errorf(robin.CodeUnsupported, "it is compressed with %s, which is not read here; use zstd, snappy, gzip or none", codec)
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("a page of %d bytes cannot be decompressed: %w", size, err)
	}
	if n, _ := r.Read(make([]byte, 1)); n != 0 {
		return nil, fmt.Errorf("a page has more than the %d bytes that it says", size)
	}
	return buf, nil
}
