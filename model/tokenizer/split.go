package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter cuts normalized text into words.
type splitter func(s string, emit func(word string))

// chainSplitters lets each splitter cut what the one before it left.
func chainSplitters(all []splitter) splitter {
	switch len(all) {
	case 0:
		return func(s string, emit func(string)) { emit(s) }
	case 1:
		return all[0]
	}
	first, rest := all[0], chainSplitters(all[1:])
	return func(s string, emit func(string)) {
		first(s, func(word string) { rest(word, emit) })
	}
}

// charClass is what the splitters ask about a character.
type charClass uint8

const (
	classOther charClass = iota
	classSpace
	classLetter
	classNumber
)

// asciiClass answers for the characters that make most text.
var asciiClass = func() (t [utf8.RuneSelf]charClass) {
	for r := range rune(utf8.RuneSelf) {
		t[r] = classify(r)
	}
	return t
}()

func classify(r rune) charClass {
	switch {
	case unicode.IsLetter(r):
		return classLetter
	case unicode.IsNumber(r):
		return classNumber
	case unicode.IsSpace(r):
		return classSpace
	case r < laterLetters[0][0]:
		return classOther
	case laterLetters.has(r):
		return classLetter
	case laterNumbers.has(r):
		return classNumber
	}
	return classOther
}

// classAt gives the class and the width of the character at s[i].
func classAt(s string, i int) (charClass, int) {
	if c := s[i]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return classify(r), n
}

// byteLevel cuts as GPT-2's expression does:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func byteLevel(prefixSpace, cut bool) splitter {
	return func(s string, emit func(string)) {
		if prefixSpace && !strings.HasPrefix(s, " ") {
			s = " " + s
		}
		if !cut {
			emit(s)
			return
		}
		for i := 0; i < len(s); {
			n := gpt2Word(s[i:])
			emit(s[i : i+n])
			i += n
		}
	}
}

// gpt2Word gives the length of the first word of s, which is not empty.
func gpt2Word(s string) int {
	if s[0] == '\'' {
		if n := contraction(s); n > 0 {
			return n
		}
	}
	start := 0
	if s[0] == ' ' {
		start = 1
	}
	if start < len(s) {
		class, n := classAt(s, start)
		if class != classSpace {
			end := start + n
			for end < len(s) {
				c, n := classAt(s, end)
				if c != class {
					break
				}
				end += n
			}
			return end
		}
	}
	// Whitespace. Of a run before a word the last character stays with the word, or stands alone when it is no space.
	end, last := 0, 0
	for end < len(s) {
		c, n := classAt(s, end)
		if c != classSpace {
			break
		}
		last = end
		end += n
	}
	if end < len(s) && last > 0 {
		return last
	}
	return end
}

func contraction(s string) int {
	if len(s) >= 2 {
		switch s[1] {
		case 's', 't', 'm', 'd':
			return 2
		}
	}
	if len(s) >= 3 {
		switch s[1:3] {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}

// bertWords cuts at whitespace, which it drops, and makes each punctuation character a word.
func bertWords(s string, emit func(string)) {
	start := 0
	for i, r := range s {
		space := unicode.IsSpace(r)
		if !space && !bertPunctuation(r) {
			continue
		}
		if start < i {
			emit(s[start:i])
		}
		start = i + utf8.RuneLen(r)
		if !space {
			emit(s[i:start])
		}
	}
	if start < len(s) {
		emit(s[start:])
	}
}

// bertPunctuation counts all ASCII that is neither letter, digit, space nor control as punctuation, $ and ^ too.
func bertPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	if unicode.IsPunct(r) {
		return !laterPunctuation.has(r)
	}
	return formerPunctuation.has(r)
}

// spaceWords cuts at whitespace, which it drops.
func spaceWords(s string, emit func(string)) {
	for word := range strings.FieldsSeq(s) {
		emit(word)
	}
}

// wordsAndSymbols cuts as \w+|[^\w\s]+ does.
func wordsAndSymbols(s string, emit func(string)) {
	start := -1
	word := false
	for i, r := range s {
		if unicode.IsSpace(r) {
			if start >= 0 {
				emit(s[start:i])
			}
			start = -1
			continue
		}
		w := isWord(r)
		if start >= 0 && w != word {
			emit(s[start:i])
			start = i
		}
		if start < 0 {
			start = i
		}
		word = w
	}
	if start >= 0 {
		emit(s[start:])
	}
}

// metaspace are the settings of SentencePiece's way with spaces.
type metaspace struct {
	Replacement   string `json:"replacement"`
	PrependScheme string `json:"prepend_scheme"` // always, first or never; before 2024 add_prefix_space said the first or the last
	Split         *bool  `json:"split"`
}

// splitter puts the replacement in the place of each space, and before the text, and cuts before each.
func (m metaspace) splitter(prefixSpace *bool) (splitter, error) {
	if utf8.RuneCountInString(m.Replacement) != 1 {
		return nil, fmt.Errorf("pre-tokenizer Metaspace: the replacement is %q, want one character", m.Replacement)
	}
	prepend := true
	switch m.PrependScheme {
	case "always":
	case "never":
		prepend = false
	case "":
		prepend = prefixSpace == nil || *prefixSpace
	default:
		return nil, fmt.Errorf("pre-tokenizer Metaspace with prepend_scheme %q is not supported", m.PrependScheme)
	}
	cut := m.Split == nil || *m.Split
	return func(s string, emit func(string)) {
		s = strings.ReplaceAll(s, " ", m.Replacement)
		if prepend && !strings.HasPrefix(s, m.Replacement) {
			s = m.Replacement + s
		}
		for cut {
			from := 0
			if strings.HasPrefix(s, m.Replacement) {
				from = len(m.Replacement)
			}
			n := strings.Index(s[from:], m.Replacement)
			if n < 0 {
				break
			}
			emit(s[:from+n])
			s = s[from+n:]
		}
		if s != "" {
			emit(s)
		}
	}, nil
}
