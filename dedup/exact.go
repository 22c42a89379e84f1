package dedup

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Normalized is a text without what does not change what it says: compatibility forms, case, white space, and
// punctuation. A sign between two digits stays ("1.5", "3-4"), and so does a minus before a number and # % & @ beside a
// word, so that "C#" is not "C". Two texts with one normalised form are exact copies.
func Normalized(s string) string {
	runes := []rune(strings.ToLower(norm.NFKC.String(s)))
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for i, r := range runes {
		if dropped(runes, i) {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// dropped says whether the rune at i is white space or punctuation that says nothing.
func dropped(runes []rune, i int) bool {
	r := runes[i]
	if unicode.IsSpace(r) || unicode.IsControl(r) {
		return true
	}
	if !unicode.IsPunct(r) {
		return false
	}
	digit := func(j int) bool { return j >= 0 && j < len(runes) && unicode.IsDigit(runes[j]) }
	blank := func(j int) bool { return j < 0 || j >= len(runes) || unicode.IsSpace(runes[j]) }
	switch {
	case digit(i-1) && digit(i+1):
		return false
	case r == '-' && blank(i-1) && digit(i+1):
		return false
	case strings.ContainsRune("#%&@", r):
		return blank(i-1) && blank(i+1)
	}
	return true
}

// sum stands for a text or a vector: two with one sum are taken for equal.
type sum [16]byte

// textSum is that of the normalised text; ok is false when nothing is left of it.
func textSum(s string) (h sum, ok bool) {
	n := Normalized(s)
	full := sha256.Sum256([]byte(n))
	return sum(full[:16]), n != ""
}

// SameText says whether two texts are copies: the same once normalised.
func SameText(a, b string) bool { return a == b || Normalized(a) == Normalized(b) }

func vectorSum(v []float32) sum {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	full := sha256.Sum256(b)
	return sum(full[:16])
}

// none marks a node that there is not.
const none = math.MaxUint32
