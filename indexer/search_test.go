package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"robin"
)

// bagEmbedder stands in for the model: every word has its own random direction and a text the sum of its words', so
// that texts are near as far as they share words. It ignores their order and knows no synonyms but those it is told.
type bagEmbedder struct {
	synonyms map[string]string
	fail     atomic.Pointer[error]
	calls    atomic.Int64
}

const bagDim = 32

func (b *bagEmbedder) Embed(_ context.Context, texts []string, _ bool) (Embeddings, error) {
	b.calls.Add(1)
	var out Embeddings
	if err := b.fail.Load(); err != nil {
		return out, *err
	}
	for _, text := range texts {
		vec := make([]float32, bagDim)
		for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') }) {
			if s, ok := b.synonyms[word]; ok {
				word = s
			}
			h := fnv.New64a()
			h.Write([]byte(word))
			r := rand.New(rand.NewPCG(h.Sum64(), 1))
			for i := range vec {
				vec[i] += float32(r.NormFloat64())
			}
		}
		norm := 0.0
		for _, x := range vec {
			norm += float64(x) * float64(x)
		}
		if norm == 0 {
			vec[0], norm = 1, 1
		}
		for i := range vec {
			vec[i] /= float32(math.Sqrt(norm))
		}
		out.Vectors = append(out.Vectors, vec)
		out.Truncated = append(out.Truncated, len(text) > 2000)
	}
	return out, nil
}

func (b *bagEmbedder) Dim() int { return bagDim }
func (b *bagEmbedder) Version() robin.ModelVersion {
	return robin.ModelVersion{Name: "bag", Version: "1", Fingerprint: "bag-1"}
}

// wordReranker scores the share of the query's words that the passage has.
type wordReranker struct{ fail atomic.Pointer[error] }

func (w *wordReranker) Score(_ context.Context, query string, passages []string) ([]float32, error) {
	if err := w.fail.Load(); err != nil {
		return nil, *err
	}
	var out []float32
	words := strings.Fields(strings.ToLower(query))
	for _, p := range passages {
		n := 0
		for _, word := range words {
			if strings.Contains(strings.ToLower(p), word) {
				n++
			}
		}
		out = append(out, float32(n)/float32(max(1, len(words))))
	}
	return out, nil
}

func (w *wordReranker) Version() robin.ModelVersion {
	return robin.ModelVersion{Name: "words", Version: "1", Fingerprint: "words-1"}
}

// shop is an engine with one collection for search tests.
type shop struct {
	*Engine
	t        testing.TB
	embedder *bagEmbedder
	reranker *wordReranker
}

var shopSettings = robin.Settings{
	Text:        []robin.TextField{{Field: "title", Weight: 3}, {Field: "text"}},
	Identifiers: []string{"sku"},
	Attributes: map[string]robin.AttributeType{
		"brand": robin.Keyword, "price": robin.Number, "stock": robin.Bool, "added": robin.Date, "n": robin.Number,
	},
	Embedder: "bag",
	Reranker: "words",
}

func openShop(t testing.TB, dir string) *shop {
	t.Helper()
	s := &shop{t: t, embedder: &bagEmbedder{synonyms: map[string]string{"thermos": "flask", "sofa": "couch"}}, reranker: &wordReranker{}}
	e, err := Open(context.Background(), Options{
		Dir: dir,
		Models: loaded(Models{
			Embedders: map[string]Embedder{"bag": s.embedder},
			Rerankers: map[string]Reranker{"words": s.reranker},
		}),
		MinFreeBytes: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Engine = e
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := e.WaitReady(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// newShop makes a shop of some documents.
func newShop(t testing.TB, settings robin.Settings, docs ...string) *shop {
	t.Helper()
	s := openShop(t, t.TempDir())
	if _, _, err := s.PutCollection(context.Background(), "c", settings); err != nil {
		t.Fatal(err)
	}
	s.write(docs...)
	return s
}

func (s *shop) write(docs ...string) {
	s.t.Helper()
	for len(docs) > 0 {
		n := min(len(docs), 1000)
		raw := make([]json.RawMessage, n)
		for i, d := range docs[:n] {
			raw[i] = json.RawMessage(d)
		}
		docs = docs[n:]
		res, err := s.Write(context.Background(), "c", robin.Upsert, raw)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(res.Errors) > 0 {
			s.t.Fatalf("%+v", res.Errors)
		}
	}
}

// find searches without reranking, unless the query says otherwise.
func (s *shop) find(q robin.Query) *robin.Result {
	s.t.Helper()
	if q.Rerank.Mode == "" {
		q.Rerank.Mode = robin.RerankOff
	}
	r, err := s.Search(context.Background(), "c", q)
	if err != nil {
		s.t.Fatalf("%+v: %v", q, err)
	}
	return r
}

func ids(r *robin.Result) string {
	var out []string
	for _, h := range r.Hits {
		out = append(out, h.ID)
	}
	return strings.Join(out, " ")
}

func limit(n int) *int { return &n }

var modes = []robin.Mode{robin.ModeKeyword, robin.ModeSemantic, robin.ModeHybrid}

func TestExactIdentifierComesFirstInEveryMode(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"1","title":"Travel mug","text":"AB 1234 AB 1234 AB 1234 ab1234","sku":"ZZ-9"}`,
		`{"id":"2","title":"Chair","text":"wooden","sku":"AB-1234"}`,
		`{"id":"3","title":"AB 1234 mug AB 1234","text":"AB-1234","sku":["Q-1","X 77"]}`,
		`{"id":"SKU 5","title":"Insulated  Bottle","text":"keeps warm"}`,
		`{"id":"6","title":"insulated bottle","text":"keeps cold"}`,
	)
	for _, mode := range modes {
		f := func(q, want string) {
			t.Helper()
			r := s.find(robin.Query{Q: q, Mode: mode})
			if len(r.Hits) == 0 || r.Hits[0].ID != want || !r.Hits[0].Scores.Exact {
				t.Errorf("%s %q: %s, want %s first", mode, q, ids(r), want)
			}
			for i := 1; i < len(r.Hits); i++ {
				if r.Hits[i].Score > r.Hits[i-1].Score {
					t.Errorf("%s %q: the scores do not descend", mode, q)
				}
			}
		}
		f("AB-1234", "2")
		f("ab1234", "2")
		f(" aB 12-34 ", "2")
		f("x77", "3")
		f("q–1", "3") // an en dash
		f("sku5", "SKU 5")
		f("travel MUG", "1")
		f("INSULATED BOTTLE", "SKU 5") // two titles: the older document first
		r := s.find(robin.Query{Q: "insulated bottle", Mode: mode})
		if !r.Hits[1].Scores.Exact || r.Hits[1].ID != "6" {
			t.Errorf("%s: the second of two equal titles is not second: %s", mode, ids(r))
		}
		if r := s.find(robin.Query{Q: "AB-1234", Mode: mode, Filter: "brand EXISTS"}); len(r.Hits) != 0 || r.Total != 0 {
			t.Errorf("%s: the exact lane passes the filter: %s", mode, ids(r))
		}
	}
}

func TestSearchFindsByWordsByMeaningAndByBoth(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"flask","title":"Steel flask","text":"keeps drinks warm"}`,
		`{"id":"mug","title":"Travel mug","text":"for coffee"}`,
		`{"id":"chair","title":"Garden chair","text":"wood"}`,
	)
	if r := s.find(robin.Query{Q: "thermos", Mode: robin.ModeKeyword}); r.Total != 0 {
		t.Errorf("keyword: %s", ids(r))
	}
	for _, mode := range []robin.Mode{robin.ModeSemantic, robin.ModeHybrid} {
		r := s.find(robin.Query{Q: "thermos", Mode: mode})
		if len(r.Hits) == 0 || r.Hits[0].ID != "flask" || r.Hits[0].Scores.Vector == nil || r.Hits[0].Scores.Ranks.Vector == nil || *r.Hits[0].Scores.Ranks.Vector != 1 {
			t.Errorf("%s: %s", mode, ids(r))
		}
		if r.Models.Embedder == nil || r.Models.Embedder.Name != "bag" {
			t.Errorf("%s: embedder %v", mode, r.Models.Embedder)
		}
	}
	r := s.find(robin.Query{Q: "coffee mugs"}) // stemmed
	h := r.Hits[0]
	if h.ID != "mug" || h.Scores.BM25 == nil || h.Scores.Vector == nil || h.Scores.Fused == nil || *h.Scores.Ranks.BM25 != 1 || *h.Scores.Ranks.Fused != 1 {
		t.Errorf("hybrid: %+v", h)
	}
	if want := 1/61. + 1/61.; math.Abs(*h.Scores.Fused-want) > 1e-12 || h.Score != *h.Scores.Fused {
		t.Errorf("fused %v and score %v, want %v", *h.Scores.Fused, h.Score, want)
	}
	if string(h.Document) != `{"id":"mug","title":"Travel mug","text":"for coffee"}` {
		t.Errorf("document %s", h.Document)
	}
}

func TestBM25EqualsTheFormulaWorkedOutByHand(t *testing.T) {
	settings := shopSettings
	settings.Text = []robin.TextField{{Field: "title", Weight: 6, Analyzer: robin.Standard}, {Field: "text", Weight: 2, Analyzer: robin.Standard}}
	s := newShop(t, settings,
		`{"id":"1","title":"red mug","text":"a mug of red clay red"}`, // length 3*2 + 6 = 12
		`{"id":"2","title":"blue cup","text":"clay"}`,                 // 3*2 + 1 = 7
		`{"id":"3","title":"spoon"}`,                                  // 3
		`{"id":"4","text":["red","blue"]}`,                            // 2
	)
	s.write(`{"id":"5","title":"red red red"}`)
	if _, _, _, err := s.Delete(context.Background(), "c", []string{"5"}); err != nil { // counts nowhere
		t.Fatal(err)
	}
	const average = (12. + 7 + 3 + 2) / 4
	score := func(n, tf, length float64) float64 {
		return math.Log(1+(4-n+0.5)/(n+0.5)) * tf * 2.2 / (tf + 1.2*(0.25+0.75*length/average))
	}
	want := map[string]float64{
		"1": score(2, 3*1+2, 12), // red: once in the title, twice in the text
		"4": score(2, 1, 2),
	}
	r := s.find(robin.Query{Q: "red", Mode: robin.ModeKeyword, Explain: true})
	if r.Total != len(want) || r.TotalIs != "exact" {
		t.Fatalf("%d hits: %s", r.Total, ids(r))
	}
	for _, h := range r.Hits {
		if math.Abs(*h.Scores.BM25-want[h.ID]) > 1e-6 {
			t.Errorf("%s: %v, want %v: %s", h.ID, *h.Scores.BM25, want[h.ID], h.Explain.BM25)
		}
		sum := 0.0
		for _, f := range h.Explain.Fields {
			sum += f.Score
		}
		if math.Abs(sum-want[h.ID]) > 1e-6 {
			t.Errorf("%s: the fields' shares add up to %v, want %v", h.ID, sum, want[h.ID])
		}
	}
	// Two words add up, and a filter leaves scores alone.
	want["1"] += score(1, 3*1+1, 12)
	for _, expression := range []string{"", "n NOT EXISTS"} {
		r = s.find(robin.Query{Q: "mug red", Mode: robin.ModeKeyword, Filter: expression})
		if h := r.Hits[0]; h.ID != "1" || math.Abs(*h.Scores.BM25-want["1"]) > 1e-6 {
			t.Errorf("filter %q: %s %v, want 1 %v", expression, h.ID, *h.Scores.BM25, want["1"])
		}
	}
}

func TestDegradedPartsAreNamedAndTheRestAnswers(t *testing.T) {
	s := newShop(t, shopSettings, `{"id":"1","title":"red mug"}`, `{"id":"2","title":"blue mug"}`)
	down := errors.New("out of memory")
	s.embedder.fail.Store(&down)
	r := s.find(robin.Query{Q: "mug"})
	if r.Total != 2 || fmt.Sprint(r.Degraded) != "[embedder]" {
		t.Errorf("hybrid without the embedder: %d hits, degraded %v", r.Total, r.Degraded)
	}
	if _, err := s.Search(context.Background(), "c", robin.Query{Q: "mug", Mode: robin.ModeSemantic}); robin.CodeOf(err) != robin.CodeModelFailed || !errors.Is(err, down) {
		t.Errorf("semantic without the embedder: %v", err)
	}
	overloaded := error(&robin.Error{Code: robin.CodeOverloaded, Message: "the queue is full"})
	s.embedder.fail.Store(&overloaded)
	if _, err := s.Search(context.Background(), "c", robin.Query{Q: "mug", Mode: robin.ModeSemantic}); robin.CodeOf(err) != robin.CodeOverloaded {
		t.Errorf("an overloaded embedder: %v", err)
	}
	s.embedder.fail.Store(nil)
	s.reranker.fail.Store(&down)
	r = s.find(robin.Query{Q: "mug", Rerank: robin.Rerank{Mode: robin.RerankAlways}})
	if r.Total != 2 || fmt.Sprint(r.Degraded) != "[reranker]" || r.Rerank.Status != robin.RerankSkipped || r.Rerank.Reason == "" {
		t.Errorf("without the reranker: %+v %v", r.Rerank, r.Degraded)
	}
	out := "lost a file"
	c, _ := s.collection("c")
	c.view.Load().textOut.Store(&out)
	if r = s.find(robin.Query{Q: "mug"}); len(r.Hits) != 2 || fmt.Sprint(r.Degraded) != "[text]" {
		t.Errorf("without the text index: %s, degraded %v", ids(r), r.Degraded)
	}
	if _, err := s.Search(context.Background(), "c", robin.Query{Q: "mug", Mode: robin.ModeKeyword}); robin.CodeOf(err) != robin.CodeNotReady || !strings.Contains(err.Error(), out) {
		t.Errorf("keyword without the text index: %v", err)
	}
	c.view.Load().textOut.Store(nil)
	c.view.Load().graphOut.Store(&out)
	if r = s.find(robin.Query{Q: "mug"}); len(r.Hits) != 2 || fmt.Sprint(r.Degraded) != "[vectors]" {
		t.Errorf("without the graph: %s, degraded %v", ids(r), r.Degraded)
	}
	c.view.Load().graphOut.Store(nil)
}
