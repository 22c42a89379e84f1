package embedder_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"robin/embedder"
)

// checkCut says what a cut must be, whatever the text: in order, in bytes that begin characters, no longer than asked for,
// and without a gap that has more than space in it.
func checkCut(t *testing.T, e *embedder.Embedder, text string, o embedder.CutOptions) ([]embedder.Part, int, bool) {
	t.Helper()
	list, head, left := e.Cut(text, o)
	if len(list) > o.Most || head != 0 && head != o.Head {
		t.Fatalf("%d passages with a head of %d for %+v of %.60q", len(list), head, o, text)
	}
	covered := 0
	for i, p := range list {
		if p.Start < 0 || p.End < p.Start || p.End > len(text) || i > 0 && (p.Start <= list[i-1].Start || p.End <= list[i-1].End || p.Start < head) {
			t.Fatalf("passage %d is %+v after %+v of %.60q", i, p, list[:i], text)
		}
		said := text[p.Start:p.End]
		if !utf8.ValidString(said) {
			t.Fatalf("passage %d cuts a character: %q", i, said)
		}
		if p.Start > covered && strings.TrimSpace(text[covered:p.Start]) != "" {
			t.Fatalf("%q is in no passage of %.60q", text[covered:p.Start], text)
		}
		covered = max(covered, p.End)
		if i > 0 {
			said = text[:head] + said
		}
		if n := e.CountTokens(said); n > o.Tokens && utf8.RuneCountInString(text[p.Start:p.End]) > 1 {
			t.Fatalf("passage %d has %d tokens, want %d at most: %q", i, n, o.Tokens, said)
		}
	}
	if rest := strings.TrimSpace(text[covered:]); left != (rest != "") {
		t.Fatalf("left is %v, and %.60q is in no passage", left, rest)
	}
	return list, head, left
}

func TestCutEndsPassagesWhereSentencesEnd(t *testing.T) {
	e := openStarter(t, embedder.Options{})
	var b strings.Builder
	b.WriteString("Trekking tent. ")
	head := b.Len()
	for i := range 60 {
		fmt.Fprintf(&b, "Sentence number %d says that the poles are made of aluminium. ", i)
	}
	text := strings.TrimSpace(b.String())
	list, got, left := checkCut(t, e, text, embedder.CutOptions{Tokens: 96, Overlap: 12, Most: 32, Head: head})
	if left || got != head || len(list) < 8 {
		t.Fatalf("%d passages, head %d, left %v", len(list), got, left)
	}
	shortest, longest := 1<<30, 0
	for i, p := range list {
		if !strings.HasSuffix(text[p.Start:p.End], ".") {
			t.Errorf("passage %d ends with %q", i, text[p.End-10:p.End])
		}
		if i > 0 && text[p.Start-1] != ' ' {
			t.Errorf("passage %d begins in a word: %q", i, text[p.Start-3:p.Start+5])
		}
		if i > 0 && p.Start >= list[i-1].End {
			t.Errorf("passage %d has nothing in common with the one before it", i)
		}
		n := e.CountTokens(text[p.Start:p.End])
		shortest, longest = min(shortest, n), max(longest, n)
	}
	if shortest < longest*2/3 {
		t.Errorf("passages have %d to %d tokens", shortest, longest)
	}
	few, _, left := checkCut(t, e, text, embedder.CutOptions{Tokens: 96, Overlap: 12, Most: 3, Head: head})
	if len(few) != 3 || !left {
		t.Errorf("%d passages, left %v", len(few), left)
	}
	if one, _, left := checkCut(t, e, "A mug.", embedder.CutOptions{Tokens: 96, Most: 3, Head: 2}); len(one) != 1 || left {
		t.Errorf("a short text is %v, left %v", one, left)
	}
	// A head as long as the passages is not repeated.
	if _, got, _ = checkCut(t, e, text, embedder.CutOptions{Tokens: 96, Overlap: 12, Most: 32, Head: len(text) / 2}); got != 0 {
		t.Errorf("a head of %d bytes is repeated", got)
	}
}

// TestCutOfAnythingHoldsItsLimits cuts random texts of any script, with runs of nothing and with words that have no end.
func TestCutOfAnythingHoldsItsLimits(t *testing.T) {
	e := openStarter(t, embedder.Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{"tent", " ", "  \n", ". ", "waterproof", "鋼", "鉄の鍋。", "é", "e\u0301\u0323", "👩‍👩‍👧‍👦", "ﷺ", "x", "0", "1234567", "<mask>", "</s>", "\t", "—", "สวัสดี", "\u00a0", "Ünïcödé", strings.Repeat("ab", 40), strings.Repeat("\u0301", 30)}
	for range 300 {
		var b strings.Builder
		few := rnd.IntN(2) == 0
		for range 1 + rnd.IntN(400) {
			i := rnd.IntN(len(pieces))
			if few {
				i %= 6
			}
			b.WriteString(pieces[i])
		}
		text := strings.TrimSpace(b.String())
		o := embedder.CutOptions{Tokens: 16 + rnd.IntN(100), Most: 1 + rnd.IntN(40)}
		o.Overlap = rnd.IntN(o.Tokens/2 + 1)
		if rnd.IntN(2) == 0 {
			for i := range text {
				if o.Head = i; i > 20 {
					break
				}
			}
		}
		list, _, _ := checkCut(t, e, text, o)
		if again, _, _ := e.Cut(text, o); !slices.Equal(list, again) {
			t.Fatalf("%v and then %v", list, again)
		}
	}
}

// TestAHeadThatTheFirstPassageLeavesIsNotRepeated cuts a text whose first passage ends within the head, because it takes up
// a word that is too long to follow.
func TestAHeadThatTheFirstPassageLeavesIsNotRepeated(t *testing.T) {
	e := openStarter(t, embedder.Options{})
	text := "A . " + strings.Repeat("ab", 40) + "1234567</s>鉄の鍋。\u00a01234567鋼"
	for head, want := range map[int]int{3: 3, 21: 0} {
		_, got, _ := checkCut(t, e, text, embedder.CutOptions{Tokens: 52, Overlap: 6, Most: 9, Head: head})
		if got != want {
			t.Errorf("of a head of %d bytes %d are repeated, want %d", head, got, want)
		}
	}
}

// TestCutIsLinear cuts a megabyte in a time that a quadratic cut could not keep.
func TestCutIsLinear(t *testing.T) {
	e := openStarter(t, embedder.Options{})
	o := embedder.CutOptions{Tokens: 64, Overlap: 8, Most: 1 << 20}
	for _, piece := range []string{"poles of aluminium. ", "a", "鋼", " "} {
		took := func(n int) time.Duration {
			text := "x" + strings.Repeat(piece, n/len(piece)) + "x"
			start := time.Now()
			e.Cut(text, o)
			return time.Since(start)
		}
		took(1 << 14)
		small, large := took(1<<16), took(1<<19)
		if large > 40*small+5*time.Second {
			t.Errorf("%.10q: 64 KiB took %v, 512 KiB %v", piece, small, large)
		}
		t.Logf("%.10q: 64 KiB %v, 512 KiB %v", piece, small, large)
	}
}
