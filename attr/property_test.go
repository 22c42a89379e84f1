package attr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"robin"
	"robin/filter"
)

// random makes documents and filters over a small world, so that values meet often.
type random struct{ *rand.Rand }

func newRandom(t testing.TB) random {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return random{rand.New(rand.NewPCG(seed, 0))}
}

func (r random) value(typ robin.AttributeType) any {
	switch typ {
	case robin.Number:
		return r.IntN(9) - 2
	case robin.Bool:
		return r.IntN(2) == 0
	case robin.Date:
		if r.IntN(2) == 0 {
			return fmt.Sprintf("2024-05-%02d", 1+r.IntN(4))
		}
		return fmt.Sprintf("2024-05-%02dT%02d:00:00Z", 1+r.IntN(4), r.IntN(24))
	}
	return []string{"red", "Red", "blue", "STRASSE", "straße", "b co"}[r.IntN(6)]
}

func (r random) document() map[string]any {
	doc := map[string]any{}
	for name, typ := range shopTypes {
		var v any
		switch r.IntN(5) {
		case 0:
			continue
		case 1:
			v = nil
		case 2:
			list := []any{}
			for range r.IntN(4) {
				list = append(list, r.value(typ))
			}
			v = list
		default:
			v = r.value(typ)
		}
		if name == "specs.weight" {
			doc["specs"] = map[string]any{"weight": v}
		} else {
			doc[name] = v
		}
	}
	return doc
}

func (r random) filter(depth int) filter.Node {
	if depth > 0 {
		switch r.IntN(4) {
		case 0:
			return filter.And{r.filter(depth - 1), r.filter(depth - 1)}
		case 1:
			return filter.Or{r.filter(depth - 1), r.filter(depth - 1), r.filter(depth - 1)}
		case 2:
			return filter.Not{Node: r.filter(depth - 1)}
		}
	}
	names := []string{"brand", "price", "in_stock", "added", "specs.weight", "tags"}
	name := names[r.IntN(len(names))]
	typ := shopTypes[name]
	switch r.IntN(5) {
	case 0:
		return filter.Exists{Field: name}
	case 1:
		in := filter.In{Field: name}
		for range 1 + r.IntN(3) {
			in.Values = append(in.Values, fmt.Sprint(r.value(typ)))
		}
		return in
	}
	ops := []filter.Op{filter.Equal, filter.NotEqual, filter.Less, filter.LessOrEqual, filter.Greater, filter.GreaterOrEqual}
	if typ == robin.Keyword || typ == robin.Bool {
		ops = ops[:2]
	}
	return filter.Compare{Field: name, Op: ops[r.IntN(len(ops))], Value: fmt.Sprint(r.value(typ))}
}

// naive evaluates a filter on one document as its JSON stands, with none of the table's code.
func naive(doc map[string]any, n filter.Node) bool {
	switch n := n.(type) {
	case nil:
		return true
	case filter.And:
		for _, c := range n {
			if !naive(doc, c) {
				return false
			}
		}
		return true
	case filter.Or:
		for _, c := range n {
			if naive(doc, c) {
				return true
			}
		}
		return false
	case filter.Not:
		return !naive(doc, n.Node)
	case filter.Exists:
		return len(naiveValues(doc, n.Field)) > 0
	case filter.In:
		for _, v := range n.Values {
			if naive(doc, filter.Compare{Field: n.Field, Op: filter.Equal, Value: v}) {
				return true
			}
		}
		return false
	case filter.Compare:
		if n.Op == filter.NotEqual {
			return !naive(doc, filter.Compare{Field: n.Field, Op: filter.Equal, Value: n.Value})
		}
		for _, v := range naiveValues(doc, n.Field) {
			if naiveTest(v, n.Op, n.Value) {
				return true
			}
		}
		return false
	}
	panic("unknown node")
}

func naiveValues(doc map[string]any, name string) []any {
	v := doc[name]
	if name == "specs.weight" {
		if specs, ok := doc["specs"].(map[string]any); ok {
			v = specs["weight"]
		}
	}
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func naiveTest(v any, op filter.Op, want string) bool {
	var below, above bool // v lies below or above all that want stands for
	switch v := v.(type) {
	case bool:
		return fmt.Sprint(v) == want
	case int:
		w, _ := strconv.Atoi(want)
		below, above = v < w, v > w
	case string:
		if !strings.HasPrefix(v, "2024-") {
			plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "ß", "ss") }
			return plain(v) == plain(want)
		}
		instant := func(s string) string { // sortable text, to the hour
			if len(s) == len("2024-05-01") {
				return s + "T00"
			}
			return s[:len("2024-05-01T00")]
		}
		if len(want) == len("2024-05-01") {
			below, above = v[:10] < want, v[:10] > want
		} else {
			below, above = instant(v) < instant(want), instant(v) > instant(want)
		}
	}
	switch op {
	case filter.Equal:
		return !below && !above
	case filter.Less:
		return below
	case filter.LessOrEqual:
		return !above
	case filter.Greater:
		return above
	default:
		return !below
	}
}

func TestSelectEqualsANaiveEvaluationOfTheDocuments(t *testing.T) {
	r := newRandom(t)
	table := New(shopTypes)
	docs := map[uint64]map[string]any{}
	next := uint64(0)
	for round := range 200 {
		for range 10 {
			number := next
			if round > 5 && r.IntN(2) == 0 {
				number = uint64(r.IntN(int(next)))
				if r.IntN(2) == 0 {
					table.Delete(number)
					delete(docs, number)
					continue
				}
				if docs[number] == nil {
					continue // numbers are never used again
				}
			} else {
				next++
			}
			doc := r.document()
			raw, _ := json.Marshal(doc)
			v, err := Extract(shopTypes, raw)
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			table.Set(number, v)
			docs[number] = doc
		}
		for range 20 {
			n := r.filter(3)
			got, err := table.Select(n)
			if err != nil {
				t.Fatalf("%s: %v", n, err)
			}
			wanted := 0
			for number, doc := range docs {
				want := naive(doc, n)
				if want {
					wanted++
				}
				if got.Contains(number) != want {
					raw, _ := json.Marshal(doc)
					t.Fatalf("%s on %s: %v, want %v", n, raw, !want, want)
				}
			}
			if got.Len() != wanted {
				t.Fatalf("%s selects %d documents, of which %d exist", n, got.Len(), wanted)
			}
			complement, _ := table.Select(filter.Not{Node: n})
			if complement.Len()+got.Len() != len(docs) || got.Union(complement).Len() != len(docs) {
				t.Fatalf("NOT (%s) is not the complement", n)
			}
		}
	}
}

func TestFacetsEqualANaiveCount(t *testing.T) {
	r := newRandom(t)
	table := New(shopTypes)
	var docs []map[string]any
	for i := range 500 {
		doc := r.document()
		raw, _ := json.Marshal(doc)
		v, err := Extract(shopTypes, raw)
		if err != nil {
			t.Fatal(err)
		}
		table.Set(uint64(i), v)
		docs = append(docs, doc)
	}
	for range 50 {
		n := r.filter(2)
		set, err := table.Select(n)
		if err != nil {
			t.Fatal(err)
		}
		facets, err := table.Facets(set, []robin.FacetRequest{{Field: "tags", Limit: 100}, {Field: "in_stock"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tags", "in_stock"} {
			for _, v := range facets[name].Values {
				want := 0
				for number := range set.All() {
					if naive(docs[number], filter.Compare{Field: name, Op: filter.Equal, Value: fmt.Sprint(v.Value)}) {
						want++
					}
				}
				if v.Count != want {
					t.Fatalf("%s: facet %s counts %v %d times, want %d", n, name, v.Value, v.Count, want)
				}
			}
		}
	}
}

func TestValuesSurviveTheirEncoding(t *testing.T) {
	r := newRandom(t)
	for range 500 {
		raw, _ := json.Marshal(r.document())
		v, err := Extract(shopTypes, raw)
		if err != nil {
			t.Fatal(err)
		}
		b := v.AppendBinary([]byte("before"))
		got, err := DecodeValues(b[len("before"):])
		if err != nil || len(got)+len(v) > 0 && !reflect.DeepEqual(got, v) {
			t.Fatalf("%s: %v became %v, %v", raw, v, got, err)
		}
	}
}

// FuzzDecodeValues holds that no bytes make the decoder panic, and that what it accepts it writes back unchanged.
func FuzzDecodeValues(f *testing.F) {
	f.Add(Values{"brand": {Words: []string{"a", "b"}}, "price": {Numbers: []float64{1.5}}}.AppendBinary(nil))
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeValues(b)
		if err != nil {
			return
		}
		again, err := DecodeValues(v.AppendBinary(nil))
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%x: %v became %v, %v", b, v, again, err)
		}
		if out := v.AppendBinary(nil); len(out) <= len(b) && len(out) == len(b) && !bytes.Equal(out, b) {
			t.Fatalf("%x is written back as %x", b, out)
		}
	})
}

func TestReadersAndWritersMayMeet(t *testing.T) {
	r := newRandom(t)
	table := New(shopTypes)
	var values []Values
	for range 64 {
		raw, _ := json.Marshal(r.document())
		v, err := Extract(shopTypes, raw)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	n := r.filter(3)
	keys := []SortKey{{Field: "brand"}, {Field: "price", Desc: true}}
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 2000 {
				table.Set(uint64(i*2+w), values[(i+w)%len(values)])
				if i >= 50 {
					table.Delete(uint64((i-50)*2 + w))
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				set, err := table.Select(n)
				if err != nil {
					t.Error(err)
					return
				}
				numbers := slices.Collect(set.All())
				if len(table.Order(numbers, keys, nil)) != len(numbers) {
					t.Error("the order has another length")
				}
				if _, err := table.Facets(set, []robin.FacetRequest{{Field: "brand"}, {Field: "price"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if table.Len() != 2*50 {
		t.Errorf("%d documents left, want 100", table.Len())
	}
}
