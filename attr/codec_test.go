package attr

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"robin"
	"robin/filter"
)

// randomTable has documents that came, changed and went.
func randomTable(t testing.TB, r random) *Table {
	t.Helper()
	table := New(shopTypes)
	for range 300 {
		number := uint64(1 + r.IntN(150))
		if r.IntN(4) == 0 {
			table.Delete(number)
			continue
		}
		raw, err := json.Marshal(r.document())
		if err != nil {
			t.Fatal(err)
		}
		v, err := Extract(shopTypes, raw)
		if err != nil {
			t.Fatal(err)
		}
		table.Set(number, v)
	}
	return table
}

func TestAStoredTableAnswersAsBefore(t *testing.T) {
	r := newRandom(t)
	for range 20 {
		table := randomTable(t, r)
		b := table.AppendBinary(nil)
		again, err := DecodeTable(shopTypes, b)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(again.AppendBinary(nil), b) {
			t.Fatal("stored again, the table has other bytes")
		}
		for round := range 40 {
			if round == 20 { // and after the same changes
				raw, _ := json.Marshal(r.document())
				v, _ := Extract(shopTypes, raw)
				for _, x := range []*Table{table, again} {
					x.Set(7, v)
					x.Set(1000, v)
					x.Delete(9)
				}
			}
			f := r.filter(2)
			a, err1 := table.Select(f)
			b, err2 := again.Select(f)
			if err1 != nil || err2 != nil || !slices.Equal(slices.Collect(a.All()), slices.Collect(b.All())) {
				t.Fatalf("%v: %v and %v, %v, %v", f, a, b, err1, err2)
			}
			for _, name := range slices.Sorted(maps.Keys(shopTypes)) {
				q := []robin.FacetRequest{{Field: name}}
				x, err1 := table.Facets(a, q)
				y, err2 := again.Facets(a, q)
				if err1 != nil || err2 != nil || !reflect.DeepEqual(x, y) {
					t.Fatalf("facet %s: %v and %v, %v, %v", name, x, y, err1, err2)
				}
			}
		}
	}
}

func TestATableOfOtherAttributesIsRefused(t *testing.T) {
	b := randomTable(t, newRandom(t)).AppendBinary(nil)
	for what, change := range map[string]func(map[string]robin.AttributeType){
		"one more":     func(m map[string]robin.AttributeType) { m["zzz"] = robin.Number },
		"one less":     func(m map[string]robin.AttributeType) { delete(m, "price") },
		"another type": func(m map[string]robin.AttributeType) { m["price"] = robin.Keyword },
	} {
		types := maps.Clone(shopTypes)
		change(types)
		if _, err := DecodeTable(types, b); err == nil {
			t.Errorf("%s: it is read", what)
		}
	}
}

func FuzzDecodeTable(f *testing.F) {
	f.Add(randomTable(f, newRandom(f)).AppendBinary(nil))
	f.Add(New(shopTypes).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := DecodeTable(shopTypes, b)
		if err != nil {
			return
		}
		table.Select(filter.Exists{Field: "brand"})
		table.Set(3, Values{"brand": {Words: []string{"x"}}})
		for n := range table.All().All() {
			table.Delete(n)
		}
	})
}
