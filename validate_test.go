package robin_test

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"robin"
)

// pointers lists the fields that an error names.
func pointers(err error) string {
	var list []string
	if e, ok := err.(*robin.Error); ok {
		for _, f := range e.Fields {
			list = append(list, f.Pointer)
		}
	}
	return strings.Join(list, " ")
}

func TestSettingsNameEachBadFieldByItsPointer(t *testing.T) {
	f := func(change func(*robin.Settings), want string) {
		t.Helper()
		s := robin.Settings{Text: []robin.TextField{{Field: "title"}}, Identifiers: []string{"sku"}, Attributes: map[string]robin.AttributeType{"price": robin.Number}}
		change(&s)
		if got := pointers(s.Defaulted().Validate()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(func(*robin.Settings) {}, "")
	f(func(s *robin.Settings) { s.Identifiers = slices.Repeat([]string{"sku"}, 64) }, "")
	f(func(s *robin.Settings) { s.Identifiers = slices.Repeat([]string{"sku"}, 65) }, "/identifiers")
	f(func(s *robin.Settings) { s.Identifiers = []string{"sku", ""} }, "/identifiers/1")
	f(func(s *robin.Settings) { s.Attributes[""] = robin.Keyword }, "/attributes/")
	f(func(s *robin.Settings) { s.Attributes["a/b~c"], s.Attributes["z"] = "text", "blob" }, "/attributes/a~1b~0c /attributes/z")
	f(func(s *robin.Settings) {
		s.Attributes["_duplicate"], s.Attributes["_duplicate_of"] = robin.Keyword, robin.Keyword
	},
		"/attributes/_duplicate /attributes/_duplicate_of")
	f(func(s *robin.Settings) { s.Duplicates = "merge" }, "/duplicates")
	f(func(s *robin.Settings) {
		s.Duplicates, s.DuplicateRule = robin.DuplicatesReject, &robin.DuplicateRule{Threshold: 0.95}
	}, "")
	f(func(s *robin.Settings) { s.DuplicateRule = &robin.DuplicateRule{Threshold: 1.5} }, "/duplicate_rule/threshold")
	f(func(s *robin.Settings) {
		s.DuplicateRule = &robin.DuplicateRule{Threshold: math.NaN(), Bias: math.Inf(1)}
	},
		"/duplicate_rule/threshold /duplicate_rule/bias")
	f(func(s *robin.Settings) {
		s.DuplicateRule = &robin.DuplicateRule{
			Weights: map[string]float64{"a": 1, "b": math.NaN(), "c/d": 1, "e": 1},
			Mean:    map[string]float64{"a": 0, "b": 0, "e": 0},
			Scale:   map[string]float64{"a": 1, "b": 1, "c/d": 1, "e": 0},
		}
	}, "/duplicate_rule/weights/b /duplicate_rule/mean/c~1d /duplicate_rule/scale/e")
	own := func(s *robin.Settings) { s.Embedder, s.VectorField, s.Dimension = "none", "vector", 256 }
	f(own, "")
	f(func(s *robin.Settings) { s.VectorField = "vector" }, "")
	f(func(s *robin.Settings) { s.VectorField, s.Dimension = "vector", 256 }, "/dimension")
	f(func(s *robin.Settings) { s.Embedder = "none" }, "/dimension /vector_field")
	f(func(s *robin.Settings) { own(s); s.Dimension = 4097 }, "/dimension")
	for _, taken := range []string{"title", "price", "sku", "id", "_id"} {
		f(func(s *robin.Settings) { own(s); s.VectorField = taken }, "/vector_field")
	}
	f(func(s *robin.Settings) { own(s); s.Attributes["vector.x"] = robin.Number }, "/vector_field")
	many := map[string]robin.AttributeType{}
	for i := range 257 {
		many[strconv.Itoa(i)] = robin.Keyword
	}
	f(func(s *robin.Settings) { s.Attributes = many }, "/attributes")
}

func TestZeroIsNotTakenForLeftOutInRerank(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		var q robin.Query
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			t.Fatal(err)
		}
		if got := pointers(q.Defaulted().Validate()); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
	f(`{"q":"mug"}`, "")
	f(`{"q":"mug","rerank":{"top_n":1,"budget_ms":1}}`, "")
	f(`{"q":"mug","rerank":{"top_n":0,"budget_ms":0}}`, "/rerank/top_n /rerank/budget_ms")
	f(`{"q":"mug","rerank":{"top_n":201,"budget_ms":60001}}`, "/rerank/top_n /rerank/budget_ms")
}
