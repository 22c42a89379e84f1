package tokenizer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// charsMap is SentencePiece's precompiled normalization: a double-array trie (Darts-clone) over the bytes of what is
// replaced, and the replacements, each ended by a zero byte. The bytes are the length of the trie in bytes (uint32), its
// units (uint32 each), and the replacements; all little-endian.
type charsMap struct {
	units        []uint32
	replacements []byte
}

func parseCharsMap(b []byte) (*charsMap, error) {
	if len(b) < 4 {
		return nil, errors.New("the precompiled_charsmap is cut short")
	}
	size, rest := binary.LittleEndian.Uint32(b), b[4:]
	if size%4 != 0 || uint64(size) > uint64(len(rest)) || size == 0 {
		return nil, fmt.Errorf("the precompiled_charsmap says that its trie has %d of %d bytes", size, len(rest))
	}
	m := &charsMap{units: make([]uint32, size/4), replacements: rest[size:]}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(rest[4*i:])
	}
	if !utf8.Valid(m.replacements) {
		return nil, errors.New("the precompiled_charsmap holds replacements that are no UTF-8")
	}
	return m, nil
}

// The parts of a unit: whether a value hangs below it, the byte that leads to it, and where its children are.
func unitHasLeaf(u uint32) bool  { return u>>8&1 == 1 }
func unitLabel(u uint32) uint32  { return u & (1<<31 | 0xFF) }
func unitOffset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }

// find gives the replacement of the shortest prefix of s that has one. That it then stands for all of s is how
// SentencePiece's map is read by Hugging Face's library.
func (m *charsMap) find(s string) (string, bool) {
	at := unitOffset(m.units[0])
	for i := 0; i < len(s) && s[i] != 0; i++ {
		at ^= uint32(s[i])
		if uint64(at) >= uint64(len(m.units)) {
			return "", false
		}
		u := m.units[at]
		if unitLabel(u) != uint32(s[i]) {
			return "", false
		}
		at ^= unitOffset(u)
		if !unitHasLeaf(u) {
			continue
		}
		if uint64(at) >= uint64(len(m.units)) {
			return "", false
		}
		start := m.units[at] & (1<<31 - 1)
		if uint64(start) > uint64(len(m.replacements)) {
			return "", false
		}
		text := m.replacements[start:]
		if end := bytes.IndexByte(text, 0); end >= 0 {
			text = text[:end]
		}
		return string(text), true
	}
	return "", false
}

// longestCluster is the bytes of the grapheme clusters that are looked up whole; in others each character is.
const longestCluster = 5

func (m *charsMap) normalize(s string) string {
	if m.unchanged(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for state := -1; s != ""; {
		var cluster string
		cluster, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		if len(cluster) <= longestCluster {
			if r, ok := m.find(cluster); ok {
				b.WriteString(r)
				continue
			}
		}
		for i, c := range cluster {
			part := cluster[i : i+utf8.RuneLen(c)]
			if r, ok := m.find(part); ok {
				b.WriteString(r)
			} else {
				b.WriteString(part)
			}
		}
	}
	return b.String()
}

// unchanged says of printable ASCII, most of all text, that it stays as it is.
func (m *charsMap) unchanged(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
		if _, ok := m.find(s[i : i+1]); ok {
			return false
		}
	}
	return true
}
