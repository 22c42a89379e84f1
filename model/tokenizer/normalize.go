package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizer changes text before it is split.
type normalizer func(string) string

func chain(all []normalizer) normalizer {
	switch len(all) {
	case 0:
		return func(s string) string { return s }
	case 1:
		return all[0]
	}
	return func(s string) string {
		for _, n := range all {
			s = n(s)
		}
		return s
	}
}

// lower maps each character by itself, so a final sigma is no special case. U+0130 is the one character whose lower
// case is two.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return lowerFrom(s, i)
		}
	}
	return s
}

func lowerFrom(s string, i int) string {
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for _, r := range s[i:] {
		if r == 'İ' {
			b.WriteString("i\u0307")
			continue
		}
		b.WriteRune(lowerRune(r))
	}
	return b.String()
}

func lowerRune(r rune) rune {
	if l := unicode.ToLower(r); l != r || r < laterLower[0][0] {
		return l
	}
	for _, d := range laterLower {
		if d[0] <= r && r <= d[1] {
			return r + d[2]
		}
	}
	return r
}

// form is one of Unicode's normalization forms.
func form(f norm.Form) normalizer {
	return func(s string) string {
		if ascii(s) {
			return s
		}
		if f != norm.NFC {
			return around(s, compatKept, func(s string) string { return normalizeForm(s, f) })
		}
		return normalizeForm(s, f)
	}
}

func normalizeForm(s string, f norm.Form) string {
	if longMarks(s) {
		return normalizeMarks(s, f)
	}
	return f.String(s)
}

// around applies n to the parts of s between the characters of kept, which stay.
func around(s string, kept runeRanges, n normalizer) string {
	has := func(r rune) bool { return kept.has(r) }
	i := strings.IndexFunc(s, has)
	if i < 0 {
		return n(s)
	}
	var b strings.Builder
	for ; i >= 0; i = strings.IndexFunc(s, has) {
		_, width := utf8.DecodeRuneInString(s[i:])
		b.WriteString(n(s[:i]))
		b.WriteString(s[i : i+width])
		s = s[i+width:]
	}
	b.WriteString(n(s))
	return b.String()
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// longMarks says whether s has so many combining characters in a row that x/text would break the run with U+034F
// (UAX 15, stream-safe text), which Hugging Face's library does not. A character decomposes into 4 marks at most, so 7 are
// safely below its limit of 30.
func longMarks(s string) bool {
	run := 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			run = 0
			i++
			continue
		}
		p := norm.NFKD.PropertiesString(s[i:])
		n := p.Size()
		if n == 0 {
			n = 1
		}
		if p.CCC() == 0 && p.TrailCCC() == 0 {
			run = 0
		} else if run++; run > 6 {
			return true
		}
		i += n
	}
	return false
}

// normalizeMarks is the textbook algorithm of UAX 15, without the limit on combining characters.
func normalizeMarks(s string, f norm.Form) string {
	decompose := norm.NFD
	if f == norm.NFKC || f == norm.NFKD {
		decompose = norm.NFKD
	}
	var text []rune
	for _, r := range s {
		text = append(text, []rune(decompose.String(string(r)))...)
	}
	class := make([]uint8, len(text))
	for i, r := range text {
		class[i] = norm.NFD.PropertiesString(string(r)).CCC()
	}
	for i := 0; i < len(text); {
		if class[i] == 0 {
			i++
			continue
		}
		j := i
		for j < len(text) && class[j] != 0 {
			j++
		}
		order := make([]int, j-i)
		for k := range order {
			order[k] = i + k
		}
		slices.SortStableFunc(order, func(a, b int) int { return int(class[a]) - int(class[b]) })
		runes, classes := make([]rune, j-i), make([]uint8, j-i)
		for k, o := range order {
			runes[k], classes[k] = text[o], class[o]
		}
		copy(text[i:], runes)
		copy(class[i:], classes)
		i = j
	}
	if f == norm.NFD || f == norm.NFKD {
		return string(text)
	}
	return string(compose(text, class))
}

// compose joins each character with the last starter unless something of its own class or higher stands between.
func compose(text []rune, class []uint8) []rune {
	out := text[:0]
	starter := -1
	last := uint8(0) // class of the last character kept after the starter
	for i, r := range text {
		c := class[i]
		if starter >= 0 && (len(out)-1 == starter || last < c) && (last != 0 || len(out)-1 == starter) {
			pair := []rune(norm.NFC.String(string([]rune{out[starter], r})))
			if len(pair) == 1 {
				out[starter] = pair[0]
				continue
			}
		}
		if c == 0 {
			starter = len(out)
		}
		last = c
		out = append(out, r)
	}
	return out
}

// strip removes the characters of a Unicode table but for later, and those in former.
func strip(s string, table *unicode.RangeTable, later, former runeRanges) string {
	if ascii(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf && (unicode.Is(table, r) && !later.has(r) || former.has(r)) {
			return -1
		}
		return r
	}, s)
}

// bertOptions are the switches of BERT's own normalizer.
type bertOptions struct {
	CleanText          bool  `json:"clean_text"`
	HandleChineseChars bool  `json:"handle_chinese_chars"`
	StripAccents       *bool `json:"strip_accents"` // default: as Lowercase
	Lowercase          bool  `json:"lowercase"`
}

func bert(o bertOptions) normalizer {
	accents := o.Lowercase
	if o.StripAccents != nil {
		accents = *o.StripAccents
	}
	nfd := form(norm.NFD)
	return func(s string) string {
		if o.CleanText {
			s = clean(s)
		}
		if o.HandleChineseChars && !ascii(s) {
			s = spaceChinese(s)
		}
		if accents {
			s = strip(nfd(s), unicode.Mn, laterAccents, formerAccents)
		}
		if o.Lowercase {
			s = lower(s)
		}
		return s
	}
}

// clean removes control characters and makes every whitespace a space.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case ' ' <= r && r < 0x7f:
			return r
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r == 0 || r == utf8.RuneError || bertControl(r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)
}

// bertControl is the general category Other, without the characters that are merely not assigned yet.
func bertControl(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && !bertKept.has(r)
}

// spaceChinese puts spaces around CJK ideographs, which stand for words.
func spaceChinese(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for _, r := range s {
		if isChinese(r) {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isChinese has the blocks of BERT's reference implementation.
func isChinese(r rune) bool {
	return 0x4E00 <= r && r <= 0x9FFF || 0x3400 <= r && r <= 0x4DBF || 0x20000 <= r && r <= 0x2A6DF ||
		0x2A700 <= r && r <= 0x2B73F || 0x2B740 <= r && r <= 0x2B81F || 0x2B920 <= r && r <= 0x2CEAF ||
		0xF900 <= r && r <= 0xFAFF || 0x2F800 <= r && r <= 0x2FA1F
}
