package dedup

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how much of a text is read, in bytes. An embedder reads less; the bound keeps one hostile document from
// costing more than any other.
const longest = 1 << 16

// Text is a text prepared for comparison. It does not change and may be shared.
type Text struct {
	words []word   // by hash
	grams []uint32 // hashes of its character trigrams, sorted, without repeats
	facts facts
	runes int
}

// word is a distinct word of a text and how often it stands there.
type word struct {
	hash uint64
	s    string
	n    int32
	caps int32 // of n, with a capital where a sentence goes on; capitals throughout do not count
	low  int32 // of n, in lower case
}

// token is a run of letters or a number, lower-cased, as it stands in the text.
type token struct {
	s          string // normalised: lower case, a number without thousands separators and trailing zeros
	number     bool
	value      float64 // of a number
	upper      bool    // every letter of it was a capital
	letter     letter  // whether it is written with a capital
	glued      bool    // nothing stands between it and the token before
	before     rune    // the last sign between it and the token before; ' ' for white space, 0 at the beginning
	start, end int     // bytes in the text
}

// letter is what a word's first letter says: whether it is a name.
type letter int8

const (
	silent  letter = iota // nothing: a sentence begins, or everything around has a capital
	small                 // lower case
	capital               // a capital where the sentence goes on
)

// Prepare reads a text. It takes time and memory linear in the text's first 64 KiB and ignores the rest.
func Prepare(s string) *Text {
	if len(s) > longest {
		cut := longest
		for cut > longest-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	tokens := scan(s)
	t := &Text{grams: trigrams(tokens), runes: utf8.RuneCountInString(s)}
	var spelt []word
	t.facts, spelt = readFacts(s, tokens)
	slices.SortFunc(spelt, func(a, b word) int { return strings.Compare(a.s, b.s) })
	for _, w := range spelt {
		n := len(t.words)
		if n == 0 || t.words[n-1].s != w.s {
			t.words = append(t.words, word{hash: hash(w.s), s: strings.Clone(w.s)})
			n++
		}
		t.words[n-1].n++
		t.words[n-1].caps += w.caps
		t.words[n-1].low += w.low
	}
	slices.SortFunc(t.words, func(a, b word) int { return cmp.Compare(a.hash, b.hash) })
	return t
}

// scan cuts a text into tokens. Letters and digits are never in one token: "22mm" is 22 and mm, glued.
func scan(s string) []token {
	var out []token
	last := rune(0)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case isDigit(r):
			end := number(s, i)
			k := token{number: true, before: last, start: i, end: end, glued: last == 'a'}
			k.s, k.value = readNumber(s[i:end])
			out, i, last = append(out, k), end, 'a'
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			end, upper := i, true
			for end < len(s) {
				r, n := utf8.DecodeRuneInString(s[end:])
				if isDigit(r) || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
					break
				}
				upper = upper && !unicode.IsLower(r)
				end += n
			}
			k := token{s: strings.ToLower(s[i:end]), upper: upper, before: last, start: i, end: end, glued: last == 'a'}
			switch {
			case last == 0 || strings.ContainsRune(".!?:;|–(", last) || upper && end-i > n:
			case unicode.IsUpper(r):
				k.letter = capital
			case unicode.IsLower(r):
				k.letter = small
			}
			out = append(out, k)
			i, last = end, 'a'
		case unicode.IsSpace(r) || unicode.IsControl(r):
			if last == 'a' || last == 0 && len(out) > 0 {
				last = ' '
			}
			i += n
		default:
			last, i = r, i+n
		}
	}
	silence(out)
	return out
}

// silence takes what capitals say from each sentence that writes most of its words with one, as titles often do.
func silence(tokens []token) {
	for i := 0; i < len(tokens); {
		var n [3]int
		j := i
		for ; j < len(tokens) && (j == i || !strings.ContainsRune(".!?", tokens[j].before)); j++ {
			n[tokens[j].letter]++
		}
		for ; i < j; i++ {
			if n[capital] > 2*n[small] {
				tokens[i].letter = silent
			}
		}
	}
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// number is where the number that begins at i ends. A point or comma belongs to it when a digit follows.
func number(s string, i int) int {
	for i < len(s) && isDigit(rune(s[i])) {
		i++
		if i+1 < len(s) && (s[i] == '.' || s[i] == ',') && isDigit(rune(s[i+1])) {
			i++
		}
	}
	return i
}

// readNumber gives a number's plain form and value: "10,000" and "10.000,0" are 10000, "3,5" and "3.50" are 3.5. A comma or
// point before exactly three last digits separates thousands only when it is a comma or stands twice.
func readNumber(s string) (string, float64) {
	point := -1
	commas, points := strings.Count(s, ","), strings.Count(s, ".")
	last := strings.LastIndexAny(s, ".,")
	switch {
	case last < 0:
	case commas > 0 && points > 0:
		point = last
	case commas+points > 1: // 1,000,000 and 10.0.4: no fraction
	case s[last] == ',' && len(s)-last-1 == 3:
	default:
		point = last
	}
	if points > 1 && commas == 0 {
		return s, 0 // a version or an address
	}
	b := make([]byte, 0, len(s))
	value, scale := 0.0, 1.0
	for i := range len(s) {
		switch {
		case i == point:
			b = append(b, '.')
			scale = 0.1
		case s[i] == '.' || s[i] == ',':
		case scale == 1:
			value = value*10 + float64(s[i]-'0')
			b = append(b, s[i])
		default:
			value += scale * float64(s[i]-'0')
			scale /= 10
			b = append(b, s[i])
		}
	}
	out := string(b)
	if point >= 0 {
		out = strings.TrimRight(strings.TrimRight(out, "0"), ".")
	}
	if out = strings.TrimLeft(out, "0"); out == "" || out[0] == '.' {
		out = "0" + out
	}
	return out, value
}

// trigrams are those of the tokens run together, so that "DSC-W 800" and "dscw800" have the same.
func trigrams(tokens []token) []uint32 {
	var run []rune
	for _, k := range tokens {
		run = append(run, []rune(k.s)...)
	}
	out := make([]uint32, 0, len(run))
	for i := 0; i+3 <= len(run); i++ {
		out = append(out, trigram(run[i:i+3]))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func trigram(r []rune) uint32 {
	h := uint32(2166136261)
	for _, r := range r {
		h = (h ^ uint32(r)) * 16777619
	}
	return h
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
