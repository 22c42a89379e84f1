// Package tokenizer turns text into the token ids that a model was trained on. It reads Hugging Face's tokenizer.json
// (byte-level BPE as in RoBERTa, WordPiece as in BERT, Unigram as in XLM-RoBERTa), vocab.json with merges.txt, or vocab.txt,
// and gives the same ids as Hugging Face's own library. Components it does not know are refused by name when loading. Time and memory are
// linear in the text, apart from the sort of one very long word's merges; no text makes it fail.
package tokenizer

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Tokenizer is immutable and may be used from several goroutines.
type Tokenizer struct {
	raw         *tokenSet // added tokens found in the text as it is
	normalized  *tokenSet // added tokens found in the normalized text
	normalize   normalizer
	split       splitter
	model       wordModel
	single      template
	pair        template
	padID       int32
	size        int // one more than the largest id
	trims       []trim
	dropsSpaces bool // between words
	spellings   func() *spellings
	scratch     sync.Pool
}

// wordModel turns one word, as the splitter left it, into ids.
type wordModel interface {
	tokenize(dst []int32, word string, s *scratch) []int32
	id(token string) (int32, bool)
	size() int // one more than the largest id

	// spell gives each token to set, as the words that tokenize sees have it.
	spell(set func(id int32, token string))
	// width is how many bytes of rest the first count of ids stand for, when ids are the tokens from there on; n = 0: it
	// cannot be told of any. tokens are the spellings by id. start: rest is the whole word.
	width(rest string, start bool, ids []int32, tokens []string) (n, count int)
}

// scratch is what one Encode reuses from the last.
type scratch struct {
	a, b    []int32
	symbols []symbol
	merges  mergeHeap
	path    []pathEnd
}

// Encoding is a text, or a pair of texts, as ids with the special tokens around it.
type Encoding struct {
	IDs     []int32
	TypeIDs []int32 // the segment of each id; nil when all are 0
	// Total is the number of ids before truncation, special tokens included.
	Total     int
	Truncated bool // Total > len(IDs)
}

// Encode gives the ids of text, at most max of them (special tokens included) when max > 0. What is over max is cut from the
// end. A max that has no room for the special tokens gives those alone.
func (t *Tokenizer) Encode(text string, max int) Encoding {
	s := t.scratch.Get().(*scratch)
	defer t.scratch.Put(s)
	s.a = t.tokens(s.a[:0], text, s)
	a := s.a
	total := len(a) + t.single.special
	if max > 0 && total > max {
		a = a[:atLeast0(max-t.single.special)]
	}
	return t.single.wrap(a, nil, total)
}

// EncodePair gives the ids of two texts for a cross-encoder. When they are over max together, the longer one is cut first
// (Hugging Face's longest_first).
func (t *Tokenizer) EncodePair(a, b string, max int) Encoding {
	s := t.scratch.Get().(*scratch)
	defer t.scratch.Put(s)
	s.a = t.tokens(s.a[:0], a, s)
	s.b = t.tokens(s.b[:0], b, s)
	x, y := s.a, s.b
	total := len(x) + len(y) + t.pair.special
	if max > 0 && total > max {
		n1, n2 := longestFirst(len(x), len(y), atLeast0(max-t.pair.special))
		x, y = x[:n1], y[:n2]
	}
	return t.pair.wrap(x, y, total)
}

// longestFirst shares room between two texts that are longer than room together.
func longestFirst(n1, n2, room int) (int, int) {
	short := min(n1, n2)
	long := max(short, room-short)
	if short+long > room {
		short = room / 2
		long = short + room%2
	}
	if n1 > n2 {
		return long, short
	}
	return short, long
}

func atLeast0(n int) int { return max(n, 0) }

// PadID is the id that fills a batch's shorter rows.
func (t *Tokenizer) PadID() int32 { return t.padID }

// VocabSize is one more than the largest id that Encode can give: the rows that a model's embedding must have.
func (t *Tokenizer) VocabSize() int { return t.size }

// ID gives the id of a token, in the vocabulary's own spelling.
func (t *Tokenizer) ID(token string) (int32, bool) {
	if id, ok := t.raw.ids[token]; ok {
		return id, true
	}
	if id, ok := t.normalized.ids[token]; ok {
		return id, true
	}
	return t.model.id(token)
}

// tokens appends the ids of text, without special tokens around it.
func (t *Tokenizer) tokens(dst []int32, text string, s *scratch) []int32 {
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	words := func(word string) { dst = t.model.tokenize(dst, word, s) }
	t.raw.find(text, func(f found) {
		if f.id >= 0 {
			dst = append(dst, f.id)
			return
		}
		plain := t.normalize(text[f.start:f.end])
		t.normalized.find(plain, func(f found) {
			if f.id >= 0 {
				dst = append(dst, f.id)
				return
			}
			t.split(plain[f.start:f.end], words)
		})
	})
	return dst
}

// replaceInvalid turns every byte that is no part of UTF-8 into U+FFFD, as decoding with replacement does.
func replaceInvalid(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 8)
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

// template is where special tokens go around one text or two.
type template struct {
	pieces  []piece
	special int  // number of special tokens
	types   bool // some type id is not 0
}

// piece is a special token, or the place of a text.
type piece struct {
	text   int // 0: a special token; 1, 2: the first, the second text
	id     int32
	typeID int32
}

func newTemplate(pieces []piece) template {
	t := template{pieces: pieces}
	for _, p := range pieces {
		if p.text == 0 {
			t.special++
		}
		t.types = t.types || p.typeID != 0
	}
	return t
}

func (t template) wrap(a, b []int32, total int) Encoding {
	n := t.special + len(a) + len(b)
	e := Encoding{IDs: make([]int32, 0, n), Total: total, Truncated: total > n}
	if t.types {
		e.TypeIDs = make([]int32, 0, n)
	}
	for _, p := range t.pieces {
		switch p.text {
		case 0:
			e.IDs = append(e.IDs, p.id)
		case 1:
			e.IDs = append(e.IDs, a...)
		case 2:
			e.IDs = append(e.IDs, b...)
		}
		for t.types && len(e.TypeIDs) < len(e.IDs) {
			e.TypeIDs = append(e.TypeIDs, p.typeID)
		}
	}
	return e
}
