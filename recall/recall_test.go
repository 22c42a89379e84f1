package recall

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"robin/ann"
	"robin/matrix"
)

// data is n clustered vectors and some queries.
func data(t *testing.T, n, queries, dim int) *Data {
	t.Helper()
	m, q, err := matrix.NewClusters(dim, max(1, n/50), 0.6, 3).Matrix(n+queries).HoldOut(queries, 3)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewData("drawn", m, q)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExactSearchIsThatOfFlat(t *testing.T) {
	d := data(t, 1500, 70, 48) // no multiple of a block or a group
	flat, err := ann.NewFlat(ann.Options{Dim: 48})
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Vectors.Len() {
		if err := flat.Add(uint64(i), d.Vectors.Row(i)); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(4, 0))
	filters := []*subset{nil}
	for _, share := range []float64{0.3, 0.01, 0.003} { // the last allow fewer than K
		s := newSubset(d.Vectors.Len())
		for range int(share * float64(d.Vectors.Len())) {
			s.add(r.IntN(d.Vectors.Len()))
		}
		filters = append(filters, s)
	}
	truths, err := exact(context.Background(), d.Vectors, d.Queries, filters, Options{Threads: 3}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	for f, allow := range filters {
		for i := range d.Queries.Len() {
			var opt ann.SearchOptions
			if allow != nil {
				opt.Allow = allow
			}
			want, err := flat.Search(d.Queries.Row(i), K, opt)
			if err != nil {
				t.Fatal(err)
			}
			ids := make([]uint64, len(want))
			for j, w := range want {
				ids[j] = w.ID
			}
			got := truths[f]
			if got.found[i] != len(want) || math.Abs(float64(got.least[i])-(1-float64(want[len(want)-1].Distance))) > tie {
				t.Fatalf("filter %d, query %d: %d found down to %v; Flat finds %v", f, i, got.found[i], got.least[i], want)
			}
			if hits := got.hits(d, i, ids, allow); hits != len(want) {
				t.Fatalf("filter %d, query %d: %d of Flat's %d count", f, i, hits, len(want))
			}
			if hits := got.hits(d, i, []uint64{ids[0], ids[0], 1 << 40}, allow); hits != 1 {
				t.Errorf("an id that comes twice and one that is none count as %d", hits)
			}
		}
	}
	far := []uint64{0}
	if hits := truths[0].hits(d, 0, far, filters[3]); hits != 0 && !filters[3].Contains(0) {
		t.Error("an id counts that the filter does not allow")
	}
}

func TestSubsetYieldsWhatWasAdded(t *testing.T) {
	s := newSubset(200)
	for _, id := range []int{199, 0, 64, 63, 64} {
		s.add(id)
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, []uint64{0, 63, 64, 199}) || s.Len() != 4 || s.Contains(1) {
		t.Errorf("%v, %d", got, s.Len())
	}
	for id := range s.All() {
		if id == 63 {
			break
		}
	}
	many := newSubset(2000)
	for id := range 1000 {
		many.add(2 * id)
	}
	var got []uint64
	for batch := range many.Batches() {
		got = append(got, batch...)
	}
	if !slices.Equal(got, slices.Collect(many.All())) {
		t.Errorf("%d in batches", len(got))
	}
	for range many.Batches() {
		break
	}
}

func TestSpeedAtARecallLiesBetweenItsNeighbours(t *testing.T) {
	f := func(recall, want float64, least, ok bool, points ...Point) {
		t.Helper()
		got, gotOK := Cross(points, recall)
		if gotOK != ok || got.Least != least || math.Abs(got.QPS-want) > 1e-6*want {
			t.Errorf("%+v at %v: %+v, %t; want %v, %t, %t", points, recall, got, gotOK, want, least, ok)
		}
	}
	a, b, c := Point{Ef: 10, Recall: 0.90, QPS: 1000}, Point{Ef: 20, Recall: 0.94, QPS: 500}, Point{Ef: 40, Recall: 0.98, QPS: 125}
	f(0.96, 250, false, true, a, b, c) // half way: the geometric mean of 500 and 125
	f(0.96, 250, false, true, c, a, b) // in any order
	f(0.98, 125, false, true, a, b, c)
	f(0.90, 1000, false, true, a, b, c)
	f(0.80, 1000, true, true, a, b, c) // more recall than was asked for
	f(0.99, 0, false, false, a, b, c)
	// A point that fell back is no neighbour: from 0.94 at 500, not from 0.93 at 400.
	f(0.96, 250, false, true, a, b, Point{Ef: 30, Recall: 0.93, QPS: 400}, c)
	f(0.9, 0, false, false)
}

func TestAGraphIsMeasuredInAllParts(t *testing.T) {
	d := data(t, 1200, 60, 32)
	told := map[string]bool{}
	r, err := Measure(context.Background(), d, Options{Ef: []int{10, 40, 20}, Rounds: 2, Threads: 1, M: 8, Precisions: []string{Float32, Int8}, Progress: func(what string, done, total int) {
		if done > total {
			t.Errorf("%s: %d of %d", what, done, total)
		}
		told[what] = true
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Indexes) != 2 || r.N != 1200 || r.Queries != 60 || r.Dim != 32 || r.M != 8 || r.Machine.Cores < 1 || len(told) < 5 {
		t.Fatalf("%+v, told of %v", r, told)
	}
	for _, x := range r.Indexes {
		checkAllParts(t, x)
	}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1200 of 32 numbers", "robin float32", "robin int8", "recall@10", "clusters", "the same answers", "clean"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

// checkAllParts holds what was found of 1,200 vectors to what must be so.
func checkAllParts(t *testing.T, x *Index) {
	t.Helper()
	if x.Build == nil || x.Build.VectorsPS <= 0 || x.Build.Allocated < 32 || x.Build.Allocated > 2000 {
		t.Errorf("build: %+v", x.Build)
	}
	if len(x.Search) != 3 || x.Search[0].Ef != 10 || x.Search[2].Recall < x.Search[0].Recall || x.Search[2].Recall < 0.97 {
		t.Errorf("search: %+v", x.Search)
	}
	for _, p := range x.Search {
		if p.QPS <= 0 || p.P50MS <= 0 || p.P99MS < p.P50MS || p.Compared < K || p.Compared > 1200 {
			t.Errorf("search: %+v", p)
		}
	}
	if len(x.Filter) != 2*len(percents)-1 {
		t.Errorf("%d filters", len(x.Filter))
	}
	for _, f := range x.Filter {
		if want := max(1, int(1200*f.Percent/100)); f.Allowed != want || f.Recall < 0.97 || f.Recall > 1 || f.P95MS < f.P50MS {
			t.Errorf("filter: %+v, want %d allowed", f, want)
		}
	}
	if s := x.Restart; s == nil || !s.SameAnswers || s.Bytes < 1200 || s.ChangeBytes < 1000 || s.Recall < 0.97 {
		t.Errorf("restart: %+v", s)
	}
	if len(x.Churn) != 1+churnRounds {
		t.Fatalf("churn: %+v", x.Churn)
	}
	for i, c := range x.Churn {
		if c.Round != i || c.Check != "clean" || c.Recall < 0.97 || c.Found < 0.99 {
			t.Errorf("churn: %+v", c)
		}
	}
}

func TestOnlyThePartsAskedForAreMeasured(t *testing.T) {
	d := data(t, 300, 20, 16)
	r, err := Measure(context.Background(), d, Options{Parts: []string{"build"}})
	if err != nil {
		t.Fatal(err)
	}
	if x := r.Indexes[0]; x.Build == nil || x.Search != nil || x.Filter != nil || x.Restart != nil || x.Churn != nil {
		t.Errorf("%+v", x)
	}
	for _, o := range []Options{{Parts: []string{"speed"}}, {Precisions: []string{"int3"}}, {Clock: "sun"}} {
		if _, err := Measure(context.Background(), d, o); err == nil {
			t.Errorf("%+v was measured", o)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Measure(ctx, d, Options{}); err != context.Canceled {
		t.Errorf("after an interrupt: %v", err)
	}
}

func TestPlotIsWellFormedAndShowsEveryPoint(t *testing.T) {
	r := &Report{Vectors: "a < b & c", N: 1234567, Dim: 8, Indexes: []*Index{
		{Name: "one", Search: []Point{{Ef: 10, Recall: 0.7, QPS: 9000}, {Ef: 20, Recall: 0.9, QPS: 3000}, {Ef: 30, Recall: 0.89, QPS: 2000}, {Ef: 40, Recall: 1, QPS: 100}}},
		{Name: "<two>", Search: []Point{{Ef: 10, Recall: 0.97, QPS: 1500}}},
	}}
	var out bytes.Buffer
	if err := r.Plot(&out); err != nil {
		t.Fatal(err)
	}
	circles, texts := 0, ""
	dec := xml.NewDecoder(&out)
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			if x.Name.Local != "circle" {
				continue
			}
			circles++
			var at struct {
				X float64 `xml:"cx,attr"`
				Y float64 `xml:"cy,attr"`
			}
			if err := dec.DecodeElement(&at, &x); err != nil {
				t.Fatal(err)
			}
			if at.X < plotLeft-0.1 || at.X > plotWidth-plotRight+0.1 || at.Y < plotTop || at.Y > plotHeight-plotBottom {
				t.Errorf("a point at %v lies outside", at)
			}
		case xml.CharData:
			texts += string(x)
		}
	}
	if circles != 5 {
		t.Errorf("%d points, want 5", circles)
	}
	for _, want := range []string{"1,234,567", "a < b & c", "<two>", "recall@10", "0.70", "1.00", "5,000"} {
		if !strings.Contains(texts, want) {
			t.Errorf("the plot lacks %q", want)
		}
	}
	if err := (&Report{Indexes: []*Index{{}}}).Plot(io.Discard); err == nil {
		t.Error("plotted what was not measured")
	}
}

func TestTheLineOfAPlotLeavesOutWhatAnotherPointBeats(t *testing.T) {
	got := best([]Point{{Recall: 0.9, QPS: 500}, {Recall: 0.8, QPS: 400}, {Recall: 0.95, QPS: 100}, {Recall: 0.9, QPS: 300}, {Recall: 0.5, QPS: 900}})
	if want := []Point{{Recall: 0.5, QPS: 900}, {Recall: 0.9, QPS: 500}, {Recall: 0.95, QPS: 100}}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestTurnsAreTakenAsTheyAreAskedFor(t *testing.T) {
	d := data(t, 400, 30, 16)
	var out bytes.Buffer
	if err := Turns(context.Background(), strings.NewReader("build\nsearch 20\nsearch 40\n"), &out, d, NewEngine(d, "float32", Options{})); err != nil {
		t.Fatal(err)
	}
	truths, err := exact(context.Background(), d.Vectors, d.Queries, []*subset{nil}, Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	var turns []Turn
	for dec := json.NewDecoder(&out); dec.More(); {
		var turn Turn
		if err := dec.Decode(&turn); err != nil {
			t.Fatal(err)
		}
		turns = append(turns, turn)
	}
	if len(turns) != 3 || turns[0].Build == nil || turns[0].Build.Seconds <= 0 {
		t.Fatalf("%+v", turns)
	}
	for _, turn := range turns[1:] {
		hits, ids := 0, turn.IDs
		for i, n := range turn.Found {
			hits += truths[0].hits(d, i, ids[:n], nil)
			ids = ids[n:]
		}
		if len(turn.Found) != 30 || len(ids) != 0 || turn.Seconds <= 0 || hits < 290 {
			t.Errorf("%d of 300 found in %v s", hits, turn.Seconds)
		}
	}
	for _, bad := range []string{"search 10\n", "build\nfly 3\n"} {
		if err := Turns(context.Background(), strings.NewReader(bad), io.Discard, d, NewEngine(d, "float32", Options{})); err == nil {
			t.Errorf("%q was done", bad)
		}
	}
}

func TestVectorsThatCannotBeComparedAreRefused(t *testing.T) {
	one, zero := matrix.New(1, 2), matrix.New(1, 2)
	one.Data[0] = 1
	if _, err := NewData("", one, zero); err == nil || !strings.Contains(err.Error(), "queries: row 0") {
		t.Errorf("a zero query: %v", err)
	}
	if _, err := NewData("", one, matrix.New(1, 3)); err == nil || !strings.Contains(err.Error(), "2 numbers, the queries 3") {
		t.Errorf("another length: %v", err)
	}
}
