package dedup_test

import (
	"testing"

	"robin/dedup"
)

func TestExactCopiesDifferOnlyInWhatSaysNothing(t *testing.T) {
	same := func(a, b string) {
		t.Helper()
		if x, y := dedup.Normalized(a), dedup.Normalized(b); x != y {
			t.Errorf("%q and %q say the same, but are %q and %q", a, b, x, y)
		}
	}
	other := func(a, b string) {
		t.Helper()
		if x := dedup.Normalized(a); x == dedup.Normalized(b) {
			t.Errorf("%q and %q are both %q", a, b, x)
		}
	}
	same("Steel Mug", "  steel\tmug\n")
	same("steel mug - blue", "Steel mug, blue!")
	same("ﬁne ｍug", "fine mug") // a ligature, and wide letters
	same("Café", "Cafe\u0301")  // one letter, or a letter and its accent
	same("\u00a0mug", "mug.")
	other("1.5 l", "15 l")
	other("1.5 l", "1 5 l")
	other("10-20 cm", "10 20 cm")
	other("-20 °C", "20 °C")
	other("C#", "C")
	other("size 4+", "size 4")
	other("steel mug", "steelmug")
	other("résumé", "resume")
	if n := dedup.Normalized(" ?! "); n != "" {
		t.Errorf("signs alone are %q", n)
	}
}
