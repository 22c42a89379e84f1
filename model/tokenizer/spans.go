package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Token is one id with the part of the text that it stands for.
type Token struct {
	ID      int32
	Text    string // its part; of a token that has none, or shares it with a run of others, the vocabulary's spelling
	Special bool   // stands around the text and for no part of it

	// Start and Stop are where its part is in the text, in characters. Start is -1 for special tokens, and where the
	// normalizer joins characters so that no part belongs to the token alone. A character that is several tokens is the part
	// of each.
	Start, Stop int
}

// Tokens gives the tokens of the whole text, with the special tokens around it or without. The ids are Encode's, the
// places those of Hugging Face's library.
func (t *Tokenizer) Tokens(text string, special bool) []Token {
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	s := t.scratch.Get().(*scratch)
	defer t.scratch.Put(s)
	sp := &spans{t: t, text: text, scratch: s, spellings: t.spellings()}
	t.raw.find(text, sp.raw)
	sp.characters()
	sp.trim()
	sp.show()
	if !special {
		return sp.out
	}
	out := make([]Token, 0, len(sp.out)+t.single.special)
	for _, p := range t.single.pieces {
		if p.text == 0 {
			out = append(out, Token{ID: p.id, Text: sp.spelling(p.id), Special: true, Start: -1})
		} else {
			out = append(out, sp.out...)
		}
	}
	return out
}

// spans finds the places of one text's tokens. Until characters has run they are in bytes.
type spans struct {
	t    *Tokenizer
	text string
	*spellings
	scratch *scratch
	out     []Token
	runes   []rune // of the text; nil when each is a byte
}

func (s *spans) add(id int32, start, stop int) {
	s.out = append(s.out, Token{ID: id, Start: start, Stop: stop})
}

// raw takes a part of the text as it is.
func (s *spans) raw(f found) {
	if f.id >= 0 {
		s.add(f.id, f.start, f.end)
		return
	}
	a := s.align(f.start, f.end)
	s.t.normalized.find(a.plain, func(f found) {
		if f.id >= 0 {
			start, stop := a.place(f.start, f.end)
			s.add(f.id, start, stop)
			return
		}
		s.words(a, f.start, f.end)
	})
}

// aligned is a normalized part of a text.
type aligned struct {
	plain string
	from  []int32 // of each byte of plain, where the character of the text begins that it comes from; -1: not known
	to    []int32 // and where it ends
}

// place gives the part of the text that plain[start:end] comes from.
func (a *aligned) place(start, end int) (from, to int) {
	if start >= end || a.from[start] < 0 || a.from[end-1] < 0 {
		return -1, 0
	}
	return int(a.from[start]), int(a.to[end-1])
}

// append says that the next n bytes of plain come from a part of the text.
func (a *aligned) append(n, from, to int) {
	for range n {
		a.from, a.to = append(a.from, int32(from)), append(a.to, int32(to))
	}
}

// align normalizes a part of the text. What comes of each character alone tells where everything is, as long as it comes
// of them together, too.
func (s *spans) align(start, end int) *aligned {
	part := s.text[start:end]
	a := &aligned{plain: s.t.normalize(part)}
	a.from, a.to = make([]int32, 0, len(a.plain)), make([]int32, 0, len(a.plain))
	if a.plain == part {
		for i, r := range part {
			a.append(utf8.RuneLen(r), start+i, start+i+utf8.RuneLen(r))
		}
		return a
	}
	for i := 0; i < len(part); {
		n := marked(part[i:])
		together := s.t.normalize(part[i : i+n])
		if !strings.HasPrefix(a.plain[len(a.from):], together) {
			break
		}
		if s.apart(part[i:i+n]) != together {
			a.append(len(together), -1, 0)
			i += n
			continue
		}
		for stop := i + n; i < stop; {
			_, width := utf8.DecodeRuneInString(part[i:])
			a.append(len(s.t.normalize(part[i:i+width])), start+i, start+i+width)
			i += width
		}
	}
	a.append(len(a.plain)-len(a.from), -1, 0)
	return a
}

// marked is the length of the character that text begins with and the marks on it.
func marked(text string) int {
	for i, r := range text {
		if i > 0 && !unicode.Is(unicode.M, r) {
			return i
		}
	}
	return len(text)
}

// apart normalizes each character alone.
func (s *spans) apart(text string) string {
	var b strings.Builder
	for i, r := range text {
		b.WriteString(s.t.normalize(text[i : i+utf8.RuneLen(r)]))
	}
	return b.String()
}

// words takes the words of plain[start:end].
func (s *spans) words(a *aligned, start, end int) {
	at := start
	known := true
	s.t.split(a.plain[start:end], func(word string) {
		s.scratch.a = s.t.model.tokenize(s.scratch.a[:0], word, s.scratch)
		ids := s.scratch.a
		var places []int
		if known {
			places, at, known = locate(word, a.plain[:end], at, s.t.dropsSpaces)
		}
		for done, i := 0, 0; i < len(ids); {
			n, count := 0, len(ids)-i
			if known {
				n, count = s.t.model.width(word[done:], i == 0, ids[i:], s.tokens)
			}
			from, to := -1, 0
			if n > 0 {
				last := places[done+n-1]
				_, width := utf8.DecodeRuneInString(a.plain[last:])
				from, to = a.place(places[done], last+width)
			}
			for range count {
				s.add(ids[i], from, to)
				if count > 1 { // or the run's text would come once for each of its bytes
					s.out[len(s.out)-1].Text = s.spelling(ids[i])
				}
				i++
			}
			done += n
		}
	})
}

// locate finds, for each byte of word, where the character of plain begins that it comes from, and where to look for the
// next word. A splitter may drop whitespace between words, put a space before them, and write spaces as SentencePiece does.
func locate(word, plain string, at int, dropsSpaces bool) (places []int, next int, ok bool) {
	places = make([]int, 0, len(word))
	for i := 0; i < len(word); {
		w, n := utf8.DecodeRuneInString(word[i:])
		p, width := utf8.DecodeRuneInString(plain[at:])
		switch {
		case i == 0 && at < len(plain) && dropsSpaces && unicode.IsSpace(p):
			at += width
			continue
		case at < len(plain) && (w == p || w == sentenceSpace && p == ' '):
		case i == 0 && at < len(plain) && (w == ' ' || w == sentenceSpace):
			width = 0 // put there; Hugging Face's library gives it the first character
		default:
			return nil, at, false
		}
		for range n {
			places = append(places, at)
		}
		i += n
		at += width
	}
	return places, at, true
}

// sentenceSpace is how SentencePiece writes a space.
const sentenceSpace = '\u2581'

// characters turns places in bytes into places in characters.
func (s *spans) characters() {
	if ascii(s.text) {
		return
	}
	s.runes = []rune(s.text)
	at := make([]int32, 0, len(s.text)+1)
	n := int32(-1)
	for i := range len(s.text) {
		if utf8.RuneStart(s.text[i]) {
			n++
		}
		at = append(at, n)
	}
	at = append(at, n+1)
	for i := range s.out {
		if tok := &s.out[i]; tok.Start >= 0 {
			tok.Start, tok.Stop = int(at[tok.Start]), int(at[tok.Stop])
		}
	}
}

// dropsSpaces says whether a pre-tokenizer leaves the whitespace between words out.
func dropsSpaces(b json.RawMessage) (bool, error) {
	typ, err := kind(b)
	if err != nil {
		return false, err
	}
	switch typ {
	case "BertPreTokenizer", "Whitespace", "WhitespaceSplit":
		return true, nil
	case "Sequence":
		var c struct {
			Pretokenizers []json.RawMessage `json:"pretokenizers"`
		}
		if err := json.Unmarshal(b, &c); err != nil {
			return false, fmt.Errorf("pre-tokenizer Sequence: %w", err)
		}
		for _, p := range c.Pretokenizers {
			if drops, err := dropsSpaces(p); drops || err != nil {
				return drops, err
			}
		}
	}
	return false, nil
}

// part is the text from one character to another.
func (s *spans) part(start, stop int) string {
	if s.runes == nil {
		return s.text[start:stop]
	}
	return string(s.runes[start:stop])
}

// show gives each token its text.
func (s *spans) show() {
	for i := range s.out {
		switch tok := &s.out[i]; {
		case tok.Text != "":
		case tok.Start < 0:
			tok.Text = s.spelling(tok.ID)
		default:
			tok.Text = s.part(tok.Start, tok.Stop)
		}
	}
}

// trim is how a post-processor leaves spaces out of the places of byte-level tokens.
type trim struct {
	keepFirst bool // the first space of the text's first token was put there and has no place
}

// trims reads what the post-processor trims.
func trims(b json.RawMessage) ([]trim, error) {
	typ, err := kind(b)
	if err != nil || typ == "" {
		return nil, err
	}
	var c struct {
		TrimOffsets    *bool             `json:"trim_offsets"`
		AddPrefixSpace *bool             `json:"add_prefix_space"`
		Processors     []json.RawMessage `json:"processors"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("post-processor %s: %w", typ, err)
	}
	var all []trim
	switch typ {
	case "RobertaProcessing", "ByteLevel":
		if c.TrimOffsets == nil || *c.TrimOffsets {
			all = append(all, trim{c.AddPrefixSpace == nil || *c.AddPrefixSpace})
		}
	case "Sequence": // its kinds are checked where the templates are read
		for _, p := range c.Processors {
			more, err := trims(p)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	return all, nil
}

func (s *spans) trim() {
	for _, t := range s.t.trims {
		for i := range s.out {
			tok := &s.out[i]
			if tok.Start < 0 {
				continue
			}
			before, after := s.spaces(tok)
			if before > 0 {
				if t.keepFirst && (i == 0 || tok.Start == 0) {
					before--
				}
				tok.Start = min(tok.Start+before, tok.Stop)
			}
			if after > 0 && tok.Stop >= after {
				tok.Stop = max(tok.Stop-after, tok.Start)
			}
		}
	}
}

// spaces counts the spaces at both ends of a token, those that an added token swallowed included.
func (s *spans) spaces(tok *Token) (before, after int) {
	if _, ok := s.added[tok.ID]; ok {
		text := s.part(tok.Start, tok.Stop)
		inner := strings.TrimLeftFunc(text, unicode.IsSpace)
		before = utf8.RuneCountInString(text) - utf8.RuneCountInString(inner)
		return before, utf8.RuneCountInString(inner) - utf8.RuneCountInString(strings.TrimRightFunc(inner, unicode.IsSpace))
	}
	text := s.tokens[tok.ID]
	return len(text) - len(strings.TrimLeft(text, " ")), len(text) - len(strings.TrimRight(text, " "))
}
