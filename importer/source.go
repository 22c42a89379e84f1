package importer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"robin"
)

// Format is how documents are laid out in a stream.
type Format string

// The formats. Detect decides by the file's name and then by its first bytes.
const (
	Detect Format = ""
	JSONL  Format = "jsonl" // one object a line
	JSON   Format = "json"  // an array of objects, or objects one after another
	CSV    Format = "csv"   // a header row; comma, semicolon, tab or bar, whichever the header uses most
	TSV    Format = "tsv"   // CSV with tabs
	// Parquet is read from its end: a file directly, a stream or a compressed file by way of a temporary file.
	Parquet Format = "parquet"
)

// Encoding is how a stream is compressed.
type Encoding string

// The encodings. AnyEncoding decides by the first bytes.
const (
	AnyEncoding Encoding = ""
	Identity    Encoding = "identity"
	Gzip        Encoding = "gzip"
	Zstd        Encoding = "zstd"
)

// Limits bound what is read, while it is read. A zero field means its default.
type Limits struct {
	DecodedBytes int64 // of the whole stream after decompression; default 8 GiB
	RowBytes     int   // of one line, array element or CSV row; default robin.MaxDocumentBytes
	Depth        int   // of one document's nesting; default robin.MaxDocumentDepth
}

const (
	defaultDecodedBytes = 8 << 30
	readBuffer          = 64 << 10
	// A stream that grows more than this many times is refused, once there is enough of it to tell. 3 KB of the same words
	// in every row make 240:1 with gzip and 980:1 with zstd, a CSV file with all rows alike 410:1 with gzip. Gzip cannot do
	// more than 1,032:1; a bomb comes near that, and with zstd above 10,000:1.
	gzipGrowth = 500
	zstdGrowth = 2000
	growthFrom = 16 << 20 // decoded bytes that may come in any case

	zstdWindow = 8 << 20 // RFC 8878 asks decoders for 8 MiB; a larger window would be memory on demand of the sender
)

func (l Limits) defaulted() Limits {
	if l.DecodedBytes == 0 {
		l.DecodedBytes = defaultDecodedBytes
	}
	if l.RowBytes == 0 {
		l.RowBytes = robin.MaxDocumentBytes
	}
	if l.Depth == 0 {
		l.Depth = robin.MaxDocumentDepth
	}
	return l
}

// Source is a stream of documents, not yet opened. The caller owns and closes Reader.
type Source struct {
	Reader   io.Reader
	Name     string // file name, for the format; may be empty
	Format   Format
	Encoding Encoding
	Size     int64 // bytes that Reader will give, for the ETA; 0 when not known
	Limits   Limits
	// Columns names the columns of CSV that has no header row; its first line is a row then.
	Columns []string
	// Delimiter is the character between the cells of CSV; empty: the one that the first line uses most.
	Delimiter string
}

// ParseDelimiter reads the name of a delimiter, such as the value of ?delimiter=.
func ParseDelimiter(s string) (string, error) {
	switch s {
	case "":
		return "", nil
	case "tab", `\t`:
		return "\t", nil
	}
	r, n := utf8.DecodeRuneInString(s)
	if n != len(s) || r == utf8.RuneError || r == '"' || r == '\r' || r == '\n' {
		return "", robin.Errorf(robin.CodeInvalid, "%q cannot be a delimiter; use one character, such as ; or |, or the word tab", s)
	}
	return s, nil
}

// ParseFormat reads the name of a format, such as the value of ?format=.
func ParseFormat(s string) (Format, error) {
	switch strings.ToLower(s) {
	case "":
		return Detect, nil
	case "jsonl", "ndjson":
		return JSONL, nil
	case "json":
		return JSON, nil
	case "csv":
		return CSV, nil
	case "tsv":
		return TSV, nil
	case "parquet":
		return Parquet, nil
	}
	return Detect, robin.Errorf(robin.CodeUnsupported, "%q is not a format; use jsonl, json, csv, tsv or parquet", s)
}

// Row is one document of a stream, or the reason why one row is not a document.
type Row struct {
	Line int // 1-based line of the file; in a JSON array or a Parquet file, position in it
	Raw  json.RawMessage
	Text string          // how the row stood in the file, when Raw does not say it; empty when that was too long to keep
	Err  *robin.RowError // when set, Raw is nil and the stream goes on
}

// text is how the row stood in the file.
func (r Row) text() string {
	if r.Text == "" {
		return string(r.Raw)
	}
	return r.Text
}

// decoder gives row after row. io.EOF ends the stream; any other error ends it early.
type decoder interface {
	next() (Row, error)
}

// Reader reads the rows of a Source. It is not safe for concurrent use, apart from BytesRead.
type Reader struct {
	dec     decoder
	csv     *csvDecoder     // dec, when the format is CSV or TSV
	parquet *parquetDecoder // dec, when the format is Parquet
	in      *counter
	plain   *limited
	br      *bufio.Reader
	close   func()
	sampled []Row // read ahead by Sample, not yet given by Next
	end     error // what ended the stream during Sample
	last    int   // line of the last row that Next gave
	format  Format
}

// Open starts reading s: it removes the compression and finds the format.
func Open(s Source) (*Reader, error) {
	lim := s.Limits.defaulted()
	in := &counter{r: s.Reader}
	plain, closeFn, err := decompress(in, s.Encoding)
	if err != nil {
		return nil, err
	}
	lr := &limited{r: plain, left: lim.DecodedBytes, max: lim.DecodedBytes}
	br := bufio.NewReaderSize(lr, readBuffer)
	r := &Reader{in: in, plain: lr, br: br, close: closeFn}
	if r.format, err = detect(br, s.Format, s.Name); err != nil {
		closeFn()
		return nil, err
	}
	if (len(s.Columns) > 0 || s.Delimiter != "") && r.format != CSV && r.format != TSV {
		closeFn()
		return nil, robin.Errorf(robin.CodeInvalid, "columns and a delimiter are for CSV; this is %s", r.format)
	}
	lines := &lineReader{br: br, max: lim.RowBytes}
	switch r.format {
	case JSONL:
		r.dec = &jsonlDecoder{lines: lines, depth: lim.Depth}
	case JSON:
		r.dec = &jsonDecoder{br: br, max: lim.RowBytes, depth: lim.Depth}
	case Parquet:
		_, compressed := plain.(*decompressed)
		r.parquet, err = openSource(s.Reader, compressed, br, lim)
		r.dec = r.parquet
	default:
		delimiter := s.Delimiter
		if r.format == TSV && delimiter == "" {
			delimiter = "\t"
		}
		r.csv, err = newCSV(br, lines, delimiter, s.Columns)
		r.dec = r.csv
	}
	if err != nil {
		closeFn()
		return nil, err
	}
	return r, nil
}

// openSource opens Parquet where it lies when that can be read at any place, else by way of a temporary file.
func openSource(source io.Reader, compressed bool, br *bufio.Reader, lim Limits) (*parquetDecoder, error) {
	type file interface {
		io.ReaderAt
		io.Seeker
	}
	if f, ok := source.(file); ok && !compressed {
		if size, err := f.Seek(0, io.SeekEnd); err == nil { // a pipe is an *os.File too
			return openParquet(f, size, lim, func() {})
		}
	}
	f, size, err := spoolParquet(br)
	if err != nil {
		return nil, err
	}
	d, err := openParquet(f, size, lim, func() { _ = f.Close() })
	if err != nil {
		_ = f.Close()
	}
	return d, err
}

// Close frees the decompressor and what Parquet reads from. It does not close the Source's Reader.
func (r *Reader) Close() {
	if r.parquet != nil {
		r.parquet.stop()
	}
	r.close()
}

// Format is the format in use.
func (r *Reader) Format() Format { return r.format }

// BytesRead is how many bytes of the Source were taken so far, before decompression.
func (r *Reader) BytesRead() int64 { return r.in.n.Load() }

// consumed is about how many bytes of the Source became rows so far: those that were taken, without the share that
// still waits in buffers. Not for use beside Next.
func (r *Reader) consumed() int64 {
	if r.parquet != nil {
		return int64(r.parquet.share() * float64(r.parquet.size))
	}
	decoded := r.plain.max - r.plain.left
	if decoded == 0 {
		return 0
	}
	used := float64(decoded-int64(r.br.Buffered())) / float64(decoded)
	return int64(used * float64(min(r.BytesRead(), decoded)))
}

// Next gives the next row, or io.EOF. A row with Err set is a bad row; the stream goes on. Any other error ends the
// stream, and names the last row before it.
func (r *Reader) Next() (Row, error) {
	row, err := r.row()
	if err == nil {
		r.last = row.Line
		return row, nil
	}
	var e *robin.Error
	if !errors.As(err, &e) || r.last == 0 {
		return row, err
	}
	return row, robin.Errorf(e.Code, "after the row in line %d, %w", r.last, err)
}

func (r *Reader) row() (Row, error) {
	if len(r.sampled) > 0 {
		row := r.sampled[0]
		r.sampled = r.sampled[1:]
		return row, nil
	}
	if r.end != nil {
		return Row{}, r.end
	}
	return r.dec.next()
}

// Sample gives up to n documents from the front of the stream without consuming them. Bad rows are left out. For CSV it
// also fixes the types of the columns, from these rows, unless SetTypes did.
func (r *Reader) Sample(n int) []json.RawMessage {
	const maxBytes = 16 << 20 // a sample of large documents stops early
	size := 0
	if r.csv != nil {
		r.csv.guessTypes(n)
	}
	for len(r.sampled) < n && size < maxBytes && r.end == nil {
		row, err := r.dec.next()
		if err != nil {
			r.end = err
			break
		}
		size += len(row.Raw)
		r.sampled = append(r.sampled, row)
	}
	docs := make([]json.RawMessage, 0, len(r.sampled))
	for _, row := range r.sampled {
		if row.Err == nil {
			docs = append(docs, row.Raw)
		}
	}
	return docs
}

// SetTypes makes CSV cells take the types that the settings give their columns; other columns are text. It has no
// effect on JSON, and must come before Next and Sample.
func (r *Reader) SetTypes(s robin.Settings) {
	if r.csv != nil {
		r.csv.setTypes(s)
	}
}

var utf8BOM = []byte{0xef, 0xbb, 0xbf}

// detect consumes a byte order mark and leaves br at the first byte of content.
func detect(br *bufio.Reader, f Format, name string) (Format, error) {
	head, err := br.Peek(readBuffer)
	if len(head) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return f, err
	}
	switch {
	case bytes.HasPrefix(head, utf8BOM):
		_, _ = br.Discard(len(utf8BOM))
		head = head[len(utf8BOM):]
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return f, robin.Errorf(robin.CodeUnsupported, "the file is UTF-16; save it as UTF-8")
	case bytes.HasPrefix(head, gzipMagic), bytes.HasPrefix(head, zstdMagic):
		return f, robin.Errorf(robin.CodeUnsupported, "the content is compressed twice, or its declared encoding is wrong")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return f, robin.Errorf(robin.CodeUnsupported, "the file is a zip archive or a spreadsheet; save it as CSV or JSONL")
	}
	if f == Detect && bytes.HasPrefix(head, parquetMagic) {
		return Parquet, nil
	}
	if f == Detect {
		_, f = SplitName(name)
	}
	if f == Parquet && !bytes.HasPrefix(head, parquetMagic) {
		return f, robin.Errorf(robin.CodeInvalid, "the file is not Parquet: it does not begin with PAR1")
	}
	if f != Detect {
		return f, nil
	}
	content := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(content) == 0:
		return JSONL, nil
	case content[0] == '[':
		return JSON, nil
	case content[0] == '{':
		line, _, whole := bytes.Cut(content, []byte("\n"))
		if (whole || len(head) < readBuffer) && !json.Valid(line) && openObject(line) {
			return JSON, nil // a pretty-printed object
		}
		return JSONL, nil
	case bytes.IndexByte(head, 0) >= 0:
		return f, robin.Errorf(robin.CodeUnsupported, "the content is neither JSON nor CSV: it holds NUL bytes")
	}
	return CSV, nil
}

// openObject says whether the line is only the beginning of an object.
func openObject(line []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(line))
	for {
		if _, err := dec.Token(); err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}

// Endings of file names, as they are in use. A .json file may hold an array, an object or lines: its first bytes tell.
var (
	compressedEndings = []string{".gz", ".zst", ".zstd"}
	formatEndings     = map[string]Format{".jsonl": JSONL, ".ndjson": JSONL, ".json": Detect, ".csv": CSV, ".tsv": TSV, ".tab": TSV,
		".parquet": Parquet, ".pq": Parquet}
)

// SplitName cuts the endings that say how a file is compressed and laid out off its name. It gives Detect when they do
// not say the format.
func SplitName(name string) (base string, f Format) {
	ending := func() string { return strings.ToLower(path.Ext(name)) }
	for slices.Contains(compressedEndings, ending()) {
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	f, ok := formatEndings[ending()]
	if ok {
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	return name, f
}

// lineReader reads lines of at most max bytes; the rest of a longer line is skipped, not kept.
type lineReader struct {
	br   *bufio.Reader
	max  int
	line int // number of the last line read
	buf  []byte
}

// next gives a line without its end, valid until the next call. tooLong says that it was cut.
func (l *lineReader) next() (b []byte, tooLong bool, err error) {
	l.buf = l.buf[:0]
	l.line++
	for {
		part, err := l.br.ReadSlice('\n')
		if room := l.max + 2 - len(l.buf); len(part) > room { // + 2 for the line's own end
			part, tooLong = part[:max(room, 0)], true
		}
		l.buf = append(l.buf, part...)
		switch {
		case err == nil:
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(l.buf) > 0:
		default:
			return nil, false, err
		}
		b = bytes.TrimSuffix(l.buf, []byte("\n"))
		b = bytes.TrimSuffix(b, []byte("\r"))
		return b, tooLong || len(b) > l.max, nil
	}
}

func badRow(line int, code robin.Code, format string, args ...any) Row {
	return Row{Line: line, Err: &robin.RowError{Line: line, Code: code, Detail: fmt.Sprintf(format, args...)}}
}
