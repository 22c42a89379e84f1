package robin_test

import (
	"encoding/json"
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
