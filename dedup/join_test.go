package dedup_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"robin"
	"robin/ann"
	"robin/dedup"
)

// flatSource is a Source whose answers are exact.
type flatSource struct {
	items []dedup.Item
	flat  *ann.Flat
}

func newFlatSource(t testing.TB, items []dedup.Item) *flatSource {
	t.Helper()
	s := &flatSource{items: items}
	for i, it := range items {
		if it.Vector == nil {
			continue
		}
		if s.flat == nil {
			flat, err := ann.NewFlat(ann.Options{Dim: len(it.Vector)})
			if err != nil {
				t.Fatal(err)
			}
			s.flat = flat
		}
		if err := s.flat.Add(uint64(i), it.Vector); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *flatSource) Len() int { return len(s.items) }

func (s *flatSource) Each(_ context.Context, yield func(int, dedup.Item) error) error {
	for i, it := range s.items {
		if err := yield(i, it); err != nil {
			return err
		}
	}
	return nil
}

func (s *flatSource) Nearest(vec []float32, k int) ([]dedup.Near, error) {
	found, err := s.flat.Search(vec, k, ann.SearchOptions{})
	if err != nil {
		return nil, err
	}
	near := make([]dedup.Near, len(found))
	for i, n := range found {
		near[i] = dedup.Near{I: int(n.ID), Cosine: 1 - float64(n.Distance)}
	}
	return near, nil
}

func (s *flatSource) Vector(i int) ([]float32, error) {
	v, ok := s.flat.Vector(uint64(i))
	if !ok {
		return nil, fmt.Errorf("no vector %d", i)
	}
	return v, nil
}

func find(t testing.TB, src dedup.Source, o dedup.Options) *dedup.Found {
	t.Helper()
	f, err := dedup.Find(t.Context(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// words are made of letters, so that no text has a number, a size or a model code that could speak against a pair.
func words(r *rand.Rand, n int) string {
	out := make([]string, n)
	for i := range out {
		b := make([]byte, 5+r.IntN(4))
		for j := range b {
			b[j] = "bcdfghjklmnpqrtvwz"[r.IntN(18)] // without vowels it is no word that means something
		}
		out[i] = string(b)
	}
	return strings.Join(out, " ")
}

// noisy are n unit vectors around center.
func noisy(r *rand.Rand, center []float32, spread float64, n int) [][]float32 {
	out := make([][]float32, n)
	for i := range out {
		v := make([]float32, len(center))
		for j := range v {
			v[j] = center[j] + float32(r.NormFloat64()*spread)
		}
		out[i] = v
	}
	return out
}

func randomVector(r *rand.Rand, dim int) []float32 {
	return noisy(r, make([]float32, dim), 1, 1)[0]
}

// randomItems are clusters of all sizes and widths, two of them with more members than a text keeps neighbours, some
// exact copies, and some documents without a vector or without a text.
func randomItems(r *rand.Rand) []dedup.Item {
	const dim = 12
	var vecs [][]float32
	for range 25 {
		vecs = append(vecs, noisy(r, randomVector(r, dim), 0.1+0.3*r.Float64(), 1+r.IntN(12))...)
	}
	vecs = append(vecs, noisy(r, randomVector(r, dim), 0.15, 270)...)
	vecs = append(vecs, noisy(r, randomVector(r, dim), 0.25, 285)...)
	r.Shuffle(len(vecs), func(i, j int) { vecs[i], vecs[j] = vecs[j], vecs[i] })
	var items []dedup.Item
	for i, v := range vecs {
		raw, _ := json.Marshal(map[string]any{"price": r.IntN(50), "added": fmt.Sprintf("2024-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28))})
		it := dedup.Item{ID: fmt.Sprintf("d%d", i), Text: words(r, 4), Vector: v, Raw: raw}
		items = append(items, it)
		switch r.IntN(20) {
		case 0: // a copy, in other case and with other signs
			it.ID, it.Text = it.ID+"-copy", strings.ToUpper(it.Text)+" !"
			items = append(items, it)
		case 1:
			items = append(items, dedup.Item{ID: it.ID + "-empty"})
		case 2:
			items = append(items, dedup.Item{ID: it.ID + "-unread", Text: words(r, 3)})
		}
	}
	return items
}

// naive is the definition of clusters, in as few words as it has: every kept document takes the free ones that are near
// enough to itself.
func naive(t *testing.T, s *flatSource, threshold float64) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	taken := map[string]bool{}
	copies := map[string][]string{}
	for _, it := range s.items {
		copies[dedup.Normalized(it.Text)] = append(copies[dedup.Normalized(it.Text)], it.ID)
	}
	for i, it := range s.items {
		if taken[it.ID] || it.Text == "" {
			continue
		}
		near := map[string]bool{}
		for _, id := range copies[dedup.Normalized(it.Text)] {
			near[id] = true
		}
		if v, err := s.Vector(i); err == nil {
			all, err := s.Nearest(v, len(s.items))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range all {
				near[s.items[n.I].ID] = near[s.items[n.I].ID] || float64(float32(n.Cosine)) >= threshold
			}
		}
		taken[it.ID] = true
		for _, other := range s.items {
			if near[other.ID] && !taken[other.ID] {
				taken[other.ID] = true
				out[it.ID] = append(out[it.ID], other.ID)
			}
		}
	}
	return out
}

// clustersOf are a report's clusters in the form of naive.
func clustersOf(s *flatSource, rep robin.DuplicateReport) map[string][]string {
	out := map[string][]string{}
	for _, c := range rep.Clusters {
		in := map[string]bool{}
		for _, m := range c.Members {
			in[m.ID] = true
		}
		for _, it := range s.items {
			if in[it.ID] {
				out[c.Kept] = append(out[c.Kept], it.ID)
			}
		}
	}
	return out
}

func TestACutEqualsAFreshFindAndTheDefinition(t *testing.T) {
	for _, seed := range []uint64{1, rand.Uint64()} {
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		src := newFlatSource(t, randomItems(r))
		found := find(t, src, dedup.Options{Floor: 0.6})
		if got := found.Cut(dedup.CutOptions{}).Saturated; got < 20 {
			t.Errorf("seed %d: %d texts have more neighbours than they keep; the test wants many", seed, got)
		}
		for _, threshold := range []float64{0.6, 0.7, 0.6 + 0.4*r.Float64(), 0.9, 0.97} {
			want := naive(t, src, threshold)
			cut := found.Cut(dedup.CutOptions{Threshold: threshold})
			if got := clustersOf(src, cut); !reflect.DeepEqual(got, want) {
				t.Errorf("seed %d, threshold %g: a cut has %d clusters, the definition %d, or they differ", seed, threshold, len(got), len(want))
			}
			fresh := find(t, src, dedup.Options{Floor: threshold, Rule: robin.DuplicateRule{Threshold: threshold}}).Cut(dedup.CutOptions{})
			if !reflect.DeepEqual(cut.Clusters, fresh.Clusters) {
				t.Errorf("seed %d, threshold %g: a cut and a fresh search give different clusters", seed, threshold)
			}
			if cut.Same != fresh.Same || cut.Exact != fresh.Exact || cut.Duplicates != fresh.Duplicates {
				t.Errorf("seed %d, threshold %g: cut %d same, %d exact, %d duplicates; fresh %d, %d, %d", seed, threshold,
					cut.Same, cut.Exact, cut.Duplicates, fresh.Same, fresh.Exact, fresh.Duplicates)
			}
			for _, c := range cut.Clusters {
				for _, m := range c.Members {
					if m.Cosine < threshold && float32(m.Cosine) < float32(threshold) {
						t.Errorf("seed %d, threshold %g: %s is in the cluster of %s with a cosine of %g", seed, threshold, m.ID, c.Kept, m.Cosine)
					}
				}
			}
		}
	}
}

func TestClustersDoNotChain(t *testing.T) {
	// On a circle, 20 degrees apart: cosine 0.94 to the next, 0.77 to the one after.
	at := func(c, s float32) []float32 { return []float32{c, s} }
	src := newFlatSource(t, []dedup.Item{
		{ID: "a", Text: "red", Vector: at(1, 0)},
		{ID: "b", Text: "green", Vector: at(0.9397, 0.3420)},
		{ID: "c", Text: "blue", Vector: at(0.7660, 0.6428)},
	})
	for i := range src.items {
		src.items[i].Text = words(rand.New(rand.NewPCG(uint64(i), 9)), 3)
	}
	got := clustersOf(src, find(t, src, dedup.Options{}).Cut(dedup.CutOptions{Threshold: 0.9}))
	if want := map[string][]string{"a": {"b"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("clusters %v, want %v: c is near to b, not to a", got, want)
	}
}

func TestTheFloorIsRaisedNotTheThresholdMissed(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	src := newFlatSource(t, randomItems(r))
	rule := robin.DuplicateRule{Threshold: 0.9}
	whole := find(t, src, dedup.Options{Floor: 0.6, Rule: rule}).Cut(dedup.CutOptions{})
	room := whole.Pairs
	for _, b := range whole.Histogram[:20] {
		room -= b.Pairs
	}
	few := find(t, src, dedup.Options{Floor: 0.6, Rule: rule, MaxPairs: room}).Cut(dedup.CutOptions{})
	if few.Floor < 0.79 || few.Floor > 0.81 || few.Pairs > room {
		t.Errorf("floor %g with %d pairs; want 0.8, from which there is room for %d of %d pairs", few.Floor, few.Pairs, room, whole.Pairs)
	}
	if !reflect.DeepEqual(few.Clusters, whole.Clusters) {
		t.Error("a raised floor changed the clusters above it")
	}
	none := find(t, src, dedup.Options{Floor: 0.6, Rule: rule, MaxPairs: 1}).Cut(dedup.CutOptions{})
	if none.Floor != 0.9 || !reflect.DeepEqual(none.Clusters, whole.Clusters) {
		t.Errorf("floor %g; want it to stop at the threshold, and the same clusters", none.Floor)
	}
}

func TestTheOutcomeDoesNotDependOnTheWorkers(t *testing.T) {
	src := newFlatSource(t, randomItems(rand.New(rand.NewPCG(6, 0))))
	one := find(t, src, dedup.Options{Workers: 1}).Cut(dedup.CutOptions{})
	for _, n := range []int{2, 7} {
		many := find(t, src, dedup.Options{Workers: n}).Cut(dedup.CutOptions{})
		many.Created, many.TookMS = one.Created, one.TookMS
		if !reflect.DeepEqual(one, many) {
			t.Errorf("%d workers give another report than one", n)
		}
	}
}

func TestAPairIsTheSameInACutAndToAPerson(t *testing.T) {
	found := find(t, newFlatSource(t, sized(randomItems(rand.New(rand.NewPCG(16, 0))))), dedup.Options{})
	for _, threshold := range []float64{0.8, 0.9, 0.96} {
		same, against := 0, 0
		if err := found.Pairs(dedup.CutOptions{Threshold: threshold}, func(p robin.DuplicatePair) error {
			if p.Same && p.Reason != "same text" {
				same++
			}
			if strings.HasSuffix(p.Reason, "ml differs") {
				against++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if rep := found.Cut(dedup.CutOptions{Threshold: threshold}); rep.Same != same || same == 0 || against == 0 {
			t.Errorf("at %g the report counts %d pairs and explains %d; a size speaks against %d", threshold, rep.Same, same, against)
		}
	}
}

func TestHistogramCountsEveryPairOnce(t *testing.T) {
	src := newFlatSource(t, randomItems(rand.New(rand.NewPCG(7, 0))))
	rep := find(t, src, dedup.Options{Floor: 0.805}).Cut(dedup.CutOptions{Threshold: 0.92})
	pairs, same := 0, 0
	for i, b := range rep.Histogram {
		pairs, same = pairs+b.Pairs, same+b.Same
		if i > 0 && b.From != rep.Histogram[i-1].To {
			t.Errorf("band %d begins at %g, the one before ends at %g", i, b.From, rep.Histogram[i-1].To)
		}
		if len(b.Samples) != min(5, b.Pairs) {
			t.Errorf("the band from %g has %d pairs and %d samples", b.From, b.Pairs, len(b.Samples))
		}
		for _, p := range b.Samples {
			if p.Cosine < b.From || p.Cosine >= b.To && b.To < 1 {
				t.Errorf("the band %g to %g holds a pair of cosine %g", b.From, b.To, p.Cosine)
			}
		}
	}
	if pairs != rep.Pairs || same != rep.Same || rep.Pairs == 0 {
		t.Errorf("bands hold %d pairs, %d same; the report says %d and %d", pairs, same, rep.Pairs, rep.Same)
	}
	if last := rep.Histogram[len(rep.Histogram)-1]; last.To != 1 {
		t.Errorf("the last band ends at %g", last.To)
	}
}

func TestFindStopsWhenItsContextEnds(t *testing.T) {
	src := newFlatSource(t, randomItems(rand.New(rand.NewPCG(8, 0))))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := dedup.Find(ctx, src, dedup.Options{}); err == nil {
		t.Error("a find whose context has ended must fail")
	}
}
