package tokenizer

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// maxAddedBytes bounds an added token, and so the time spent at one position of the text.
const maxAddedBytes = 512

// addedToken is a token that is looked for in the text before it is split into words, such as <mask>.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no letter or digit touches it
	LStrip     bool   `json:"lstrip"`      // swallows the whitespace before it
	RStrip     bool   `json:"rstrip"`      // swallows the whitespace after it
	Normalized bool   `json:"normalized"`  // looked for in the normalized text
	Special    bool   `json:"special"`
}

// tokenSet finds added tokens: at each position the longest, without overlap.
type tokenSet struct {
	tokens []addedToken
	ids    map[string]int32
	first  [256]bool // bytes that begin a pattern
	nodes  []trieNode
}

type trieNode struct {
	next  map[byte]int32
	token int32 // index of the token that ends here, or -1
}

func newTokenSet() *tokenSet {
	return &tokenSet{ids: map[string]int32{}, nodes: []trieNode{{token: -1}}}
}

// add makes the set look for pattern, which is the token's content or what the normalizer makes of it.
func (ts *tokenSet) add(tok addedToken, pattern string) error {
	if len(pattern) > maxAddedBytes {
		return fmt.Errorf("added token %d has %d bytes, at most %d are read", tok.ID, len(pattern), maxAddedBytes)
	}
	ts.ids[tok.Content] = tok.ID
	if pattern == "" {
		return nil
	}
	ts.first[pattern[0]] = true
	at := int32(0)
	for i := 0; i < len(pattern); i++ {
		next, ok := ts.nodes[at].next[pattern[i]]
		if !ok {
			next = int32(len(ts.nodes))
			ts.nodes = append(ts.nodes, trieNode{token: -1})
			if ts.nodes[at].next == nil {
				ts.nodes[at].next = map[byte]int32{}
			}
			ts.nodes[at].next[pattern[i]] = next
		}
		at = next
	}
	if ts.nodes[at].token < 0 {
		ts.nodes[at].token = int32(len(ts.tokens))
	}
	ts.tokens = append(ts.tokens, tok)
	return nil
}

// found is a part of a text: text with id -1, or the place of an added token with its id.
type found struct {
	id         int32
	start, end int
}

// find calls emit for the parts of s in order.
func (ts *tokenSet) find(s string, emit func(found)) {
	if s == "" {
		return
	}
	done := 0 // s[:done] is emitted
	for i := 0; len(ts.tokens) > 0 && i < len(s); {
		if !ts.first[s[i]] {
			i++
			continue
		}
		index, end := ts.longest(s, i)
		if index < 0 {
			i++
			continue
		}
		tok := &ts.tokens[index]
		start, stop := i, end
		i = end
		if tok.SingleWord && (wordBefore(s[:start]) || wordAfter(s[stop:])) {
			continue
		}
		if tok.LStrip {
			start = max(trimmedEnd(s[:start]), done)
		}
		if tok.RStrip {
			stop += leadingSpace(s[stop:])
			i = stop
		}
		if done < start {
			emit(found{-1, done, start})
		}
		emit(found{tok.ID, start, stop})
		done = stop
	}
	if done < len(s) {
		emit(found{-1, done, len(s)})
	}
}

func (ts *tokenSet) longest(s string, i int) (token int32, end int) {
	token = -1
	at := int32(0)
	for ; i < len(s); i++ {
		next, ok := ts.nodes[at].next[s[i]]
		if !ok {
			break
		}
		at = next
		if ts.nodes[at].token >= 0 {
			token, end = ts.nodes[at].token, i+1
		}
	}
	return token, end
}

func wordBefore(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func wordAfter(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

func trimmedEnd(s string) int {
	for len(s) > 0 {
		r, n := utf8.DecodeLastRuneInString(s)
		if !unicode.IsSpace(r) {
			break
		}
		s = s[:len(s)-n]
	}
	return len(s)
}

func leadingSpace(s string) int {
	for i, r := range s {
		if !unicode.IsSpace(r) {
			return i
		}
	}
	return len(s)
}

// isWord is \w of Unicode's regular expressions (UTS 18): alphabetic, mark, decimal number, connector, join control.
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control) || laterWord.has(r)
}
