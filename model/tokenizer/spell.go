package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// spellings are the tokens by id.
type spellings struct {
	tokens []string         // as the model's words have them
	added  map[int32]string // those that are looked for before
	bytes  bool             // tokens are bytes
}

func (t *Tokenizer) spellAll() *spellings {
	s := &spellings{tokens: make([]string, t.size), added: map[int32]string{}}
	_, s.bytes = t.model.(*bpe)
	t.model.spell(func(id int32, token string) { s.tokens[id] = token })
	for _, set := range []*tokenSet{t.raw, t.normalized} {
		for content, id := range set.ids {
			s.added[id] = content
		}
	}
	return s
}

// spelling is a token as the vocabulary's file has it.
func (s *spellings) spelling(id int32) string {
	if content, ok := s.added[id]; ok {
		return content
	}
	if s.bytes {
		return fromBytes(s.tokens[id])
	}
	return s.tokens[id]
}

// byteRunes is GPT-2's map from bytes to printable characters.
var byteRunes = func() (to [256]rune) {
	for r, b := range runeBytes {
		to[b] = r
	}
	return to
}()

// fromBytes writes a token in its printable spelling.
func fromBytes(token string) string {
	var b strings.Builder
	for i := range len(token) {
		b.WriteRune(byteRunes[token[i]])
	}
	return b.String()
}

func (m *bpe) spell(set func(id int32, token string)) {
	for token, id := range m.vocab {
		set(id, token)
	}
}

func (m *bpe) width(rest string, _ bool, ids []int32, tokens []string) (n, count int) {
	return prefixed(rest, tokens[ids[0]], len(ids))
}

func (m *wordPiece) spell(set func(id int32, token string)) {
	for token, id := range m.vocab {
		set(id, token)
	}
}

func (m *wordPiece) width(rest string, start bool, ids []int32, tokens []string) (n, count int) {
	if ids[0] == m.unknown {
		return len(rest), 1
	}
	token := tokens[ids[0]]
	if !start {
		token = strings.TrimPrefix(token, m.prefix)
	}
	return prefixed(rest, token, len(ids))
}

func (m *unigram) spell(set func(id int32, token string)) {
	for token, id := range m.ids {
		set(id, token)
	}
}

// width of an unknown token reaches to where the next token is. The bytes of a run of unknown characters share its place.
func (m *unigram) width(rest string, _ bool, ids []int32, tokens []string) (n, count int) {
	if n, count = prefixed(rest, tokens[ids[0]], len(ids)); n > 0 {
		return n, count
	}
	for m.fallback && n < min(len(rest), len(ids)) && m.bytes[rest[n]] == ids[n] {
		n++
	}
	switch {
	case n > 0:
		return n, n
	case ids[0] != m.unknown:
		return 0, len(ids)
	case len(ids) == 1:
		return len(rest), 1
	}
	_, first := utf8.DecodeRuneInString(rest)
	if n := strings.Index(rest[first:], tokens[ids[1]]); n >= 0 {
		return first + n, 1
	}
	return 0, len(ids)
}

// prefixed is the width of a token that rest must begin with, when left tokens are left.
func prefixed(rest, token string, left int) (n, count int) {
	if token != "" && strings.HasPrefix(rest, token) {
		return len(token), 1
	}
	return 0, left
}
