package dedup

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

// What Load refuses.
var (
	ErrDamaged = errors.New("the saved duplicates are damaged or cut short; look for duplicates again")
	ErrVersion = errors.New("the saved duplicates have a version that this program does not read; look for duplicates again")
)

// Load reads what Save wrote. Nothing is taken on trust: numbers are checked against each other as they are read.
func Load(r io.Reader) (*Found, error) {
	f, err := load(r)
	if err != nil {
		return nil, fmt.Errorf("read the saved duplicates: %w", err)
	}
	return f, nil
}

func load(r io.Reader) (*Found, error) {
	zr, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer zr.Close()
	l := &loader{br: bufio.NewReader(zr), f: newFound()}
	l.f.columns.byName = map[string]*column{}
	for l.end == nil {
		line, err := l.line()
		if err != nil {
			return nil, err
		}
		if err := l.take(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.lines, err)
		}
	}
	if _, err := l.br.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	if err := l.f.sound(); err != nil {
		return nil, err
	}
	return l.f, l.f.index()
}

type loader struct {
	br    *bufio.Reader
	f     *Found
	crc   uint32 // of the lines before the last
	last  uint32 // that of all
	lines int
	end   *savedEnd
}

// line reads the next line, its end included.
func (l *loader) line() ([]byte, error) {
	var b []byte
	for {
		part, err := l.br.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case err == nil:
			l.lines++
			l.crc, l.last = l.last, crc32.Update(l.last, castagnoli, b)
			return b, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: after line %d: %w", ErrDamaged, l.lines, err)
		case len(b) > longestLine:
			return nil, fmt.Errorf("%w: line %d is longer than %d bytes", ErrDamaged, l.lines+1, longestLine)
		}
	}
}

func (l *loader) take(line []byte) error {
	var s savedLine
	if err := json.Unmarshal(line, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	f := l.f
	switch {
	case l.lines == 1:
		return l.begin(s.Start)
	case s.Words != nil:
		return f.takeWords(s.Words)
	case s.Node != nil:
		f.nodes = append(f.nodes, node{s.Node.Text, s.Node.Attributes, rival{s.Node.Rival, s.Node.Best, s.Node.Second}, s.Node.Last})
	case s.Doc != nil:
		f.docs = append(f.docs, document{s.Doc.ID, s.Doc.Node, s.Doc.Source})
		f.columns.filled = append(f.columns.filled, s.Doc.Filled)
	case s.Column != nil:
		return f.takeColumn(s.Column)
	case s.Pairs != nil:
		return f.takePairs(s.Pairs)
	case s.Cross != nil:
		f.crossed[[2]uint32{s.Cross.A, s.Cross.B}] = s.Cross.Score
	case s.Full != nil:
		return f.takeFull(s.Full)
	case s.End != nil:
		l.end = s.End
		if s.End.Lines != l.lines-1 || s.End.CRC != l.crc {
			return fmt.Errorf("%w: its checksum does not hold", ErrDamaged)
		}
	default:
		return fmt.Errorf("%w: the line says nothing", ErrDamaged)
	}
	return nil
}

func (l *loader) begin(s *savedHead) error {
	if s == nil || s.Format != savedFormat {
		return fmt.Errorf("%w: this is no file of duplicates", ErrDamaged)
	}
	if s.Version != savedVersion {
		return fmt.Errorf("%w: version %d, want %d", ErrVersion, s.Version, savedVersion)
	}
	l.f.head = s.Head
	if len(s.Grams) != 4*gramSlots {
		return fmt.Errorf("%w: trigrams of %d bytes", ErrDamaged, len(s.Grams))
	}
	l.f.corpus = &Corpus{n: s.Texts, words: map[uint64]count{}, grams: bytesInt32(s.Grams), caps: s.Caps, low: s.Low}
	return nil
}

func (f *Found) takeWords(b []byte) error {
	if len(b)%20 != 0 {
		return fmt.Errorf("%w: words of %d bytes", ErrDamaged, len(b))
	}
	for ; len(b) > 0; b = b[20:] {
		k := bytesInt32(b[8:20])
		f.corpus.words[binary.LittleEndian.Uint64(b)] = count{k[0], k[1], k[2]}
	}
	return nil
}

func (f *Found) takeColumn(s *savedColumn) error {
	if len(s.Values) != 8*len(f.docs) || f.columns.byName[s.Name] != nil || len(f.columns.list) == maxColumns {
		return fmt.Errorf("%w: the field %q does not fit", ErrDamaged, s.Name)
	}
	c := &column{name: s.Name, date: s.Date, values: make([]float64, len(f.docs))}
	for i := range c.values {
		c.values[i] = math.Float64frombits(binary.LittleEndian.Uint64(s.Values[8*i:]))
	}
	f.columns.list = append(f.columns.list, c)
	f.columns.byName[s.Name] = c
	return nil
}

func (f *Found) takePairs(b []byte) error {
	if len(b)%12 != 0 {
		return fmt.Errorf("%w: pairs of %d bytes", ErrDamaged, len(b))
	}
	for ; len(b) > 0; b = b[12:] {
		e := edge{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), math.Float32frombits(binary.LittleEndian.Uint32(b[8:]))}
		if n := len(f.edges); n > 0 && compareEdges(f.edges[n-1], e) >= 0 {
			return fmt.Errorf("%w: the pairs are not in order", ErrDamaged)
		}
		f.edges = append(f.edges, e)
	}
	return nil
}

func (f *Found) takeFull(s *savedFull) error {
	v := make([]float32, len(s.Vector)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(s.Vector[4*i:]))
	}
	if n := len(f.full); len(s.Vector)%4 != 0 || n > 0 && (s.Node <= f.full[n-1] || len(v) != len(f.vectors[0])) {
		return fmt.Errorf("%w: the vector of text %d does not fit", ErrDamaged, s.Node)
	}
	f.full = append(f.full, s.Node)
	f.vectors = append(f.vectors, v)
	return nil
}

// sound checks that all numbers point at something.
func (f *Found) sound() error {
	n := uint32(len(f.nodes))
	held := make([]bool, n)
	for _, d := range f.docs {
		if d.node >= n {
			return fmt.Errorf("%w: document %s has no text", ErrDamaged, d.id)
		}
		held[d.node] = true
	}
	full := map[uint32]bool{}
	for _, k := range f.full {
		if k >= n {
			return fmt.Errorf("%w: a vector belongs to no text", ErrDamaged)
		}
		full[k] = true
	}
	for i, x := range f.nodes {
		if !held[i] {
			return fmt.Errorf("%w: text %d belongs to no document", ErrDamaged, i)
		}
		if (x.last >= 0) != full[uint32(i)] {
			return fmt.Errorf("%w: text %d lacks its vector", ErrDamaged, i)
		}
	}
	for _, e := range f.edges {
		if e.a >= e.b || e.b >= n || !(e.cosine >= -1.001 && e.cosine <= 1.001) {
			return fmt.Errorf("%w: a pair of texts %d and %d with cosine %g cannot be", ErrDamaged, e.a, e.b, e.cosine)
		}
	}
	if h := f.head; !(h.Floor >= -1 && h.Floor <= 1) || h.Documents < len(f.docs) {
		return fmt.Errorf("%w: its first line does not fit the rest", ErrDamaged)
	}
	return nil
}
