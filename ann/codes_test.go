package ann

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// flatSource has the vectors of an index for rescoring, and counts how many were asked for.
type flatSource struct {
	*Flat
	asked int
}

func (s *flatSource) Vectors(ids []uint64, rows [][]float32) error {
	s.asked += len(ids)
	for i, id := range ids {
		rows[i], _ = s.Flat.Vector(id)
	}
	return nil
}

func TestCodesAreHalfAStepFromTheirVectorAtMost(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 0))
	for _, dim := range []int{1, 3, 64, 100, 256} {
		for _, scale := range []float64{1, 1e-3, 1e15, 1e-38, 1e-42} {
			v, row, back := make([]float32, dim), make([]byte, codeWidth(dim)), make([]float32, dim)
			for i := range v {
				v[i] = float32(r.NormFloat64() * scale)
			}
			encodeVector(row, v)
			decodeVector(back, row)
			step, norm := codeEnd(row)
			squares := 0.0
			for i := range v {
				if d := math.Abs(float64(v[i]) - float64(back[i])); d > 0.5001*float64(step)+maxCode*math.SmallestNonzeroFloat32 {
					t.Fatalf("dimension %d near %g: %g came back as %g, with a step of %g", dim, scale, v[i], back[i], step)
				}
				squares += float64(back[i]) * float64(back[i])
			}
			if math.Abs(float64(norm)-squares) > 1e-5*squares+1e-40 {
				t.Fatalf("dimension %d near %g: squared length %g, want %g", dim, scale, norm, squares)
			}
		}
	}
}

func TestCodesFindWhatFloat32sFindForEveryMetricAndAfterChange(t *testing.T) {
	const n, dim = 2000, 40
	for _, m := range []Metric{Cosine, Dot, L2} {
		t.Run(m.String(), func(t *testing.T) {
			vecs, qs := clustered(7, n, 100, dim)
			g, f := newPair(t, Options{Dim: dim, Metric: m, Precision: Int8, EfConstruction: 100, EfSearch: 64})
			addAll(t, g, f, seqIDs(0, n), vecs)
			mustCheck(t, g, f)
			source := &flatSource{Flat: f}
			opt := SearchOptions{Rescore: source}
			wantRecall(t, "rescored", g, f, qs, opt, 0.98)
			t.Logf("%.1f vectors rescored", float64(source.asked)/float64(len(qs)))
			if per := source.asked / len(qs); per < 10 || per > 10+10/4+rescored {
				t.Errorf("%d vectors were rescored for the 10 nearest", per)
			}
			wantRecall(t, "codes alone", g, f, qs, SearchOptions{}, 0.75)
			for _, q := range qs { // distances are those of float32s
				got, err := g.Search(q, 5, opt)
				if err != nil {
					t.Fatal(err)
				}
				p, _ := m.prepare(q, dim)
				for _, x := range got {
					v, _ := f.Vector(x.ID)
					if want := m.distance(p, v); math.Abs(float64(x.Distance-want)) > 1e-5*max(1, math.Abs(float64(want))) {
						t.Fatalf("id %d is said to be at %v, and is at %v", x.ID, x.Distance, want)
					}
				}
			}

			perm := rand.New(rand.NewPCG(7, 7)).Perm(n)
			again, _ := clustered(7, 2*n, 0, dim)
			for _, i := range perm[:n/2] {
				g.Delete(uint64(i))
				f.Delete(uint64(i))
			}
			for _, i := range perm[:n/4] {
				addAll(t, g, f, []uint64{uint64(i)}, again[n+i:n+i+1])
			}
			mustCheck(t, g, f)
			wantRecall(t, "after change", g, f, qs, opt, 0.98)
			g = reopenFrom(t, g, f)
			mustCheck(t, g, f)
			wantRecall(t, "after restart", g, f, qs, opt, 0.98)
		})
	}
}

func TestVectorsWithOneCodeShareANodeAndKeepTheirOrder(t *testing.T) {
	const n, dim = 400, 16
	vecs, _ := clustered(5, n, 0, dim)
	g, f := newPair(t, Options{Dim: dim, Metric: L2, Precision: Int8})
	addAll(t, g, f, seqIDs(0, n), vecs)
	row := make([]byte, codeWidth(dim))
	encodeVector(row, vecs[0])
	decodeVector(vecs[0], row) // from here a little more has the same code
	addAll(t, g, f, seqIDs(0, 1), vecs[:1])
	small := 0
	for i, x := range vecs[0] {
		if math.Abs(float64(x)) < math.Abs(float64(vecs[0][small])) {
			small = i
		}
	}
	near := make([][]float32, 3)
	for i := range near {
		near[i] = slices.Clone(vecs[0])
		near[i][small] += 1e-4 * float32(i+1)
	}
	addAll(t, g, f, seqIDs(n, 3), near)
	mustCheck(t, g, f)
	if slot, _ := g.slotOf.get(g.ids, n+2); g.levels[slot] != twinSlot {
		t.Fatal("a vector with the code of another is a node of its own")
	}
	got, err := g.Search(vecs[0], 4, SearchOptions{Rescore: &flatSource{Flat: f}})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := f.Search(vecs[0], 4, SearchOptions{})
	for i := range want {
		if got[i].ID != want[i].ID {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	for id := range uint64(n) {
		g.Delete(id)
		f.Delete(id)
	}
	mustCheck(t, g, f)
	if got, _ := g.Search(vecs[0], 10, SearchOptions{Rescore: &flatSource{Flat: f}}); len(got) != 3 {
		t.Fatalf("the three twins are left, found %v", got)
	}
}

// gone has lost some vectors that the index still holds; broken cannot read.
type gone struct{ *flatSource }

func (s gone) Vectors(ids []uint64, rows [][]float32) error {
	err := s.flatSource.Vectors(ids, rows)
	for i, id := range ids {
		if id%2 == 0 {
			rows[i] = nil
		}
	}
	return err
}

// poisoned lends all from one piece of memory, and spoils what it lent before.
type poisoned struct {
	*flatSource
	dim  int
	last []float32
	asks int
}

func (s *poisoned) Vectors(ids []uint64, rows [][]float32) error {
	if err := s.flatSource.Vectors(ids, rows); err != nil {
		return err
	}
	s.asks++
	for i := range s.last {
		s.last[i] = float32(math.NaN())
	}
	s.last = slices.Grow(s.last[:0], len(ids)*s.dim)
	for i, row := range rows {
		at := len(s.last)
		s.last = append(s.last, row...)
		rows[i] = s.last[at:]
	}
	return nil
}

func TestLentVectorsAreReadNoLongerThanTheyAreLent(t *testing.T) {
	const n, dim = 2000, 40
	vecs, qs := clustered(9, n, 50, dim)
	g, f := newPair(t, Options{Dim: dim, Precision: Int8})
	addAll(t, g, f, seqIDs(0, n), vecs)
	for _, k := range []int{10, 100} {
		asks := 0
		for _, q := range qs {
			want, err := g.Search(q, k, SearchOptions{Rescore: &flatSource{Flat: f}})
			if err != nil {
				t.Fatal(err)
			}
			source := &poisoned{flatSource: &flatSource{Flat: f}, dim: dim}
			got, err := g.Search(q, k, SearchOptions{Rescore: source})
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%d nearest: got %v, %v, want %v", k, got, err, want)
			}
			asks = max(asks, source.asks)
		}
		if asks < 2 {
			t.Errorf("%d nearest: no search asked twice, so nothing was spoilt", k)
		}
	}
}

func TestRescoreTopLeavesTheOthersAsCodesHaveThem(t *testing.T) {
	const n, dim, k, top = 2000, 40, 100, 30
	vecs, qs := clustered(9, n, 20, dim)
	g, f := newPair(t, Options{Dim: dim, Precision: Int8})
	addAll(t, g, f, seqIDs(0, n), vecs)
	for _, q := range qs {
		coarse, err := g.Search(q, k, SearchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		source := &flatSource{Flat: f}
		got, err := g.Search(q, k, SearchOptions{Rescore: source, RescoreTop: top})
		if err != nil || len(got) != k || source.asked != top {
			t.Fatalf("found %d, %v, asked for %d vectors", len(got), err, source.asked)
		}
		byCode := map[Neighbor]bool{}
		for _, c := range coarse[top:] {
			byCode[c] = true
		}
		exact := 0
		for _, x := range got {
			if !byCode[x] {
				exact++
			}
		}
		if exact > top {
			t.Fatalf("%d distances are not those of codes, want %d", exact, top)
		}
	}
}

type broken struct{}

// short has vectors of too few numbers.
type short struct{}

func (short) Vectors(ids []uint64, rows [][]float32) error {
	for i := range ids {
		rows[i] = []float32{1}
	}
	return nil
}

var errBroken = errors.New("cannot read")

func (broken) Vectors([]uint64, [][]float32) error { return errBroken }

func TestRescoringLeavesOutWhatIsGoneAndPassesErrorsOn(t *testing.T) {
	const n, dim = 1000, 16
	vecs, qs := clustered(6, n, 5, dim)
	g, f := newPair(t, Options{Dim: dim, Precision: Int8})
	addAll(t, g, f, seqIDs(0, n), vecs)
	for _, q := range qs {
		got, err := g.Search(q, 10, SearchOptions{Rescore: gone{&flatSource{Flat: f}}})
		if err != nil || len(got) == 0 {
			t.Fatal(got, err)
		}
		for _, x := range got {
			if x.ID%2 == 0 {
				t.Fatalf("found %d, which is gone", x.ID)
			}
		}
		if _, err := g.Search(q, 10, SearchOptions{Rescore: broken{}}); !errors.Is(err, errBroken) {
			t.Fatalf("got error %v", err)
		}
		if _, err := g.Search(q, 10, SearchOptions{Rescore: short{}}); !errors.Is(err, ErrDimension) {
			t.Fatalf("got error %v", err)
		}
		bound := Distance(0.2)
		got, err = g.Search(q, n, SearchOptions{Rescore: &flatSource{Flat: f}, MaxDistance: &bound, Ef: n})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := f.Search(q, n, SearchOptions{MaxDistance: &bound})
		if len(got) != len(want) {
			t.Fatalf("%d within %v, want %d", len(got), bound, len(want))
		}
	}
}

func TestSlotTableIsAMap(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 52))
		var table slotTable
		var ids []uint64
		want := map[uint64]uint32{}
		if seed%2 == 0 {
			table.grow(ids, r.IntN(500))
		}
		for range 3000 {
			id := r.Uint64N(400) << (seed % 5 * 13)
			slot, ok := table.get(ids, id)
			if s, there := want[id]; there != ok || ok && s != slot {
				t.Fatalf("seed %d: id %d is at %d (%t), want %d (%t)", seed, id, slot, ok, s, there)
			}
			switch {
			case ok && r.IntN(2) == 0:
				table.remove(ids, id)
				delete(want, id)
			default: // a new slot, also for an id that has one
				ids = append(ids, id)
				table.put(ids, uint32(len(ids)-1))
				want[id] = uint32(len(ids) - 1)
			}
			if table.len() != len(want) {
				t.Fatalf("seed %d: %d ids, want %d", seed, table.len(), len(want))
			}
		}
	}
}

// reopenFrom reads a graph back whose owner has the vectors as they were given.
func reopenFrom(t testing.TB, g *Graph, f *Flat) *Graph {
	t.Helper()
	again, err := store(t, g).load(func(id uint64) ([]float32, error) {
		if v, ok := f.Vector(id); ok {
			return v, nil
		}
		return nil, ErrNoVector
	})
	if err != nil {
		t.Fatal(err)
	}
	return again
}
