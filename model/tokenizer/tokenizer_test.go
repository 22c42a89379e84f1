package tokenizer

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func starter(t testing.TB) *Tokenizer { return load(t, folders["starter"]) }

// bpeOf looks inside, for the plain versions that the fast ones must agree with.
func bpeOf(t testing.TB, tok *Tokenizer) *bpe {
	t.Helper()
	m, ok := tok.model.(*bpe)
	if !ok {
		t.Fatalf("the model is a %T", tok.model)
	}
	return m
}

// mergePlain is the definition: join the pair of the lowest rank, the leftmost of them, until none is left.
func mergePlain(m *bpe, word string) []int32 {
	ids := m.initial(nil, word)
	for {
		best, rank := -1, int32(0)
		for i := range len(ids) - 1 {
			if mg, ok := m.merges[pairKey(ids[i], ids[i+1])]; ok && (best < 0 || mg.rank < rank) {
				best, rank = i, mg.rank
			}
		}
		if best < 0 {
			return ids
		}
		ids[best] = m.merges[pairKey(ids[best], ids[best+1])].id
		ids = slices.Delete(ids, best+1, best+2)
	}
}

func TestShortAndLongMergesAgreeWithTheDefinition(t *testing.T) {
	m := bpeOf(t, starter(t))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	alphabets := []string{"ab", "the insulated mug", "aeiourstln", "0123456789", "\xe6\x97\xa5\xc3\xa9", "=-"}
	for range 3000 {
		letters := alphabets[rng.IntN(len(alphabets))]
		b := make([]byte, 1+rng.IntN(90))
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		word := string(b)
		want := mergePlain(m, word)
		if got := m.mergeLong(nil, word, new(scratch)); !slices.Equal(got, want) {
			t.Fatalf("%q: the heap gives %v, want %v", word, got, want)
		}
		if len(word) > maxCachedBytes {
			continue
		}
		for range 2 { // the second time from the cache
			if got := m.tokenize(nil, word, new(scratch)); !slices.Equal(got, want) {
				t.Fatalf("%q: got %v, want %v", word, got, want)
			}
		}
	}
}

func TestLongTextsTakeLinearTime(t *testing.T) {
	tok := starter(t)
	bert := load(t, folders["tiny-bert"])
	for _, unit := range []string{"a", "ab ", "=", " ", "\n", "e\u0301", "\u0301", "日", "<mask>", "<mas", "'", "'r", "x\u0327\u0301"} {
		for _, tok := range []*Tokenizer{tok, bert} {
			small, large := strings.Repeat(unit, 20_000/len(unit)), strings.Repeat(unit, 400_000/len(unit))
			took := func(s string) time.Duration { // the best of three, since the machine has other work
				best := time.Hour
				for range 3 {
					began := time.Now()
					tok.Encode(s, 256)
					best = min(best, time.Since(began))
				}
				return best
			}
			a, b := took(small), took(large)
			// 20 times the text; a quadratic step would take 400 times as long.
			if b > 120*a+200*time.Millisecond {
				t.Errorf("%q: %v for 20 kB and %v for 400 kB", unit, a, b)
			}
		}
	}
}

func TestTruncationIsAlwaysReported(t *testing.T) {
	tok := starter(t)
	full := tok.Encode("insulated travel mug for the train", 0)
	if full.Truncated || full.Total != len(full.IDs) || full.Total < 6 {
		t.Fatalf("%+v", full)
	}
	for limit := 1; limit <= full.Total+1; limit++ {
		e := tok.Encode("insulated travel mug for the train", limit)
		if e.Total != full.Total || e.Truncated != (limit < full.Total) {
			t.Errorf("limit %d: total %d, truncated %v", limit, e.Total, e.Truncated)
		}
		// At least the two special tokens remain, and the text's beginning.
		want := max(2, min(limit, full.Total))
		if len(e.IDs) != want || e.IDs[0] != full.IDs[0] || e.IDs[len(e.IDs)-1] != full.IDs[full.Total-1] || !slices.Equal(e.IDs[:want-1], full.IDs[:want-1]) {
			t.Errorf("limit %d: %v of %v", limit, e.IDs, full.IDs)
		}
	}
	pair := tok.EncodePair("hot coffee", "insulated travel mug for the train", 10)
	if !pair.Truncated || len(pair.IDs) != 10 || pair.Total <= 10 {
		t.Errorf("%+v", pair)
	}
}

func TestBytesThatAreNoUTF8ReadAsReplacementCharacters(t *testing.T) {
	tok := starter(t)
	bad, good := tok.Encode("a\xff\xfeb\xc3", 0), tok.Encode("a\ufffd\ufffdb\ufffd", 0)
	if !slices.Equal(bad.IDs, good.IDs) {
		t.Errorf("%v and %v", bad.IDs, good.IDs)
	}
}

func TestOlderFilesGiveTheSameTokenizer(t *testing.T) {
	// vocab.txt and vocab.json with merges.txt, cut out of tokenizer.json.
	var f struct {
		Model struct {
			Vocab  map[string]int32
			Merges []mergeLine
		}
	}
	read := func(dir string) {
		t.Helper()
		b, err := os.ReadFile(dir + "/tokenizer.json")
		if err != nil {
			t.Fatal(err)
		}
		f.Model.Vocab, f.Model.Merges = nil, nil
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
	}
	same := func(want *Tokenizer, files fstest.MapFS, texts ...string) {
		t.Helper()
		got, err := Load(files)
		if err != nil {
			t.Fatal(err)
		}
		if got.PadID() != want.PadID() || got.VocabSize() != want.VocabSize() {
			t.Errorf("pad %d of %d, want %d of %d", got.PadID(), got.VocabSize(), want.PadID(), want.VocabSize())
		}
		for _, text := range texts {
			if g, w := got.EncodePair(text, "mug", 0), want.EncodePair(text, "mug", 0); !slices.Equal(g.IDs, w.IDs) {
				t.Errorf("%q: %v, want %v", text, g.IDs, w.IDs)
			}
		}
	}

	read(folders["tiny-bert"])
	lines := make([]string, len(f.Model.Vocab))
	for token, id := range f.Model.Vocab {
		lines[id] = token
	}
	same(load(t, folders["tiny-bert"]), fstest.MapFS{"vocab.txt": {Data: []byte(strings.Join(lines, "\n") + "\n")}},
		"Insulated Mug, 10 inch!", "naïve [MASK] 日本", "unknowñ")

	read(folders["tiny-roberta"])
	vocab, err := json.Marshal(f.Model.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	merges := "#version: 0.2\n"
	for _, m := range f.Model.Merges {
		merges += m[0] + " " + m[1] + "\n"
	}
	same(load(t, folders["tiny-roberta"]), fstest.MapFS{"vocab.json": {Data: vocab}, "merges.txt": {Data: []byte(merges)}},
		"insulated mug, 10 inch", "a <mask> in the train", "日本") // lower case: the older files know no normalizer
	if _, err := Load(fstest.MapFS{"vocab.json": {Data: vocab}}); err == nil || !strings.Contains(err.Error(), "merges.txt") {
		t.Errorf("vocab.json alone: %v", err)
	}
	if _, err := Load(fstest.MapFS{}); !errors.Is(err, ErrMissing) {
		t.Errorf("empty folder: %v", err)
	}
}

func TestUnknownComponentsAreRefusedByName(t *testing.T) {
	const base = `{"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,` +
		`"padding":{"pad_id":0},"model":{"type":"WordPiece","vocab":{"[PAD]":0,"[UNK]":1,"a":2},"unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100}}`
	if _, err := Parse([]byte(base)); err != nil {
		t.Fatal(err)
	}
	f := func(old, new, want string) {
		t.Helper()
		if !strings.Contains(base, old) {
			t.Fatalf("no %q", old)
		}
		_, err := Parse([]byte(strings.Replace(base, old, new, 1)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", new, err, want)
		}
	}
	f(`"normalizer":null`, `"normalizer":{"type":"Nmt"}`, `normalizer "Nmt"`)
	f(`"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"Odd"}]}`, `normalizer "Odd"`)
	f(`"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"(a+)+$"},"content":""}`, "plain string")
	f(`"normalizer":null`, `"normalizer":`+strings.Repeat(`{"type":"Sequence","normalizers":[`, 20)+strings.Repeat(`]}`, 20), "nested too deep")
	f(`{"type":"BertPreTokenizer"}`, `{"type":"Split","pattern":{"Regex":"(a+)+$"}}`, `pre-tokenizer "Split"`)
	f(`{"type":"BertPreTokenizer"}`, `{"type":"ByteLevel"}`, "WordPiece after pre-tokenizer ByteLevel")
	f(`"post_processor":null`, `"post_processor":{"type":"Odd"}`, `post-processor "Odd"`)
	f(`"post_processor":null`, `"post_processor":{"type":"BertProcessing","cls":["x",9],"sep":["y",1]}`, "id 9")
	f(`"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[]}`, "sequences")
	f(`"type":"WordPiece"`, `"type":"WordLevel"`, `model type "WordLevel"`)
	f(`"type":"WordPiece"`, `"type":"Unigram"`, "the model section is damaged")
	f(`"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"\\s+"},"content":""}`, "plain string")
	f(`"normalizer":null`, `"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA"}`, "cut short")
	f(`"normalizer":null`, `"normalizer":{"type":"Precompiled","precompiled_charsmap":"CAAAAAAAAAA="}`, "8 of 4 bytes")
	f(`{"type":"BertPreTokenizer"}`, `{"type":"Metaspace","replacement":"_","prepend_scheme":"first"}`, `prepend_scheme "first"`)
	f(`{"type":"BertPreTokenizer"}`, `{"type":"Metaspace"}`, "want one character")
	f(`"type":"WordPiece"`, `"type":"BPE"`, "ByteLevel only")
	f(`"unk_token":"[UNK]"`, `"unk_token":"<unk>"`, "not in the vocabulary")
	f(`"pad_id":0`, `"pad_id":7`, "padding id 7")
	f(`"a":2`, `"a":-2`, "the id -2")
	f(`"added_tokens":[]`, `"added_tokens":[{"id":9,"content":"a"}]`, "9 here and 2 in the vocabulary")
	f(`"added_tokens":[]`, `"added_tokens":[{"id":9,"content":"`+strings.Repeat("x", 600)+`"}]`, "600 bytes")
	f(`{"added`, `["added`, "damaged")
}

func TestAddedTokensHonourTheirFlags(t *testing.T) {
	set := newTokenSet()
	for _, tok := range []addedToken{
		{ID: 1, Content: "<m>", LStrip: true}, {ID: 2, Content: "<r>", RStrip: true}, {ID: 3, Content: "cup", SingleWord: true},
		{ID: 4, Content: "<m><n>"},
	} {
		if err := set.add(tok, tok.Content); err != nil {
			t.Fatal(err)
		}
	}
	f := func(text, want string) {
		t.Helper()
		var got []string
		set.find(text, func(p found) {
			part := text[p.start:p.end]
			if p.id >= 0 {
				part = "#" + string(rune('0'+p.id))
			}
			got = append(got, part)
		})
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%q: %q, want %q", text, s, want)
		}
	}
	f("", "")
	f("a <m> b", "a|#1| b")                            // the space before is swallowed, the one after is not
	f("a <r>  b", "a |#2|b")                           // and the other way round
	f("<r> <m>x", "#2|#1|x")                           // both want the same space
	f("a cup of cups cupcup", "a |#3| of cups cupcup") // not within a word
	f("<m><n><m>", "#4|#1")                            // the longest wins
	f("<m", "<m")
}

func TestMarksWithoutEndNormalizeAsUnicodeSays(t *testing.T) {
	// x/text cuts runs of more than 30 marks; the textbook algorithm must agree with it below that.
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	marks := []rune{0x301, 0x327, 0x308, 0x323, 0x5b0, 0x1100, 0x1161, 0x11a8, 'a', 'e', 'ﬁ', 'é', 0x344, 0x0958, 0x2126}
	for range 2000 {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteRune(marks[rng.IntN(len(marks))])
		}
		s := b.String()
		for _, f := range []norm.Form{norm.NFC, norm.NFD, norm.NFKC, norm.NFKD} {
			if got, want := normalizeMarks(s, f), f.String(s); got != want {
				t.Fatalf("form %d of %+q: %+q, want %+q", f, s, got, want)
			}
		}
	}
	long := "e" + strings.Repeat("\u0301", 100)
	if got := form(norm.NFC)(long); got != "é"+strings.Repeat("\u0301", 99) {
		t.Errorf("%+q", got)
	}
}

func TestTokenizerServesManyGoroutines(t *testing.T) {
	tok := starter(t)
	texts := []string{"insulated travel mug", "steel bottle 0.75 l", strings.Repeat("longword", 20), "日本語 😀"}
	var want []Encoding
	for _, s := range texts {
		want = append(want, tok.Encode(s, 0))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				for i, s := range texts {
					if got := tok.Encode(s, 0); !slices.Equal(got.IDs, want[i].IDs) {
						t.Errorf("%q: %v, want %v", s, got.IDs, want[i].IDs)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func FuzzEncode(f *testing.F) {
	bytesTok, bertTok := load(f, folders["tiny-roberta"]), load(f, folders["tiny-bert"])
	unigramTok, fallbackTok := load(f, folders["unigram"]), load(f, folders["unigram-bytes"])
	for _, s := range []string{"", "don't <mask> é\u0301 日 😀 \x00\xff", "##a [SEP]", "\u0130\u1e9e", strings.Repeat("\u0301", 50)} {
		f.Add(s, "second", 12)
	}
	f.Fuzz(func(t *testing.T, a, b string, limit int) {
		limit %= 64
		for _, tok := range []*Tokenizer{bytesTok, bertTok, unigramTok, fallbackTok} {
			for _, e := range []Encoding{tok.Encode(a, limit), tok.EncodePair(a, b, limit)} {
				if limit > 4 && len(e.IDs) > limit {
					t.Fatalf("%d ids over the limit of %d", len(e.IDs), limit)
				}
				if e.Truncated != (e.Total > len(e.IDs)) {
					t.Fatalf("total %d, %d ids, truncated %v", e.Total, len(e.IDs), e.Truncated)
				}
				for _, id := range e.IDs {
					if id < 0 || int(id) >= tok.VocabSize() {
						t.Fatalf("id %d of a vocabulary of %d", id, tok.VocabSize())
					}
				}
			}
		}
		// Byte-level BPE loses nothing but what the normalizer changes: the bytes of the ids are the normalized text.
		if m := bytesTok.model.(*bpe); utf8.ValidString(a) && !strings.Contains(a, "<") {
			var out strings.Builder
			spelled := make(map[int32]string, len(m.vocab))
			for s, id := range m.vocab {
				spelled[id] = s
			}
			ids := bytesTok.Encode(a, 0).IDs
			for _, id := range ids[1 : len(ids)-1] {
				out.WriteString(spelled[id])
			}
			if want := bytesTok.normalize(a); out.String() != want {
				t.Fatalf("%q became %q", want, out.String())
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"String":"a"},"content":"b"}]},` +
		`"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Whitespace"},{"type":"ByteLevel"}]},"padding":{"pad_id":0},` +
		`"post_processor":{"type":"RobertaProcessing","cls":["a",0],"sep":["b",1]},` +
		`"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"added_tokens":[{"id":3,"content":"<m>","lstrip":true}]}`))
	f.Add([]byte(`{"normalizer":{"type":"BertNormalizer","clean_text":true,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},` +
		`"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a"}},{"Sequence":{"id":"A"}}],"special_tokens":{"a":{"ids":[0]}}},` +
		`"model":{"type":"WordPiece","vocab":{"a":0,"##b":1,"[PAD]":2},"unk_token":"a","continuing_subword_prefix":"##","max_input_chars_per_word":9}}`))
	f.Add([]byte(`{"normalizer":{"type":"Precompiled","precompiled_charsmap":"CAAAAAAAAAAAAAAAYQA="},"pre_tokenizer":{"type":"Metaspace","replacement":"_"},` +
		`"padding":{"pad_id":0},"model":{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[["?",0],["_a",-1.5],["b",-2]]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tok, err := Parse(b); err == nil {
			tok.EncodePair("Insulated mug", "é <mask> ##a", 16)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	f, err := os.ReadFile("testdata/starter.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	tok := starter(b)
	text := strings.Repeat("Logitech MX Master 3S wireless performance mouse, 8,000 dpi, quiet clicks, USB-C, for Windows and macOS (graphite). ", 4)
	b.Run("product", func(b *testing.B) {
		tokens := 0
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			tokens += tok.Encode(text, 256).Total
		}
		b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	})
	b.Run("odd", func(b *testing.B) {
		b.SetBytes(int64(len(f)))
		for b.Loop() {
			tok.Encode(string(f), 256)
		}
	})
}
