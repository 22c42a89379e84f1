package embedder

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Part is a part of a text, in bytes.
type Part struct{ Start, End int }

// CutOptions say how a text is divided. Tokens are the model's, special tokens and its prefix for passages included.
type CutOptions struct {
	Tokens  int // of a passage, at most
	Overlap int // that a passage has in common with the one before it, about
	Most    int // passages; what is behind them is left out
	Head    int // bytes from the front of the text that are to be read ahead of each passage but the first
}

// Room is how many tokens of a text itself a passage of so many has.
func (e *Embedder) Room(tokens int) int {
	return tokens - e.folder.Encode(e.folder.PassagePrefix, "").Total
}

// headShare is the part of a passage that the repeated head may take. Title and description of a product fit; where a text
// begins with something longer, repeating it would make all passages the same.
const headShare = 4

// Cut divides a text into passages of about the same length. They end at the end of a sentence where one is near, else
// between words, else between characters. head is how much of the front is to be read ahead of each passage but the
// first: o.Head, or 0 where that is too long for passages of this length. left says that the end of the text is in no
// passage. A text that fits is one passage.
func (e *Embedder) Cut(text string, o CutOptions) (list []Part, head int, left bool) {
	if e.CountTokens(text) <= o.Tokens {
		return []Part{{0, len(text)}}, 0, false
	}
	c := &cutter{e: e, text: text, o: o}
	c.places()
	c.heading()
	for from, done := 0, 0; ; {
		if len(list) == o.Most {
			return list, c.head, strings.TrimSpace(text[c.byteAt(done):]) != ""
		}
		p, to := c.passage(from, c.end(from, o.Most-len(list)))
		if from == 0 && to < c.headed { // the passages behind it would begin with a part of themselves
			c.head, c.headed = 0, 0
		}
		if to <= done { // what it has in common with the one before it left no room for more
			from = done
			continue
		}
		list = add(list, p)
		if to >= len(c.starts) {
			return list, c.head, false
		}
		from, done = c.next(from, to), to
	}
}

// add takes a passage into a list, unless it says no more than the last. Space at its ends counts for nothing.
func add(list []Part, p Part) []Part {
	last := Part{-1, 0}
	if len(list) > 0 {
		last = list[len(list)-1]
	}
	switch {
	case p.End <= max(p.Start, last.End):
		return list
	case p.Start <= last.Start:
		list = list[:len(list)-1]
	}
	return append(list, p)
}

// cutter is the work on one text. It goes by tokens, and a place is the number of the token that begins there.
type cutter struct {
	e      *Embedder
	text   string
	o      CutOptions
	starts []int // by token: the byte at which it begins; several tokens of one character begin at one
	head   int   // bytes that are repeated
	headed int   // tokens of the head
}

// places finds where the tokens of the text begin.
func (c *cutter) places() {
	prefix := c.e.folder.PassagePrefix
	tokens := c.e.folder.Tokens(prefix, c.text, false)
	before := utf8.RuneCountInString(prefix)
	c.starts = make([]int, 0, len(tokens))
	at, runes := 0, 0 // a byte of the text, and its place in characters
	for _, tok := range tokens {
		if tok.Stop <= before && tok.Start >= 0 && before > 0 {
			continue // of the prefix
		}
		if tok.Start >= 0 { // else its place is not known, and it goes with the one before it
			for runes < tok.Start-before && at < len(c.text) {
				_, width := utf8.DecodeRuneInString(c.text[at:])
				at += width
				runes++
			}
		}
		c.starts = append(c.starts, at)
	}
	if len(c.starts) > 0 {
		c.starts[0] = 0 // what the normalizer drops before it belongs to it
	}
}

// heading decides whether the head is repeated.
func (c *cutter) heading() {
	n := 0
	for n < len(c.starts) && c.starts[n] < c.o.Head {
		n++
	}
	if c.o.Head > 0 && n <= c.e.Room(c.o.Tokens)/headShare {
		c.head, c.headed = c.o.Head, n
	}
}

// room is how many tokens a passage from a place may have.
func (c *cutter) room(from int) int {
	room := c.e.Room(c.o.Tokens)
	if from > 0 {
		room -= c.headed
	}
	return max(1, room)
}

// end chooses where a passage that begins at a place ends, when at most so many passages may still come.
func (c *cutter) end(from, passages int) int {
	rest, room := len(c.starts)-from, c.room(from)
	if rest <= room {
		return len(c.starts)
	}
	// As many passages as it takes share the rest evenly: a last one with a few words would stand for nothing.
	step := max(1, room-c.o.Overlap)
	n := (rest - c.o.Overlap + step - 1) / step
	target := room
	if n <= passages {
		target = min(room, (rest+(n-1)*c.o.Overlap+n-1)/n)
	}
	low, high := from+max(1, target*3/4), from+min(room, target+target/4)
	best, worth := 0, none
	for place := low; place <= high && place < len(c.starts); place++ {
		w := c.boundary(place)
		if w > worth || w == worth && w > none && distance(place, from+target) < distance(best, from+target) {
			best, worth = place, w
		}
	}
	if worth == none { // in the middle of a long run of nothing but one character
		return high
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// The boundaries that a place may be, the best last.
const (
	none = iota // in the middle of a character
	betweenCharacters
	betweenWords
	betweenSentences
)

// boundary says what lies between a token and the one before it.
func (c *cutter) boundary(place int) int {
	at := c.starts[place]
	if at == c.starts[place-1] {
		return none
	}
	token := c.text[c.starts[place-1]:at]
	before := strings.TrimRightFunc(token, unicode.IsSpace)
	next, _ := utf8.DecodeRuneInString(c.text[at:])
	last, _ := utf8.DecodeLastRuneInString(before)
	apart := len(before) < len(token) || unicode.IsSpace(next)
	switch {
	case strings.ContainsRune("。！？｡", last), apart && strings.ContainsRune(".!?…;:\"”)", last),
		strings.ContainsRune(token[len(before):], '\n'):
		return betweenSentences
	case apart, unicode.In(last, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
		return betweenWords
	}
	return betweenCharacters
}

// passage is what lies between two places, without the space at its ends. Words that are tokenized at the beginning of a
// text may have more tokens than in its middle: while there are too many, it gives up the last.
func (c *cutter) passage(from, to int) (p Part, end int) {
	for {
		p = Part{c.byteAt(from), c.byteAt(to)}
		for p.End > p.Start && strings.ContainsRune(" \t\n\r", rune(c.text[p.End-1])) {
			p.End--
		}
		for p.Start < p.End && strings.ContainsRune(" \t\n\r", rune(c.text[p.Start])) {
			p.Start++
		}
		over := c.e.CountTokens(c.read(from, p)) - c.o.Tokens
		if over <= 0 {
			return p, to
		}
		shorter := c.wordBefore(from, max(from+1, to-over))
		if shorter <= from || shorter >= to { // it is one character
			return p, to
		}
		to = shorter
	}
}

// wordBefore is the last place between words at or before one, or between characters where there is no such place.
func (c *cutter) wordBefore(from, place int) int {
	fallback := from
	for ; place > from; place-- {
		switch b := c.boundary(place); {
		case b >= betweenWords:
			return place
		case b == betweenCharacters && fallback == from:
			fallback = place
		}
	}
	return fallback
}

// next is where the passage after one begins: at most the overlap before its end, at a sentence, or else at a word.
func (c *cutter) next(from, to int) int {
	word := to
	for place := max(from+1, c.headed, to-c.o.Overlap); place < to; place++ {
		switch c.boundary(place) {
		case betweenSentences:
			return place
		case betweenWords:
			word = min(word, place)
		}
	}
	return word
}

// read is what the model reads of a passage.
func (c *cutter) read(from int, p Part) string {
	if from == 0 {
		return c.text[p.Start:p.End]
	}
	return c.text[:c.head] + c.text[p.Start:p.End]
}

func (c *cutter) byteAt(place int) int {
	if place >= len(c.starts) {
		return len(c.text)
	}
	return c.starts[place]
}
