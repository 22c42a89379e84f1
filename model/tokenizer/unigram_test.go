package tokenizer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func newTestUnigram(t testing.TB, fallback bool, vocab ...scoredToken) *unigram {
	t.Helper()
	unknown := int32(0)
	m, err := newUnigram(append([]scoredToken{{"<unk>", 0}}, vocab...), &unknown, fallback)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bestByTrying gives the best score of all covers of word, by recursion over all of them: the definition.
func (m *unigram) bestByTrying(word string, from int, memo map[int]float64) float64 {
	if from == len(word) {
		return 0
	}
	if v, ok := memo[from]; ok {
		return v
	}
	_, width := utf8.DecodeRuneInString(word[from:])
	best, single := math.Inf(-1), false
	for end := from + 1; end <= len(word); end++ {
		if id, ok := m.ids[word[from:end]]; ok {
			best = max(best, m.scores[id]+m.bestByTrying(word, end, memo))
			single = single || end == from+width
		}
	}
	if !single {
		best = max(best, m.worst+m.bestByTrying(word, from+width, memo))
	}
	memo[from] = best
	return best
}

func TestUnigramFindsTheBestOfAllCovers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	letters := []string{"a", "b", "c", "é", "日", "😀"}
	random := func(n int) string {
		var b strings.Builder
		for range 1 + rng.IntN(n) {
			b.WriteString(letters[rng.IntN(len(letters))])
		}
		return b.String()
	}
	for range 50 {
		seen := map[string]bool{}
		var vocab []scoredToken
		for range 30 {
			if token := random(4); !seen[token] {
				seen[token] = true
				vocab = append(vocab, scoredToken{token, -10 * rng.Float64()})
			}
		}
		m := newTestUnigram(t, false, vocab...)
		for range 40 {
			word := random(20)
			var s scratch
			got := 0.0
			rest := word
			for _, id := range m.tokenize(nil, word, &s) {
				if id != m.unknown {
					got += m.scores[id]
					at := strings.Index(rest, vocab[id-1].token)
					got += m.worst * float64(utf8.RuneCountInString(rest[:max(at, 0)]))
					rest = rest[max(at, 0)+len(vocab[id-1].token):]
				}
			}
			got += m.worst * float64(utf8.RuneCountInString(rest))
			if want := m.bestByTrying(word, 0, map[int]float64{}); got < want-1e-9 {
				t.Fatalf("%q over %v: score %g, the best cover has %g", word, vocab, got, want)
			}
		}
	}
}

func TestUnigramSpellsTheUnknownInBytesWhenItHasThem(t *testing.T) {
	var vocab []scoredToken
	for b := range 256 {
		vocab = append(vocab, scoredToken{fmt.Sprintf("<0x%02X>", b), 0})
	}
	vocab = append(vocab, scoredToken{"a", -1})
	f := func(fallback bool, word string, want ...int32) {
		t.Helper()
		var s scratch
		if got := newTestUnigram(t, fallback, vocab...).tokenize(nil, word, &s); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", word, got, want)
		}
	}
	f(true, "aéa", 257, 1+0xC3, 1+0xA9, 257)
	f(false, "aéa", 257, 0, 257)
	f(false, "aéßa", 257, 0, 257) // a run is one unknown
	f(true, "éß", 1+0xC3, 1+0xA9, 1+0xC3, 1+0x9F)
}

func TestUnigramWithoutAnUnknownTokenIsRefused(t *testing.T) {
	for name, unknown := range map[string]*int32{"none": nil, "beyond": ptr(5), "negative": ptr(-1)} {
		if _, err := newUnigram([]scoredToken{{"a", 0}}, unknown, false); err == nil || !strings.Contains(err.Error(), "unk_id") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := newUnigram([]scoredToken{{"a", math.NaN()}}, ptr(0), false); err == nil || !strings.Contains(err.Error(), "score NaN") {
		t.Errorf("NaN: %v", err)
	}
}

func ptr(i int32) *int32 { return &i }

// TestAPrecompiledMapThatIsBrokenHarmsNothing gives maps whose offsets lead anywhere.
func TestAPrecompiledMapThatIsBrokenHarmsNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		b := make([]byte, 4+4*(1+rng.IntN(64))+rng.IntN(16))
		for i := range b {
			b[i] = byte(rng.IntN(128))
		}
		units := (len(b) - 4) / 4
		b[0], b[1], b[2], b[3] = byte(4*units), byte(4*units>>8), 0, 0
		m, err := parseCharsMap(b)
		if err != nil {
			continue
		}
		_ = m.normalize("plain é e\u0301 日本 👩‍👩‍👧 \x00\x01")
	}
}

func BenchmarkUnigram(b *testing.B) {
	tok := load(b, "testdata/unigram")
	texts := []string{"Dovestead insulated bottle with cup Aster – 500 ml, silver", "Papermoor Aria: fountain pen, resin, F nib", "日本語のテキスト naïve café"}
	b.ReportAllocs()
	n := 0
	for i := 0; b.Loop(); i++ {
		n += len(tok.Encode(texts[i%len(texts)], 0).IDs)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tokens/s")
}
