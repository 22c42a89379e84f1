package attr

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"robin"
	"robin/filter"
)

var shopTypes = map[string]robin.AttributeType{
	"brand": robin.Keyword, "price": robin.Number, "in_stock": robin.Bool, "added": robin.Date, "specs.weight": robin.Number, "tags": robin.Keyword,
}

// shop makes a table of documents numbered from 1.
func shop(t *testing.T, docs ...string) *Table {
	t.Helper()
	table := New(shopTypes)
	for i, d := range docs {
		v, err := Extract(shopTypes, json.RawMessage(d))
		if err != nil {
			t.Fatalf("%s: %v", d, err)
		}
		table.Set(uint64(i+1), v)
	}
	return table
}

func selected(t *testing.T, table *Table, expr string) []uint64 {
	t.Helper()
	n, err := filter.Parse(expr)
	if err != nil {
		t.Fatal(err)
	}
	set, err := table.Select(n)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Collect(set.All())
}

func TestFilterSelectsWhatItSays(t *testing.T) {
	table := shop(t,
		`{"brand":"Acme","price":10,"in_stock":true,"added":"2024-05-01","specs":{"weight":2},"tags":["red","Blue"]}`,
		`{"brand":"ACME","price":20.5,"in_stock":false,"added":"2024-05-01T13:30:00+02:00"}`,
		`{"brand":"B co","price":[5,100],"tags":["green"]}`,
		`{}`,
	)
	f := func(expr string, want ...uint64) {
		t.Helper()
		if got := selected(t, table, expr); !slices.Equal(got, want) {
			t.Errorf("%s selects %v, want %v", expr, got, want)
		}
	}
	f("", 1, 2, 3, 4)
	f("brand = acme", 1, 2)
	f("brand IN [acme, \"b CO\"]", 1, 2, 3)
	f("brand != acme", 3, 4) // a document without a brand has another brand than acme
	f("NOT brand = acme", 3, 4)
	f("brand NOT IN [acme]", 3, 4)
	f("brand EXISTS AND brand != acme", 3)
	f("brand NOT EXISTS", 4)
	f("price < 50", 1, 2, 3)
	f("price <= 10", 1, 3)
	f("price > 10 AND price < 20", 3) // 100 passes the one, 5 the other
	f("price = 20.50", 2)
	f("price IN [5, 20.5]", 2, 3)
	f("price != 5", 1, 2, 4)
	f("NOT price < 50", 4)
	f("price < -1")
	f("in_stock = TRUE", 1)
	f("in_stock != true", 2, 3, 4)
	f("in_stock IN [true, false]", 1, 2)
	f("added = 2024-05-01", 1, 2) // the whole day
	f("added > 2024-05-01")
	f("added >= 2024-05-01", 1, 2)
	f("added <= 2024-05-01", 1, 2)
	f("added < 2024-05-01T00:00:00.001Z", 1)
	f("added = 2024-05-01T11:30:00Z", 2)
	f("added IN [2024-05-01, 2024-05-01T09:00:00Z]", 1, 2) // an instant inside the day does not cut it short
	f("specs.weight = 2", 1)
	f("tags = blue", 1)
	f("tags = blue AND tags = red", 1)
	f("tags != blue", 2, 3, 4)
	f("(brand = acme OR tags = green) AND NOT price > 20", 1)
}

func TestFilterErrorsNameTheAttributes(t *testing.T) {
	table := shop(t)
	f := func(expr, want string) {
		t.Helper()
		n, err := filter.Parse(expr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = table.Select(n)
		var e *robin.Error
		if !errors.As(err, &e) || e.Code != robin.CodeInvalid || len(e.Fields) != 1 || e.Fields[0].Pointer != "/filter" || e.Fields[0].Detail != want {
			t.Errorf("%s: %v, want /filter %s", expr, err, want)
		}
		if table.Check(n) == nil {
			t.Errorf("%s passes Check", expr)
		}
	}
	f("colour = red", `"colour" is not an attribute; the attributes are added, brand, in_stock, price, specs.weight, tags`)
	f("colour EXISTS", `"colour" is not an attribute; the attributes are added, brand, in_stock, price, specs.weight, tags`)
	f("brand = x OR price = cheap", `price is a number, and "cheap" is not a number`)
	f("price < NaN", `price is a number, and "NaN" is not a number`)
	f("price < 1e999", `price is a number, and "1e999" is not a number`)
	f("price < 0x10", `price is a number, and "0x10" is not a number`)
	f("brand < b", "brand is a keyword, which knows =, != and IN but not <")
	f("in_stock = 1", `in_stock is a bool, and "1" is not true or false`)
	f("added = yesterday", `added is a date, and "yesterday" is not a date such as 2024-05-01 or 2024-05-01T10:00:00Z`)
	if _, err := New(nil).Select(filter.Exists{Field: "x"}); err == nil || !strings.Contains(err.Error(), "the collection's settings list none") {
		t.Errorf("no attributes: %v", err)
	}
}

func TestExtractReadsNestedFieldsAndNamesTheBadOne(t *testing.T) {
	types := map[string]robin.AttributeType{"a.b": robin.Number, "a.c.d": robin.Keyword, "x": robin.Bool, "t": robin.Date, "k": robin.Keyword}
	ok := func(doc string, want Values) {
		t.Helper()
		got, err := Extract(types, json.RawMessage(doc))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v; want %v", doc, got, err, want)
		}
	}
	ok(`{"a":{"b":1.5}}`, Values{"a.b": {Numbers: []float64{1.5}}})
	ok(`{"a.b":2,"a":{"b":1}}`, Values{"a.b": {Numbers: []float64{2}}}) // the field of that very name first
	ok(`{"a":[{"b":1},{"b":[2,3]},{}]}`, Values{"a.b": {Numbers: []float64{1, 2, 3}}})
	ok(`{"a":{"c":{"d":"x"}}}`, Values{"a.c.d": {Words: []string{"x"}}})
	ok(`{"a":{"c.d":"x"}}`, Values{"a.c.d": {Words: []string{"x"}}})
	ok(`{"a":7,"x":null,"t":"","k":[]}`, Values{})
	ok(`{"a":{"b":" 1.5 "}}`, Values{"a.b": {Numbers: []float64{1.5}}}) // from CSV
	ok(`{"x":"True","k":1.10}`, Values{"x": {Words: []string{"true"}}, "k": {Words: []string{"1.10"}}})
	ok(`{"k":["Red","RED","red",true]}`, Values{"k": {Words: []string{"Red", "true"}}})
	ok(`{"t":"1970-01-02"}`, Values{"t": {Numbers: []float64{86_400_000}}})
	bad := func(doc, pointer, detail string) {
		t.Helper()
		_, err := Extract(types, json.RawMessage(doc))
		var e *robin.Error
		if !errors.As(err, &e) || len(e.Fields) != 1 || e.Fields[0] != (robin.FieldError{Pointer: pointer, Detail: detail}) {
			t.Errorf("%.80s: %v, want %s %s", doc, err, pointer, detail)
		}
	}
	bad(`{"a":{"b":"cheap"}}`, "/a/b", `is "cheap", want a number`)
	bad(`{"a":[{"b":1},{"b":[2,true]}]}`, "/a/1/b/1", `is "true", want a number`)
	bad(`{"a.b":{}}`, "/a.b", "is an object, want a number")
	bad(`{"x":"yes"}`, "/x", `is "yes", want true or false`)
	bad(`{"t":20240501}`, "/t", `is "20240501", want a date such as 2024-05-01 or 2024-05-01T10:00:00Z`)
	bad(`{"a":{"b":1e999}}`, "/a/b", `is "1e999", want a number`)
	bad(`{"k":[0,0,0,{}]}`, "/k/3", "is an object, want a text, a number or a list of them")
	var many []int
	for i := range MaxValues + 1 {
		many = append(many, i)
	}
	long, _ := json.Marshal(map[string]any{"k": many})
	bad(string(long), "/k/1000", fmt.Sprintf("has more than %d values", MaxValues))
}

func TestFacetsCountTheSetOnly(t *testing.T) {
	table := shop(t,
		`{"brand":"Acme","price":10,"in_stock":true,"added":"2024-05-01","tags":["a","b"]}`,
		`{"brand":"ACME","price":20,"in_stock":true,"added":"2023-05-01","tags":["b"]}`,
		`{"brand":"ACME","price":30,"in_stock":false,"added":"2024-01-01","tags":["c","b"]}`,
		`{"brand":"Beta","price":[40,45]}`,
		`{"brand":"Gamma","price":1000}`,
	)
	num := func(v float64) *float64 { return &v }
	got, err := table.Facets(NewSet(1, 2, 3, 4, 99), []robin.FacetRequest{
		{Field: "brand"}, {Field: "in_stock"}, {Field: "added"}, {Field: "tags", Limit: 1},
		{Field: "price", Ranges: []robin.FacetRange{{To: num(20)}, {From: num(20), To: num(45)}, {From: num(45)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]robin.Facet{
		"brand":    {Values: []robin.FacetValue{{Value: "ACME", Count: 3}, {Value: "Beta", Count: 1}}}, // the spelling used most
		"in_stock": {Values: []robin.FacetValue{{Value: true, Count: 2}, {Value: false, Count: 1}}},
		"added": {Values: []robin.FacetValue{{Value: "2024", Count: 2}, {Value: "2023", Count: 1}},
			Min: num(1682899200000), Max: num(1714521600000)},
		"tags": {Values: []robin.FacetValue{{Value: "b", Count: 3}}, Other: 2},
		"price": {Min: num(10), Max: num(45), Ranges: []robin.RangeCount{
			{FacetRange: robin.FacetRange{To: num(20)}, Count: 1},
			{FacetRange: robin.FacetRange{From: num(20), To: num(45)}, Count: 3},
			{FacetRange: robin.FacetRange{From: num(45)}, Count: 1}, // document 4 has values in two ranges
		}},
	}
	if g, w := asJSON(got), asJSON(want); g != w {
		t.Errorf("facets\n got %s\nwant %s", g, w)
	}
	if empty, err := table.Facets(Set{}, []robin.FacetRequest{{Field: "price"}, {Field: "brand"}}); err != nil || asJSON(empty) != `{"brand":{},"price":{}}` {
		t.Errorf("facets of nothing: %s, %v", asJSON(empty), err)
	}
	if _, err := table.Facets(Set{}, []robin.FacetRequest{{Field: "brand"}, {Field: "x"}}); err == nil || !strings.Contains(err.Error(), `/facets/1 "x" is not an attribute; the attributes are added,`) {
		t.Errorf("unknown facet: %v", err)
	}
	if _, err := table.Facets(Set{}, []robin.FacetRequest{{Field: "brand", Ranges: []robin.FacetRange{{}}}}); err == nil || !strings.Contains(err.Error(), "/facets/0/ranges brand is a keyword") {
		t.Errorf("ranges of words: %v", err)
	}
	if _, err := table.Facets(Set{}, []robin.FacetRequest{{Field: "price"}, {Field: "brand"}, {Field: "price", Limit: 3}}); err == nil || !strings.Contains(err.Error(), `/facets/2 "price" is asked for twice`) {
		t.Errorf("one field twice: %v", err)
	}
	ends := func(from, to float64) robin.FacetRange { return robin.FacetRange{From: &from, To: &to} }
	if _, err := table.Facets(Set{}, []robin.FacetRequest{{Field: "price", Ranges: []robin.FacetRange{ends(1, 2), ends(30, 20)}}}); err == nil || !strings.Contains(err.Error(), "/facets/0/ranges/1 goes from 30 to 20") {
		t.Errorf("a range from above to below: %v", err)
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestAutomaticRangesAreRoundAndCoverEveryValue(t *testing.T) {
	f := func(name string, values []float64, wantCuts ...float64) {
		t.Helper()
		table := New(map[string]robin.AttributeType{"n": robin.Number})
		var all []uint64
		for i, v := range values {
			table.Set(uint64(i), Values{"n": {Numbers: []float64{v}}})
			all = append(all, uint64(i))
		}
		facets, err := table.Facets(NewSet(all...), []robin.FacetRequest{{Field: "n"}})
		if err != nil {
			t.Fatal(err)
		}
		var cuts []float64
		sum := 0
		for i, r := range facets["n"].Ranges {
			sum += r.Count
			if i > 0 {
				if *r.From != *facets["n"].Ranges[i-1].To {
					t.Errorf("%s: ranges do not meet: %s", name, asJSON(facets))
				}
				cuts = append(cuts, *r.From)
			}
		}
		if sum != len(values) {
			t.Errorf("%s: the ranges hold %d of %d values: %s", name, sum, len(values), asJSON(facets))
		}
		if !slices.Equal(cuts, wantCuts) {
			t.Errorf("%s: cuts %v, want %v", name, cuts, wantCuts)
		}
	}
	line := func(from, to, step float64) (out []float64) {
		for v := from; v <= to; v += step {
			out = append(out, v)
		}
		return out
	}
	f("1 to 100", line(1, 100, 1), 20, 40, 60, 80)
	f("years", line(2015, 2025, 1), 2018, 2020, 2022, 2024) // the fifths 2017, 2019, 2021, 2023 in steps of 2
	f("one value", []float64{7, 7, 7})
	f("two values", []float64{1, 2}, 2)
	f("below one", line(0.1, 0.5, 0.1), 0.2, 0.3, 0.4, 0.5)
}

func TestOrderPutsMissingValuesLastAndKeepsRankAmongEquals(t *testing.T) {
	table := shop(t,
		`{"brand":"b","price":3}`,
		`{"brand":"A"}`,
		`{"price":[1,9]}`,
		`{"brand":"a","price":3}`,
		`{"brand":["z","C"],"price":2,"in_stock":false}`,
	)
	docs := []uint64{1, 2, 3, 4, 5, 77} // 77 is in no table any more
	scores := []float64{0.9, 0.8, 0.7, 0.6, 0.5, 0.4}
	f := func(want string, keys ...string) {
		t.Helper()
		k, err := table.SortKeys(keys)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, i := range table.Order(docs, k, func(i int) float64 { return scores[i] }) {
			got = append(got, docs[i])
		}
		if fmt.Sprint(got) != want {
			t.Errorf("sort %v: %v, want %v", keys, got, want)
		}
	}
	f("[1 2 3 4 5 77]")
	f("[3 5 1 4 2 77]", "price:asc")
	f("[3 1 4 5 2 77]", "price:desc")
	f("[3 5 1 4 2 77]", "price")
	f("[2 4 1 5 3 77]", "brand:asc") // A and a are equal, 5 counts as C
	f("[5 1 2 4 3 77]", "brand:desc")
	f("[77 5 4 3 2 1]", "_score:asc")
	f("[3 5 4 1 77 2]", "price:asc", "_score:asc")
	f("[2 4 1 5 3 77]", "brand:asc", "_score:desc")
	f("[5 1 2 3 4 77]", "in_stock:asc")
	for _, c := range []struct{ key, want string }{
		{"colour:asc", `/sort/1 "colour" is not an attribute; the attributes are added,`},
		{"price:up", `/sort/1 "up" is not a direction; write "price:asc" or "price:desc"`},
	} {
		if _, err := table.SortKeys([]string{"price", c.key}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.key, err, c.want)
		}
	}
}

func TestSlotsAndDictionaryCodesAreUsedAgain(t *testing.T) {
	table := New(shopTypes)
	for i := range uint64(10_000) {
		table.Set(i, Values{"brand": {Words: []string{fmt.Sprintf("brand %d", i)}}, "tags": {Words: []string{"a", fmt.Sprintf("tag %d", i)}}})
		if i >= 5 {
			table.Delete(i - 5)
		}
		table.Delete(1 << 40) // never there
	}
	if n := len(table.numbers); n > 6 {
		t.Errorf("%d slots for at most 6 documents", n)
	}
	for _, name := range []string{"brand", "tags"} {
		c := table.words[name]
		if len(c.spellings) > 9 || len(c.folds) > 9 {
			t.Errorf("%s: %d codes and %d groups for at most 7 words", name, len(c.spellings), len(c.folds))
		}
	}
	if got := selected(t, table, "tags = a"); !slices.Equal(got, []uint64{9995, 9996, 9997, 9998, 9999}) {
		t.Errorf("tags = a: %v", got)
	}
	if got := selected(t, table, "brand = 'brand 9990'"); got != nil {
		t.Errorf("a deleted document is selected: %v", got)
	}
}

func TestSetIsASnapshot(t *testing.T) {
	table := shop(t, `{"price":1}`, `{"price":2}`)
	set := table.All()
	table.Delete(1)
	table.Set(3, nil)
	if got := slices.Collect(set.All()); !slices.Equal(got, []uint64{1, 2}) || !set.Contains(1) || set.Contains(3) || set.Len() != 2 {
		t.Errorf("the set became %v", got)
	}
	if got := slices.Collect(NewSet(7, 1).Union(NewSet(3)).All()); !slices.Equal(got, []uint64{1, 3, 7}) {
		t.Errorf("union: %v", got)
	}
	many := NewSet()
	for n := range uint64(1000) {
		many.b.Add(3 * n)
	}
	var batches []uint64
	for batch := range many.Batches() {
		batches = append(batches, batch...)
	}
	if !slices.Equal(batches, slices.Collect(many.All())) || len(batches) != 1000 {
		t.Errorf("%d numbers in batches", len(batches))
	}
	if zero := (Set{}); zero.Len() != 0 || zero.Contains(0) || slices.Collect(zero.All()) != nil || zero.Union(NewSet(1)).Len() != 1 {
		t.Error("the zero Set is not empty")
	}
}
