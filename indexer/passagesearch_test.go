package indexer

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"robin"
	"robin/ann"
	"robin/attr"
)

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
	o := &oracle{h: embedders(opt)["hash"].(*hashEmbedder), s: chunkedSettings(), docs: map[string]oracleDoc{}}
	for step := range 40 {
		switch rnd.IntN(8) {
		case 0:
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = mustOpen(t, opt)
		case 1:
			mustCheckpoint(t, e)
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
	h := embedders(o)["hash"].(*hashEmbedder)
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
	o.Models = loaded(Models{embedders(o), map[string]Reranker{"recorder": rec}})
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
