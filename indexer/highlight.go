package indexer

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// fragmentBytes is how much of a field a highlight shows: two or three lines of a page.
	fragmentBytes = 240
	// maxHighlighted bounds the part of a field that is looked through.
	maxHighlighted = 32 << 10
)

// highlighter marks the words of a query in the text fields of hits. What it returns is HTML in which nothing of the
// document is markup: the marks alone are.
type highlighter struct {
	text  *textIndex
	terms []map[string]bool // by field
}

// highlighter takes the words as the keyword leg searched them, and where that did not run, as they were typed.
func (s *search) highlighter() *highlighter {
	var words []queryWord
	if s.words != nil {
		words = s.words.words
	} else if s.q.Highlight {
		words, _ = s.v.text.words(s.q.Q)
	}
	return &highlighter{text: s.v.text, terms: s.v.text.termsByField(words)}
}

// mark is a part of a text, in bytes.
type mark struct{ start, end int }

// fields gives the best fragment of each field with a match. Without any, as for a hit found by its meaning, it gives
// the beginning of the first field after the title that has text, or of the title.
func (h *highlighter) fields(d *parsed) map[string]string {
	out := map[string]string{}
	plainName, plain := "", ""
	for i, f := range h.text.fields {
		best, bestMarks, bestScore := "", []mark(nil), 0
		for _, text := range d.texts(f.name) {
			text = cutAt(text, maxHighlighted)
			if plain == "" || i == 1 && plainName == h.text.fields[0].name {
				plainName, plain = f.name, text
			}
			var marks []mark
			different := map[string]bool{}
			for _, token := range f.analyzer.Analyze([]byte(text)) {
				if h.terms[i][string(token.Term)] {
					marks = append(marks, mark{token.Start, token.End})
					different[string(token.Term)] = true
				}
			}
			if len(different) > bestScore {
				best, bestMarks, bestScore = text, marks, len(different)
			}
		}
		if bestScore > 0 {
			out[f.name] = render(best, bestMarks)
		}
	}
	if len(out) == 0 && plain != "" {
		out[plainName] = render(plain, nil)
	}
	return out
}

// render cuts the fragment with the most marks out of text and escapes it.
func render(text string, marks []mark) string {
	from, to := fragment(text, marks)
	var b strings.Builder
	if from > 0 {
		b.WriteString("… ")
	}
	at := from
	for _, m := range marks {
		if m.start < at || m.end > to {
			continue
		}
		b.WriteString(html.EscapeString(text[at:m.start]))
		b.WriteString("<mark>")
		b.WriteString(html.EscapeString(text[m.start:m.end]))
		b.WriteString("</mark>")
		at = m.end
	}
	b.WriteString(html.EscapeString(text[at:to]))
	if to < len(text) {
		b.WriteString(" …")
	}
	return b.String()
}

// fragment chooses up to fragmentBytes of text that hold the most marks, from the beginning of a word to the end of one.
func fragment(text string, marks []mark) (from, to int) {
	if len(text) <= fragmentBytes {
		return 0, len(text)
	}
	bestFirst, bestCount := 0, 0
	for i := range marks {
		n := 0
		for _, m := range marks[i:] {
			if m.end-marks[i].start > fragmentBytes*3/4 {
				break
			}
			n++
		}
		if n > bestCount {
			bestFirst, bestCount = i, n
		}
	}
	if bestCount > 0 {
		from = max(0, marks[bestFirst].start-fragmentBytes/4) // some words before the first mark
	}
	from = min(from, len(text)-fragmentBytes)
	to = from + fragmentBytes
	if bestCount > 0 {
		to = max(to, marks[bestFirst+bestCount-1].end)
	}
	if from > 0 {
		from = wordStart(text, from, fragmentBytes/8)
	}
	if to < len(text) {
		to = wordEnd(text, from, to, fragmentBytes/8)
	}
	return from, to
}

// wordStart moves at forward to the beginning of a word, no further than most bytes.
func wordStart(text string, at, most int) int {
	for at < len(text) && !utf8.RuneStart(text[at]) {
		at++
	}
	for i, r := range text[at:min(len(text), at+most)] {
		if unicode.IsSpace(r) {
			return at + i + utf8.RuneLen(r)
		}
	}
	return at
}

// wordEnd moves at back to the end of a word, no further than most bytes.
func wordEnd(text string, from, at, most int) int {
	for at > from && !utf8.RuneStart(text[at]) {
		at--
	}
	for i := at; i > from && i > at-most; {
		r, size := utf8.DecodeLastRuneInString(text[from:i])
		if unicode.IsSpace(r) {
			return i - size
		}
		i -= size
	}
	return at
}

// cutAt shortens s to at most n bytes, between characters.
func cutAt(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
