package indexer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"robin"
)

const ownDim = 8

func ownSettings() robin.Settings {
	return robin.Settings{
		Text: []robin.TextField{{Field: "title"}}, Attributes: map[string]robin.AttributeType{"price": robin.Number},
		Embedder: "none", Reranker: "none", VectorField: "v", Dimension: ownDim,
	}
}

// withVector is a document whose vector points along one axis, and less along the next.
func withVector(id string, axis int, length float64) string {
	v := make([]float64, ownDim)
	v[axis], v[(axis+1)%ownDim] = length, length*3/4
	b, _ := json.Marshal(v)
	return fmt.Sprintf(`{"id":%q, "v":%s, "title":"thing of axis%d","price":%d}`, id, b, axis, axis)
}

// towards is a query that points along one axis.
func towards(axis int) []float32 {
	v := make([]float32, ownDim)
	v[axis] = 3
	return v
}

func mustFind(t *testing.T, e *Engine, q robin.Query) (ids string, res *robin.Result) {
	t.Helper()
	res, err := e.Search(ctx, "c", q)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range res.Hits {
		ids += h.ID + " "
	}
	return strings.TrimSpace(ids), res
}

func TestDocumentsAreFoundByTheVectorsThatTheyBring(t *testing.T) {
	dir := t.TempDir()
	e := mustOpen(t, testOptions(dir))
	mustPut(t, e, "c", ownSettings())
	docs := []string{withVector("a", 0, 1), withVector("b", 1, 1e-9), withVector("c", 2, 1e9), `{"id":"plain","title":"thing without"}`}
	res := mustWrite(t, e, "c", docs...)
	if res.Indexed != 4 || res.Embedded != 0 {
		t.Fatalf("got %+v", res)
	}
	for range 2 { // as written, and reopened
		ids, r := mustFind(t, e, robin.Query{Mode: robin.ModeSemantic, Vector: towards(1)})
		if ids != "b a" || len(r.Degraded) > 0 || r.Models.Embedder == nil || r.Models.Embedder.Name != "none" {
			t.Fatalf("semantic: %s, %+v", ids, r)
		}
		if ids, _ := mustFind(t, e, robin.Query{Q: "axis2", Vector: towards(1)}); !strings.Contains(ids, "b") || !strings.Contains(ids, "c") {
			t.Fatalf("hybrid: %s", ids)
		}
		ids, r = mustFind(t, e, robin.Query{Q: "without"})
		if ids != "plain" || len(r.Degraded) > 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "by words alone") {
			t.Fatalf("words: %s, %+v", ids, r)
		}
		if _, r := mustFind(t, e, robin.Query{}); r.Total != 4 || len(r.Warnings) > 0 {
			t.Fatalf("everything: %+v", r)
		}
		near, err := e.Similar(ctx, "c", robin.SimilarQuery{ID: "a"})
		if err != nil || len(near.Hits) != 1 || near.Hits[0].ID != "b" {
			t.Fatalf("similar: %+v, %v", near, err)
		}
		mustVerify(t, e, "c")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, testOptions(dir))
	}
	mustHold(t, e, map[string]string{"a": docs[0], "b": docs[1], "c": docs[2], "plain": docs[3]})
}

func TestHitsLeaveTheVectorOutUnlessAskedForIt(t *testing.T) {
	e := mustOpen(t, testOptions(t.TempDir()))
	mustPut(t, e, "c", ownSettings())
	mustWrite(t, e, "c", withVector("a", 0, 1))
	_, r := mustFind(t, e, robin.Query{Q: "axis0"})
	if got := string(r.Hits[0].Document); got != `{"id":"a","title":"thing of axis0","price":0}` {
		t.Errorf("got %s", got)
	}
	_, r = mustFind(t, e, robin.Query{Q: "axis0", Fields: []string{"v", "id"}})
	if got := string(r.Hits[0].Document); got != `{"id":"a","v":[1,0.75,0,0,0,0,0,0]}` {
		t.Errorf("got %s", got)
	}
}

func TestASearchByVectorIsCheckedAgainstTheCollection(t *testing.T) {
	e := mustOpen(t, testOptions(t.TempDir()))
	mustPut(t, e, "c", ownSettings())
	mustWrite(t, e, "c", withVector("a", 0, 1))
	f := func(q robin.Query, pointer, says string) {
		t.Helper()
		_, err := e.Search(ctx, "c", q)
		if robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), pointer) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v", err)
		}
	}
	f(robin.Query{Q: "thing", Mode: robin.ModeSemantic}, "/vector", "is missing")
	f(robin.Query{Vector: towards(0)[:5]}, "/vector", "has 5 numbers, the collection's vectors have 8")
	f(robin.Query{Vector: []float32{}}, "/vector", "has 0 numbers")
	f(robin.Query{Vector: make([]float32, ownDim)}, "/vector", "is zero")
	f(robin.Query{Vector: []float32{1e30, 0, 0, 0, 0, 0, 0, 0}}, "/vector", "has length 1e+30")
	f(robin.Query{Q: "thing", Mode: robin.ModeKeyword, Vector: towards(0)}, "/vector", "of no use")
	if _, err := e.Similar(ctx, "c", robin.SimilarQuery{Text: "thing"}); robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), "/text") {
		t.Errorf("similar: %v", err)
	}
	mustWrite(t, e, "c", `{"id":"plain","title":"thing"}`)
	if _, err := e.Similar(ctx, "c", robin.SimilarQuery{ID: "plain"}); robin.CodeOf(err) != robin.CodeConflict || !strings.Contains(err.Error(), "brings no vector") {
		t.Errorf("similar to a document without a vector: %v", err)
	}
}

func TestABroughtVectorStandsInForEmbedding(t *testing.T) {
	o := testOptions(t.TempDir())
	var texts []string
	embedders(o)["hash"] = &hashEmbedder{dim: ownDim, version: "1", before: func(_ context.Context, batch []string) error {
		texts = append(texts, batch...)
		return nil
	}}
	e := mustOpen(t, o)
	s := ownSettings()
	s.Embedder, s.Dimension = "hash", 0
	mustPut(t, e, "c", s)
	t.Cleanup(func() { mustVerify(t, e, "c") })
	f := func(doc string, unchanged, embedded int, wantTexts string) {
		t.Helper()
		texts = nil
		res := mustWrite(t, e, "c", doc)
		if res.Indexed != 1 || res.Unchanged != unchanged || res.Embedded != embedded || strings.Join(texts, "|") != wantTexts {
			t.Errorf("%s: %+v, embedded %q", doc, res, texts)
		}
	}
	f(withVector("a", 0, 1), 0, 0, "")
	f(withVector("a", 0, 1), 1, 0, "")
	f(`{"id":"b","title":"no vector"}`, 0, 1, "no vector")
	f(withVector("a", 3, 1), 0, 0, "")
	if ids, _ := mustFind(t, e, robin.Query{Mode: robin.ModeSemantic, Vector: towards(3)}); !strings.HasPrefix(ids, "a") {
		t.Errorf("found %s", ids)
	}
	if _, err := e.Write(ctx, "c", robin.Update, rawDocs(`{"id":"a","price":9}`)); err != nil || len(texts) > 0 {
		t.Errorf("a new price: %v, embedded %q", err, texts)
	}
	f(`{"id":"a","title":"taken away"}`, 0, 1, "taken away")
	f(withVector("b", 5, 1), 0, 0, "")
}

func TestAVectorThatCannotBeComparedFailsItsRowAlone(t *testing.T) {
	e := mustOpen(t, testOptions(t.TempDir()))
	mustPut(t, e, "c", ownSettings())
	mustWrite(t, e, "c", withVector("a", 0, 1), withVector("b", 1, 1))
	f := func(value string, code robin.Code, says string) {
		t.Helper()
		res, err := e.Write(ctx, "c", robin.Upsert, rawDocs(withVector("a", 0, 1), `{"id":"bad","title":"x","v":`+value+`}`, `{"id":"b","v":`+value+`}`))
		if err != nil || res.Unchanged != 1 || len(res.Errors) != 2 {
			t.Fatalf("%s: %+v, %v", value, res, err)
		}
		for i, id := range []string{"bad", "b"} {
			if r := res.Errors[i]; r.Line != i+2 || r.ID != id || r.Code != code || r.Detail != "/v "+says {
				t.Errorf("%s: %+v", value, r)
			}
		}
	}
	f(`"[1,2]"`, robin.CodeInvalid, "must be an array of numbers, not a string")
	f(`null`, robin.CodeInvalid, "must be an array of numbers, not null")
	f(`{"x":1}`, robin.CodeInvalid, "must be an array of numbers, not an object")
	f(`[]`, robin.CodeInvalid, "has 0 numbers, the collection's vectors have 8")
	f(`[1,2,3]`, robin.CodeInvalid, "has 3 numbers, the collection's vectors have 8")
	f(`[1,2,3,4,5,6,7,8,9]`, robin.CodeInvalid, "has 9 numbers, the collection's vectors have 8")
	f(`[1, 2, null,4,5,6,7,8]`, robin.CodeInvalid, "must be an array of numbers, but number 3 is null")
	f(`[1,"2",3,4,5,6,7,8]`, robin.CodeInvalid, "must be an array of numbers, but number 2 is a string")
	f(`[[1],2,3,4,5,6,7,8]`, robin.CodeInvalid, "must be an array of numbers, but number 1 is an array")
	f(`[1,2,3,4,5,6,7,1e400]`, robin.CodeNotFinite, "has 1e400 as number 8, which is beyond 32-bit floats")
	f(`[-3.5e38,2,3,4,5,6,7,8]`, robin.CodeNotFinite, "has -3.5e38 as number 1, which is beyond 32-bit floats")
	f(`[0,0,0,0,0,0,0,-0.0]`, robin.CodeNotFinite, "is zero, and so has no direction to compare")
	f(`[1e30,1,1,1,1,1,1,1]`, robin.CodeNotFinite, "has length 1e+30; between 1e-18 and 1e+18 it can be brought to 1")
	f(`[1e-40,0,0,0,0,0,0,0]`, robin.CodeNotFinite, "has length 1e-40; between 1e-18 and 1e+18 it can be brought to 1")
	f(`[1e-400,0,0,0,0,0,0,0]`, robin.CodeNotFinite, "is zero, and so has no direction to compare")
	mustHold(t, e, map[string]string{"a": withVector("a", 0, 1), "b": withVector("b", 1, 1)})
	if ids, _ := mustFind(t, e, robin.Query{Mode: robin.ModeSemantic, Vector: towards(1)}); ids != "b a" {
		t.Errorf("found %s", ids)
	}
	mustVerify(t, e, "c")
}

func TestWhereVectorsComeFromCannotChangeUnderDocuments(t *testing.T) {
	e := mustOpen(t, testOptions(t.TempDir()))
	mustPut(t, e, "c", ownSettings())
	other := ownSettings()
	other.VectorField, other.Dimension = "w", 4
	mustPut(t, e, "c", other) // it is empty
	mustWrite(t, e, "c", `{"id":"a","title":"x","w":[1,2,3,4]}`)
	f := func(change func(*robin.Settings), pointer string) {
		t.Helper()
		s := other
		change(&s)
		_, _, err := e.PutCollection(ctx, "c", s)
		if robin.CodeOf(err) != robin.CodeConflict || !strings.Contains(err.Error(), pointer+" cannot change") {
			t.Errorf("got %v", err)
		}
	}
	f(func(s *robin.Settings) { s.VectorField = "v" }, "/vector_field")
	f(func(s *robin.Settings) { s.Dimension = 8 }, "/dimension")
	f(func(s *robin.Settings) { s.Embedder, s.Dimension = "hash", 0 }, "/embedder")
	s := other
	s.EmbedTemplate = "{{title}} {{w}}"
	if _, _, err := e.PutCollection(ctx, "d", s); robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), "/embed_template") {
		t.Errorf("a vector in the template: %v", err)
	}
}

// A model that has changed embeds documents again, those too whose vector came from the old one. One without text keeps
// what it has and is not compared.
func TestBroughtVectorsOfAnotherModelAreNotCompared(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	embedders(o)["hash"] = &hashEmbedder{dim: ownDim, version: "1"}
	e := mustOpen(t, o)
	s := ownSettings()
	s.Embedder, s.Dimension = "hash", 0
	mustPut(t, e, "c", s)
	mustWrite(t, e, "c", withVector("a", 0, 1), `{"id":"mute","v":[0,0,1,0,0,0,0,0]}`)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	embedders(o)["hash"] = &hashEmbedder{dim: ownDim, version: "2"}
	e = mustOpen(t, o)
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	text := (&hashEmbedder{dim: ownDim, version: "2"}).hash("thing of axis0")
	ids, r := mustFind(t, e, robin.Query{Mode: robin.ModeSemantic, Vector: text})
	if ids != "a" || *r.Hits[0].Scores.Vector < 0.999 {
		t.Fatalf("got %s, %+v", ids, r)
	}
	if res := mustWrite(t, e, "c", withVector("a", 0, 1)); res.Unchanged != 1 {
		t.Errorf("the same document again: %+v", res)
	}
}

func TestVectorsAreReadAsEncodingJSONReadsThem(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 0))
	for range 2000 {
		dim := 1 + r.IntN(40)
		want := make([]float64, dim)
		for i := range want {
			want[i] = r.NormFloat64()
			if r.IntN(8) == 0 {
				want[i] *= 1e-30
			}
		}
		b, err := json.MarshalIndent(want, "", []string{"", " ", "\t"}[r.IntN(3)])
		if err != nil {
			t.Fatal(err)
		}
		var plain []float32
		if err := json.Unmarshal(b, &plain); err != nil {
			t.Fatal(err)
		}
		got, _, why := parseVector(b, dim)
		if why != "" || !slices.Equal(got, plain) {
			t.Fatalf("%s: %q, got %v, want %v", b, why, got, plain)
		}
	}
}

func BenchmarkParseVector(b *testing.B) {
	v := make([]float32, 256)
	for i := range v {
		v[i] = float32(i-128) / 1000
	}
	text, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("bytes", func(b *testing.B) {
		for b.Loop() {
			if _, _, why := parseVector(text, 256); why != "" {
				b.Fatal(why)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			var list []any
			if err := json.Unmarshal(text, &list); err != nil {
				b.Fatal(err)
			}
		}
	})
}
