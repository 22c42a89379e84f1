package attr

import (
	"encoding/json"
	"fmt"
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

// TestATableIsStoredWhileItChanges sets and deletes documents meanwhile: all others are stored as they are, and with those
// set and deleted again the stored table answers as the other does.
func TestATableIsStoredWhileItChanges(t *testing.T) {
	r := newRandom(t)
	const documents = 3*copiedTogether + 100
	types := map[string]robin.AttributeType{"brand": robin.Keyword, "price": robin.Number}
	value := func() Values {
		v := Values{"price": {Numbers: []float64{float64(r.IntN(50)), 1}[:1+r.IntN(2)]}}
		words := []string{fmt.Sprint("unique", r.Uint64())} // most spellings come and go with a document
		for range r.IntN(3) {
			words = append(words, fmt.Sprint("w", r.IntN(9)))
		}
		v["brand"] = Value{Words: words}
		return v
	}
	table := New(types)
	want := map[uint64]Values{}
	for n := uint64(1); n <= documents; n++ {
		want[n] = value()
		table.Set(n, want[n])
	}
	var stored []byte
	done := make(chan struct{})
	go func() {
		stored = table.AppendBinary(nil)
		close(done)
	}()
	changed := map[uint64]bool{}
	next := uint64(documents)
change:
	for {
		select {
		case <-done:
			break change
		default:
		}
		n := 1 + r.Uint64N(documents)
		switch r.IntN(3) {
		case 0:
			table.Delete(n)
			delete(want, n)
		case 1:
			next++
			n = next
			fallthrough
		default:
			want[n] = value()
			table.Set(n, want[n])
		}
		changed[n] = true
	}
	again, err := DecodeTable(types, stored)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d documents changed meanwhile", len(changed), documents)
	for n := range changed {
		if v, there := want[n]; there {
			again.Set(n, v)
		} else {
			again.Delete(n)
		}
	}
	if again.Len() != len(want) {
		t.Errorf("%d documents, want %d", again.Len(), len(want))
	}
	for n, v := range want {
		if got := again.values(n); !reflect.DeepEqual(got, v) {
			t.Fatalf("document %d has %v, want %v", n, got, v)
		}
	}
}

// values gives what a table has of a document.
func (t *Table) values(number uint64) Values {
	slot, _ := t.slots.get(number)
	v := Values{}
	for name, c := range t.words {
		if code := c.first[slot]; code > 0 {
			words := []string{c.spellings[code]}
			for _, code := range c.more[slot] {
				words = append(words, c.spellings[code])
			}
			v[name] = Value{Words: words}
		}
	}
	for name, c := range t.nums {
		var list []float64
		c.each(slot, func(x float64) { list = append(list, x) })
		if len(list) > 0 {
			v[name] = Value{Numbers: list}
		}
	}
	return v
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
