package indexer

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"robin"
	"robin/ann"
	"robin/attr"
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

// oracle finds by brute force what a search by meaning must find: documents by their best passage.
type oracle struct {
	h    *hashEmbedder
	s    robin.Settings
	docs map[string]oracleDoc
}

type oracleDoc struct {
	text     string
	price    int
	passages []oraclePassage
}

type oraclePassage struct {
	Span
	vec []float32
}

func (o *oracle) set(id, title, description string, price int) {
	text := strings.Trim(title+". "+description, ". ")
	d := oracleDoc{text: text, price: price}
	spans, head, _ := o.h.Cut(text, len(title)+2, *o.s.Chunking)
	for i, s := range spans {
		said := text[s.Start:s.End]
		if i > 0 {
			said = text[:head] + said
		}
		d.passages = append(d.passages, oraclePassage{s, o.h.hash(said)})
	}
	o.docs[id] = d
}

type oracleHit struct {
	id     string
	cosine float64
	best   int
}

func (o *oracle) near(query string, pass func(oracleDoc) bool) (list []oracleHit) {
	q := o.h.hash(query)
	top := -1.0
	for id, d := range o.docs {
		hit := oracleHit{id, -2, 0}
		for i, p := range d.passages {
			sum := 0.0
			for j, x := range p.vec {
				sum += float64(x) * float64(q[j])
			}
			if sum > hit.cosine {
				hit.cosine, hit.best = sum, i
			}
		}
		top = max(top, hit.cosine)
		if pass(d) {
			list = append(list, hit)
		}
	}
	list = slices.DeleteFunc(list, func(h oracleHit) bool { return h.cosine < nearEnough*top })
	slices.SortFunc(list, func(a, b oracleHit) int { return cmp.Compare(b.cosine, a.cosine) })
	return list
}

// check compares a search and its pages with the oracle.
func (o *oracle) check(t *testing.T, e *Engine, rnd *rand.Rand) {
	t.Helper()
	query, below := "seek "+words(rnd, 1+rnd.IntN(14)), 1+rnd.IntN(10) // no title is the query
	filter, pass := "", func(oracleDoc) bool { return true }
	if rnd.IntN(2) == 0 {
		filter, pass = fmt.Sprintf("price < %d", below), func(d oracleDoc) bool { return d.price < below }
	}
	want := o.near(query, pass)
	var got []robin.Hit
	for page := 0; page == 0 || page*7 < len(want); page++ {
		res, err := e.Search(ctx, "c", robin.Query{
			Q: query, Mode: robin.ModeSemantic, Filter: filter, Limit: limit(7), Offset: page * 7, Passage: true,
			Facets: []robin.FacetRequest{{Field: "brand"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		inFacets := 0
		for _, v := range res.Facets["brand"].Values {
			inFacets += v.Count
		}
		if res.Total != len(want) || inFacets != len(want) || len(res.Warnings) > 0 {
			t.Fatalf("page %d of %q, %q: total %d, in facets %d, want %d; %q", page, query, filter, res.Total, inFacets, len(want), res.Warnings)
		}
		got = append(got, res.Hits...)
	}
	if len(got) != len(want) {
		t.Fatalf("%q, %q: %d hits, want %d", query, filter, len(got), len(want))
	}
	seen := map[string]bool{}
	for i, h := range got {
		d := o.docs[h.ID]
		if seen[h.ID] {
			t.Fatalf("%s comes twice", h.ID)
		}
		seen[h.ID] = true
		if math.Abs(*h.Scores.Vector-want[i].cosine) > 1e-4 {
			t.Fatalf("place %d: %s with cosine %g, want %s with %g", i, h.ID, *h.Scores.Vector, want[i].id, want[i].cosine)
		}
		if h.Passage == nil || h.Passage.Of != len(d.passages) {
			t.Fatalf("%s shows the passage %+v, want one of %d", h.ID, h.Passage, len(d.passages))
		}
		p := d.passages[h.Passage.Number-1]
		if h.Passage.Start != p.Start || h.Passage.End != p.End || h.Passage.Text != d.text[p.Start:p.End] {
			t.Fatalf("%s shows %+v, want %+v", h.ID, h.Passage, p)
		}
		if c := float64(ann.DotProduct(p.vec, o.h.hash(query))); math.Abs(c-*h.Scores.Vector) > 1e-4 {
			t.Fatalf("%s shows a passage with cosine %g as the one with %g", h.ID, c, *h.Scores.Vector)
		}
	}
}

// TestSearchByMeaningFindsDocumentsByTheirBestPassage does random things, restarts among them, and compares with brute
// force over all passages.
func TestSearchByMeaningFindsDocumentsByTheirBestPassage(t *testing.T) {
	rnd := seeded(t)
	opt := testOptions(t.TempDir())
	e := chunkedCollection(t, opt)
	o := &oracle{h: opt.Embedders["hash"].(*hashEmbedder), s: chunkedSettings(), docs: map[string]oracleDoc{}}
	for step := range 40 {
		switch rnd.IntN(8) {
		case 0:
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = mustOpen(t, opt)
		case 1:
			c, _ := e.collection("c")
			if err := c.checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		case 2:
			id := fmt.Sprint("d", rnd.IntN(90))
			if _, _, _, err := e.Delete(ctx, "c", []string{id}); err != nil {
				t.Fatal(err)
			}
			delete(o.docs, id)
		default:
			var docs []string
			for range 1 + rnd.IntN(25) {
				id, title, price := fmt.Sprint("d", rnd.IntN(90)), words(rnd, 1+rnd.IntN(8)), rnd.IntN(10)
				n := rnd.IntN(12)
				if rnd.IntN(2) == 0 {
					n = rnd.IntN(90)
				}
				description := words(rnd, n)
				docs = append(docs, described(id, title, description, price))
				o.set(id, title, description, price)
			}
			mustWrite(t, e, "c", docs...)
		}
		for range 3 {
			o.check(t, e, rnd)
		}
		if step%10 == 9 {
			mustVerify(t, e, "c")
		}
	}
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		o.check(t, e, rnd)
	}
}

func TestNearestAsksOnUntilThereAreEnoughDocuments(t *testing.T) {
	o := testOptions(t.TempDir())
	h := o.Embedders["hash"].(*hashEmbedder)
	h.vector = func(text string) []float32 { // all near to the first axis; long texts the nearest
		v := make([]float32, h.dim)
		away := 0.3 + float64(len(text)%7)/100
		if strings.Contains(text, "long") {
			away = 0.1
		}
		v[0], v[1+len(text)%20] = float32(math.Cos(away)), float32(math.Sin(away))
		return v
	}
	e := mustOpen(t, o)
	s := chunkedSettings()
	s.Chunking.MaxChunks = 40
	mustPut(t, e, "c", s)
	var docs []string
	for i := range 5 {
		docs = append(docs, described(fmt.Sprint("l", i), "tent", strings.Repeat("long ", 300), i))
	}
	for i := range 200 {
		docs = append(docs, described(fmt.Sprint("s", i), "tent "+strings.Repeat("x", i%15), "short", i))
	}
	mustWrite(t, e, "c", docs...)
	c, _ := e.collection("c")
	v := c.view.Load()
	query := make([]float32, h.dim)
	query[0] = 1
	for _, n := range []int{1, 4, 5, 6, 50, 205, 400} {
		list, err := v.nearest(query, n, nil, ann.SearchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[uint64]bool{}
		for i, f := range list {
			if seen[f.document] || (f.document <= v.passages.runs[4].document) != (i < 5) {
				t.Fatalf("place %d of %d is document %d", i, n, f.document)
			}
			seen[f.document] = true
		}
		if len(list) != min(n, 205) {
			t.Errorf("%d documents of %d", len(list), n)
		}
	}
	self := v.passages.runs[0].document
	if list, err := v.nearest(query, 4, &self, ann.SearchOptions{}); err != nil || len(list) != 4 || slices.ContainsFunc(list, func(f neighbour) bool { return f.document == self }) {
		t.Errorf("without %d: %+v, %v", self, list, err)
	}
	// Only short ones, and only long ones.
	short, long := attr.Set{}, attr.Set{}
	for n := range v.attrs.All().All() {
		if _, ok := v.passages.run(n); ok {
			long = long.Union(attr.NewSet(n))
		} else {
			short = short.Union(attr.NewSet(n))
		}
	}
	for _, allowed := range []attr.Set{short, long} {
		list, err := v.nearest(query, 300, nil, ann.SearchOptions{Allow: v.allow(allowed)})
		if err != nil || len(list) != allowed.Len() {
			t.Errorf("%d of %d allowed, %v", len(list), allowed.Len(), err)
		}
		for _, f := range list {
			if !allowed.Contains(f.document) {
				t.Errorf("%d is not allowed", f.document)
			}
		}
		all := 0
		for range v.allow(allowed).All() {
			all++
		}
		if allowed.Contains(self) && all != 5*27 || !allowed.Contains(self) && all != 200 {
			t.Errorf("the set of what may be found has %d vectors", all)
		}
	}
}

// recorder is a reranker that takes down what it is given.
type recorder struct{ said []string }

func (r *recorder) Score(_ context.Context, _ string, passages []string) ([]float32, error) {
	r.said = append(r.said, passages...)
	return make([]float32, len(passages)), nil
}

func (r *recorder) Version() robin.ModelVersion { return robin.ModelVersion{Name: "recorder"} }

func TestRerankerReadsThePassageThatMatched(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	o := testOptions(t.TempDir())
	rec := &recorder{}
	o.Rerankers = map[string]Reranker{"recorder": rec}
	e := mustOpen(t, o)
	s := chunkedSettings()
	s.Reranker = "recorder"
	mustPut(t, e, "c", s)
	answer := "zip sealed against heavy rain by a rubber lip"
	mustWrite(t, e, "c", described("a", "tent", words(rnd, 23)+" "+answer+" "+words(rnd, 20), 1), described("b", "tent", answer, 1))
	res, err := e.Search(ctx, "c", robin.Query{Q: answer, Rerank: robin.Rerank{Mode: robin.RerankAlways}, Explain: true})
	if err != nil || len(res.Hits) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	if len(rec.said) != 2 {
		t.Fatalf("the reranker read %q", rec.said)
	}
	for _, said := range rec.said {
		if !strings.HasPrefix(said, "tent. ") || !strings.Contains(said, "rubber lip") || len(strings.Fields(said)) > 16 {
			t.Errorf("the reranker read %q", said)
		}
	}
	for _, h := range res.Hits {
		if h.ID == "a" && (h.Passage == nil || h.Passage.Of != 5 || !strings.Contains(h.Explain.Summary, fmt.Sprintf("of passage %d of 5", h.Passage.Number))) {
			t.Errorf("%+v, %+v", h.Passage, h.Explain)
		}
	}
	// A search by words alone does not know which passage is near, and shows none.
	rec.said = nil
	res, err = e.Search(ctx, "c", robin.Query{Q: "rubber lip", Mode: robin.ModeKeyword, Rerank: robin.Rerank{Mode: robin.RerankAlways}, Passage: true, Highlight: true})
	if err != nil || len(res.Hits) != 2 || res.Hits[0].Passage != nil || !strings.Contains(res.Hits[0].Highlight["description"], "<mark>rubber</mark>") {
		t.Errorf("%+v, %v", res, err)
	}
	if len(rec.said) != 2 || len(strings.Fields(rec.said[0]+rec.said[1])) < 40 {
		t.Errorf("the reranker read %q", rec.said)
	}
}

func TestChunkingSettingsAreChecked(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Embedders["plain"] = &bagEmbedder{}
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
	o.Embedders["hash"].(*hashEmbedder).before = func(_ context.Context, texts []string) error {
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
	o.Embedders["hash"] = &hashEmbedder{dim: 32, version: "2"}
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
	h := o.Embedders["hash"].(*hashEmbedder)
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
