package indexer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"robin"
	"robin/store"
)

func chunkedSettings() robin.Settings {
	s := testSettings()
	s.Chunking = &robin.Chunking{Tokens: 16, Overlap: ptrTo(4), MaxChunks: 6}
	return s
}

func chunkedCollection(t testing.TB, o Options) *Engine {
	t.Helper()
	e := mustOpen(t, o)
	mustPut(t, e, "c", chunkedSettings())
	return e
}

// words makes a text of n words; few are different, so that texts meet.
func words(r *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "w%d", r.IntN(60))
	}
	return b.String()
}

func described(id, title, description string, price int) string {
	return fmt.Sprintf(`{"id":%q,"title":%q,"description":%q,"price":%d,"brand":"b%d"}`, id, title, description, price, price%3)
}

// vectorsOf counts the vectors of each document by what the store says, and of all by what the graph has.
func vectorsOf(t testing.TB, e *Engine) (byID map[string]int, inGraph int) {
	t.Helper()
	c, err := e.collection("c")
	if err != nil {
		t.Fatal(err)
	}
	byID = map[string]int{}
	err = c.st.View(func(r *store.Reader) error {
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			if doc.Flags&store.HasVector != 0 {
				byID[doc.ID] = 1
			}
			if doc.Flags&store.Chunked != 0 {
				p, err := r.Passages(doc.Number)
				if err != nil {
					return err
				}
				byID[doc.ID] = len(p.Spans)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return byID, c.view.Load().graph.Len()
}

func wantVectors(t testing.TB, e *Engine, want map[string]int) {
	t.Helper()
	got, inGraph := vectorsOf(t, e)
	sum := 0
	for id, n := range want {
		if sum += n; got[id] != n {
			t.Errorf("%s has %d vectors, want %d", id, got[id], n)
		}
	}
	if inGraph != sum {
		t.Errorf("the graph has %d vectors, want %d", inGraph, sum)
	}
	if info, _ := e.Collection(ctx, "c"); info.Passages != sum {
		t.Errorf("the collection counts %d passages, want %d", info.Passages, sum)
	}
	mustVerify(t, e, "c")
}

func TestLongTextsHaveAVectorForEachPassageAndNoneIsLeftBehind(t *testing.T) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	e := chunkedCollection(t, o)
	long := words(rnd, 60)
	res := mustWrite(t, e, "c", described("long", "tent", long, 1), described("short", "tent", "for two", 2), described("cut", "tent", words(rnd, 400), 3), `{"id":"mute","price":4}`)
	if res.Embedded != 3 || res.Truncated != 1 {
		t.Errorf("got %+v", res)
	}
	if info, _ := e.Collection(ctx, "c"); info.Truncated != 1 {
		t.Errorf("%d texts are cut, want the one that has more than six passages", info.Truncated)
	}
	want := map[string]int{"long": 6, "short": 1, "cut": 6, "mute": 0}
	wantVectors(t, e, want)
	// The same text again, and another attribute: nothing is embedded.
	if res := mustWrite(t, e, "c", described("long", "tent", long, 9)); res.Embedded != 0 {
		t.Errorf("got %+v", res)
	}
	wantVectors(t, e, want)
	reopen := func() {
		t.Helper()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, o)
	}
	reopen()
	wantVectors(t, e, want)
	for i, description := range []string{"for three", words(rnd, 30), "", words(rnd, 60), words(rnd, 45)} {
		mustWrite(t, e, "c", described("long", "tent", description, i))
		if want["long"] = 1; len(description) > 20 {
			want["long"] = 1 + (len(strings.Fields("tent. "+description))-16+10)/11
		}
		wantVectors(t, e, want)
	}
	if _, err := e.Write(ctx, "c", robin.Update, rawDocs(`{"id":"long","title":"","description":""}`)); err != nil {
		t.Fatal(err)
	}
	want["long"] = 0
	wantVectors(t, e, want)
	mustWrite(t, e, "c", described("long", "tent", long, 1))
	want["long"] = 6
	if _, _, _, err := e.Delete(ctx, "c", []string{"cut"}); err != nil {
		t.Fatal(err)
	}
	delete(want, "cut")
	wantVectors(t, e, want)
	reopen()
	wantVectors(t, e, want)
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	wantVectors(t, e, want)
}

func TestChunkingSettingsAreChecked(t *testing.T) {
	o := testOptions(t.TempDir())
	embedders(o)["plain"] = &bagEmbedder{}
	e := mustOpen(t, o)
	f := func(change func(*robin.Settings), pointer, says string) {
		t.Helper()
		s := chunkedSettings()
		change(&s)
		_, _, err := e.PutCollection(ctx, "c", s)
		re, ok := err.(*robin.Error)
		if !ok || len(re.Fields) != 1 || re.Fields[0].Pointer != pointer || !strings.Contains(re.Fields[0].Detail, says) {
			t.Errorf("got %v, want %s %s", err, pointer, says)
		}
		if _, err := e.Checker(s); err == nil {
			t.Errorf("a dry run takes %+v", s.Chunking)
		}
	}
	f(func(s *robin.Settings) { s.Chunking.Tokens = 65 }, "/chunking/tokens", `is 65, and the embedder "hash" reads 64 tokens at most`)
	f(func(s *robin.Settings) { s.Chunking.Tokens = 15 }, "/chunking/tokens", "16 at least")
	f(func(s *robin.Settings) { s.Chunking.Overlap = ptrTo(9) }, "/chunking/overlap", "half of tokens, 8")
	f(func(s *robin.Settings) { s.Chunking.MaxChunks = 129 }, "/chunking/max_chunks", "1 to 128")
	f(func(s *robin.Settings) { s.Embedder = "plain" }, "/chunking", "cannot cut texts")
	mustPut(t, e, "c", testSettings())
	mustPut(t, e, "c", chunkedSettings()) // there are no documents yet
	mustWrite(t, e, "c", product(1))
	mustPut(t, e, "c", chunkedSettings())
	_, _, err := e.PutCollection(ctx, "c", testSettings())
	if re, ok := err.(*robin.Error); !ok || re.Code != robin.CodeConflict || len(re.Fields) != 1 || re.Fields[0].Pointer != "/chunking" ||
		!strings.Contains(re.Fields[0].Detail, `from "tokens 16, overlap 4, max_chunks 6" to "none"`) {
		t.Errorf("got %v", err)
	}
}

func TestDuplicatesOfLongTextsAreDocumentsAndComeBackWithTheirPassages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	o := testOptions(t.TempDir())
	var embedded atomic.Int64
	embedders(o)["hash"].(*hashEmbedder).before = func(_ context.Context, texts []string) error {
		embedded.Add(int64(len(texts)))
		return nil
	}
	e := mustOpen(t, o)
	s := chunkedSettings()
	s.Duplicates = robin.DuplicatesFlag
	mustPut(t, e, "c", s)
	var docs []string
	texts := map[int]string{}
	for i := range 40 {
		texts[i] = words(rnd, 40+rnd.IntN(40))
		docs = append(docs, described(fmt.Sprint("d", i), "tent", texts[i], i))
	}
	if res := mustWrite(t, e, "c", docs...); len(res.Twins) > 0 {
		t.Errorf("twins %+v", res.Twins)
	}
	res := mustWrite(t, e, "c", described("again", "tent", texts[7], 7))
	if len(res.Twins) != 1 || res.Twins[0].Twin != "d7" {
		t.Errorf("twins %+v", res.Twins)
	}
	// A search for duplicates compares documents, and finds as many neighbours as it asks for.
	c, _ := e.collection("c")
	err := c.withSource(ctx, "", func(s *source, v *view, _ store.Meta) error {
		vec, err := s.Vector(7)
		if err != nil {
			return err
		}
		near, err := s.Nearest(vec, 30)
		if err != nil {
			return err
		}
		if len(near) != 30 || near[0].Cosine < 0.999 || near[1].Cosine < 0.999 || near[0].I+near[1].I != 7+40 {
			t.Errorf("%d neighbours: %+v", len(near), near)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := e.Search(ctx, "c", robin.Query{Q: texts[7], CollapseDuplicates: true})
	if err != nil || found.Hits[0].Duplicates != 1 {
		t.Errorf("%+v, %v", found.Hits[0], err)
	}
	// A delete takes the passages, and the way back brings them without the model.
	before, all := vectorsOf(t, e)
	calls := embedded.Load()
	a := apply(t, e, "delete", cluster("d7", "again", "d3"))
	if _, left := vectorsOf(t, e); a.Documents != 2 || left != all-before["again"]-before["d3"] {
		t.Errorf("%+v, and %d vectors are left", a, left)
	}
	mustVerify(t, e, "c")
	undoAction(t, e, a.ID)
	wantVectors(t, e, before)
	if n := embedded.Load() - calls; n != 0 {
		t.Errorf("%d texts were embedded again", n)
	}
	query := strings.Join(strings.Fields(texts[3])[20:30], " ")
	found, err = e.Search(ctx, "c", robin.Query{Q: query, Mode: robin.ModeSemantic, Passage: true})
	if err != nil || found.Hits[0].ID != "d3" || found.Hits[0].Passage.Number < 2 {
		t.Errorf("%+v, %v", found.Hits[0], err)
	}
	similar, err := e.Similar(ctx, "c", robin.SimilarQuery{ID: "d7", Limit: limit(40)})
	if err != nil || similar.Hits[0].ID != "again" || slices.ContainsFunc(similar.Hits, func(h robin.Hit) bool { return h.ID == "d7" }) {
		t.Errorf("similar: %s, %v", ids(similar), err)
	}
}

func TestANewModelCutsTextsAnew(t *testing.T) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	e := chunkedCollection(t, o)
	mustWrite(t, e, "c", described("long", "tent", words(rnd, 50), 1), described("short", "tent", "for two", 2))
	e.Close()
	embedders(o)["hash"] = &hashEmbedder{dim: 32, version: "2"}
	e = mustOpen(t, o)
	if info, _ := e.Collection(ctx, "c"); info.Status != robin.Degraded {
		t.Errorf("got %+v", info)
	}
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	wantVectors(t, e, map[string]int{"long": 5, "short": 1})
}

func TestADocumentThatBringsItsVectorIsOnePassage(t *testing.T) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	s := chunkedSettings()
	s.VectorField = "v"
	mustPut(t, e, "c", s)
	own := strings.TrimSuffix(strings.Repeat("1,", 32), ",")
	long := words(rnd, 50)
	mustWrite(t, e, "c", described("a", "tent", long, 1))
	wantVectors(t, e, map[string]int{"a": 5})
	mustWrite(t, e, "c", strings.TrimSuffix(described("a", "tent", long, 1), "}")+`,"v":[`+own+`]}`)
	wantVectors(t, e, map[string]int{"a": 1})
	mustWrite(t, e, "c", described("a", "tent", long, 1))
	wantVectors(t, e, map[string]int{"a": 5})
}

func TestAPassageWithoutAUsableVectorKeepsItsDocumentOut(t *testing.T) {
	o := testOptions(t.TempDir())
	h := embedders(o)["hash"].(*hashEmbedder)
	h.vector = func(text string) []float32 {
		if strings.Contains(text, "poison") {
			return make([]float32, h.dim)
		}
		return nil
	}
	rnd := seeded(t)
	e := chunkedCollection(t, o)
	res := write(t, e, robin.Upsert, described("bad", "tent", words(rnd, 40)+" poison", 1), described("good", "tent", words(rnd, 40), 1))
	if len(res.Errors) != 1 || res.Errors[0].ID != "bad" || res.Errors[0].Code != robin.CodeNotFinite || res.Indexed != 1 {
		t.Errorf("got %+v", res)
	}
	wantVectors(t, e, map[string]int{"good": 4})
}

func TestPassagesAreFoundAmongCodesAndAfterAChangeOfPrecision(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	e := mustOpen(t, testOptions(t.TempDir()))
	s := chunkedSettings()
	s.Precision = robin.Int8
	mustPut(t, e, "c", s)
	texts := make([]string, 30)
	var docs []string
	for i := range texts {
		texts[i] = words(rnd, 50)
		docs = append(docs, described(fmt.Sprint("d", i), "tent", texts[i], i))
	}
	mustWrite(t, e, "c", docs...)
	for _, p := range []robin.Precision{robin.Int8, robin.Float32} {
		if s.Precision = p; p == robin.Float32 {
			mustPut(t, e, "c", s)
		}
		for i, text := range texts {
			query := "tent. " + strings.Join(strings.Fields(text)[22:37], " ") // about the third passage
			res, err := e.Search(ctx, "c", robin.Query{Q: query, Mode: robin.ModeSemantic, Passage: true, Limit: limit(1)})
			if err != nil || res.Hits[0].ID != fmt.Sprint("d", i) || res.Hits[0].Passage.Number != 3 {
				t.Errorf("%s, document %d: %+v, %v", p, i, res.Hits[0].Passage, err)
			}
		}
		mustVerify(t, e, "c")
	}
}
