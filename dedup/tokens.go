package dedup

import (
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
	runes int
}

// word is a distinct word of a text and how often it stands there.
type word struct {
	hash uint64
	n    int32
}

// token is a run of letters or a number, lower-cased, as it stands in the text.
type token struct {
	s          string // normalised: lower case, a number without thousands separators and trailing zeros
	number     bool
	value      float64 // of a number
	upper      bool    // every letter of it was a capital
	glued      bool    // nothing stands between it and the token before
	before     rune    // the last sign between it and the token before; ' ' for white space, 0 at the beginning
	start, end int     // bytes in the text
}

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
	hashes := make([]uint64, len(tokens))
	for i, k := range tokens {
		hashes[i] = hash(k.s)
	}
	slices.Sort(hashes)
	for _, h := range hashes {
		if n := len(t.words); n > 0 && t.words[n-1].hash == h {
			t.words[n-1].n++
		} else {
			t.words = append(t.words, word{h, 1})
		}
	}
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
			out = append(out, token{s: strings.ToLower(s[i:end]), upper: upper, before: last, start: i, end: end, glued: last == 'a'})
			i, last = end, 'a'
		case unicode.IsSpace(r) || unicode.IsControl(r):
			if last == 0 || last == 'a' {
				last = ' '
			}
			i += n
		default:
			last, i = r, i+n
		}
	}
	return out
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
		h := uint32(2166136261)
		for _, r := range run[i : i+3] {
			h = (h ^ uint32(r)) * 16777619
		}
		out = append(out, h)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
