package dedup

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// A saved Found is zstd over lines of JSON. The first says the version; the last, how many lines are before it and the
// CRC-32C of their bytes, so that a file that was cut short or changed is refused. In between a line holds one of
// savedLine's fields. Numbers in bulk are base64 of their little-endian bytes.
const (
	savedFormat  = "robin-duplicates"
	savedVersion = 2 // 1 had neither trigrams, capitals nor fields, without which no fact can be judged
	longestLine  = 256 << 20
	someOfMany   = 8192 // pairs, or words, on one line
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type savedHead struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Head    head   `json:"head"`
	Texts   int    `json:"texts"` // in the corpus
	Caps    int    `json:"caps"`  // of its words, with a capital where a sentence goes on
	Low     int    `json:"low"`   // in lower case
	Grams   []byte `json:"grams"` // 4 bytes each
}

type savedLine struct {
	Start  *savedHead   `json:"start,omitempty"`
	Words  []byte       `json:"words,omitempty"` // hash, texts, caps, low: 20 bytes each
	Column *savedColumn `json:"column,omitempty"`
	Node   *savedNode   `json:"node,omitempty"`
	Doc    *savedDoc    `json:"doc,omitempty"`
	Pairs  []byte       `json:"pairs,omitempty"` // a, b, cosine: 12 bytes each
	Cross  *savedCross  `json:"cross,omitempty"`
	Full   *savedFull   `json:"full,omitempty"`
	End    *savedEnd    `json:"end,omitempty"`
}

type savedColumn struct {
	Name   string `json:"name"`
	Date   bool   `json:"date,omitempty"`
	Values []byte `json:"values"` // 8 bytes each
}

type savedNode struct {
	Text       string            `json:"text"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Rival      uint32            `json:"rival"`
	Best       float32           `json:"best"`
	Second     float32           `json:"second"`
	Last       float32           `json:"last"`
}

type savedDoc struct {
	ID     string `json:"id"`
	Node   uint32 `json:"node"`
	Filled int32  `json:"filled"`
	Source uint32 `json:"source,omitempty"`
}

type savedCross struct {
	A     uint32  `json:"a"`
	B     uint32  `json:"b"`
	Score float32 `json:"score"`
}

type savedFull struct {
	Node   uint32 `json:"node"`
	Vector []byte `json:"vector"` // 4 bytes a component
}

type savedEnd struct {
	Lines int    `json:"lines"`
	CRC   uint32 `json:"crc"`
}

// Save writes f for Load. The caller makes the file durable and gives it its name when it is whole.
func (f *Found) Save(w io.Writer) error {
	zw, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	crc := crc32.New(castagnoli)
	out := bufio.NewWriter(io.MultiWriter(zw, crc))
	enc := json.NewEncoder(out)
	lines := 0
	put := func(l savedLine) {
		if err == nil {
			lines++
			err = enc.Encode(l)
		}
	}
	f.put(put)
	if err == nil {
		err = out.Flush()
	}
	put(savedLine{End: &savedEnd{Lines: lines, CRC: crc.Sum32()}})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("save the duplicates: %w", err)
	}
	if err := zw.Close(); err != nil {
		return fmt.Errorf("save the duplicates: %w", err)
	}
	return nil
}

func (f *Found) put(put func(savedLine)) {
	put(savedLine{Start: &savedHead{savedFormat, savedVersion, f.head, f.corpus.n, f.corpus.caps, f.corpus.low, int32Bytes(f.corpus.grams)}})
	for part := range slices.Chunk(slices.Sorted(maps.Keys(f.corpus.words)), someOfMany) {
		b := make([]byte, 0, 20*len(part))
		for _, h := range part {
			k := f.corpus.words[h]
			b = append(binary.LittleEndian.AppendUint64(b, h), int32Bytes([]int32{k.texts, k.caps, k.low})...)
		}
		put(savedLine{Words: b})
	}
	for _, n := range f.nodes {
		put(savedLine{Node: &savedNode{n.text, n.attributes, n.rival.node, n.rival.best, n.rival.second, n.last}})
	}
	for i, d := range f.docs {
		put(savedLine{Doc: &savedDoc{d.id, d.node, f.columns.filled[i], d.source}})
	}
	for _, c := range f.columns.list {
		b := make([]byte, 0, 8*len(c.values))
		for _, x := range c.values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
		put(savedLine{Column: &savedColumn{c.name, c.date, b}})
	}
	for part := range slices.Chunk(f.edges, someOfMany) {
		b := make([]byte, 0, 12*len(part))
		for _, e := range part {
			b = binary.LittleEndian.AppendUint32(b, e.a)
			b = binary.LittleEndian.AppendUint32(b, e.b)
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(e.cosine))
		}
		put(savedLine{Pairs: b})
	}
	for _, e := range f.edges {
		if s, ok := f.crossed[[2]uint32{e.a, e.b}]; ok {
			put(savedLine{Cross: &savedCross{e.a, e.b, s}})
		}
	}
	for i, n := range f.full {
		b := make([]byte, 0, 4*len(f.vectors[i]))
		for _, x := range f.vectors[i] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		put(savedLine{Full: &savedFull{n, b}})
	}
}

func int32Bytes(list []int32) []byte {
	b := make([]byte, 0, 4*len(list))
	for _, x := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(x))
	}
	return b
}

func bytesInt32(b []byte) []int32 {
	list := make([]int32, len(b)/4)
	for i := range list {
		list[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return list
}
