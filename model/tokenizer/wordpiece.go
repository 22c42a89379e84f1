package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// wordPiece takes the longest token that begins the word, then the longest that continues it, and so on (Devlin et al.,
// 2018). A word with no such cover is one unknown token.
type wordPiece struct {
	begin    map[string]int32
	continu  map[string]int32 // without the prefix
	vocab    map[string]int32
	prefix   string // of a token that continues a word
	unknown  int32
	maxChars int
	longest  int // bytes of the longest token
	largest  int32
}

func newWordPiece(vocab map[string]int32, unknown, prefix string, maxChars int) (*wordPiece, error) {
	id, ok := vocab[unknown]
	if !ok {
		return nil, fmt.Errorf("the unknown token %q is not in the vocabulary", unknown)
	}
	if maxChars <= 0 || maxChars > 1000 {
		return nil, fmt.Errorf("max_input_chars_per_word is %d, want 1 to 1000", maxChars)
	}
	m := &wordPiece{begin: vocab, continu: make(map[string]int32, len(vocab)/4), vocab: vocab, prefix: prefix, unknown: id, maxChars: maxChars}
	for token, id := range vocab {
		if id < 0 {
			return nil, fmt.Errorf("token %q has the id %d", token, id)
		}
		m.largest = max(m.largest, id)
		m.longest = max(m.longest, len(token))
		if rest, ok := strings.CutPrefix(token, prefix); ok {
			m.continu[rest] = id
		}
	}
	return m, nil
}

func (m *wordPiece) size() int { return int(m.largest) + 1 }

func (m *wordPiece) id(token string) (int32, bool) {
	id, ok := m.vocab[token]
	return id, ok
}

func (m *wordPiece) tokenize(dst []int32, word string, _ *scratch) []int32 {
	if len(word) > m.maxChars && utf8.RuneCountInString(word) > m.maxChars {
		return append(dst, m.unknown)
	}
	first := len(dst)
	tokens := m.begin
	for start := 0; start < len(word); tokens = m.continu {
		end := min(len(word), start+m.longest)
		id, ok := int32(0), false
		for ; end > start; end-- {
			if end < len(word) && !utf8.RuneStart(word[end]) {
				continue
			}
			if id, ok = tokens[word[start:end]]; ok {
				break
			}
		}
		if !ok {
			return append(dst[:first], m.unknown)
		}
		dst = append(dst, id)
		start = end
	}
	return dst
}
