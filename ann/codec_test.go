package ann

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// stored is what a keeper has of a graph.
type stored struct {
	base    [][]byte
	changes [][][]byte // oldest first
}

func (s *stored) size() (n int64) {
	for _, blocks := range append([][][]byte{s.base}, s.changes...) {
		for _, b := range blocks {
			n += int64(len(b))
		}
	}
	return n
}

// store writes the whole graph.
func store(t testing.TB, g *Graph) *stored {
	t.Helper()
	s := &stored{}
	if err := g.EncodeAll(s.put); err != nil {
		t.Fatal(err)
	}
	s.changes = append(s.changes, g.EncodeChanges())
	return s
}

func (s *stored) put(blocks [][]byte) error {
	s.base = append(s.base, blocks...)
	return nil
}

// load reads it back, with the blocks of each part in two goroutines. Without vector it takes what is stored, as is right
// with Int8.
func (s *stored) load(vector func(uint64) ([]float32, error)) (*Graph, error) {
	newest := s.changes[len(s.changes)-1]
	if len(newest) == 0 {
		return nil, fmt.Errorf("%w: no head", ErrCorrupt)
	}
	d, err := NewDecoder(newest[0], s.size())
	if err != nil {
		return nil, err
	}
	parts := [][][]byte{}
	for _, c := range slices.Backward(s.changes) {
		parts = append(parts, c[1:])
	}
	for _, part := range append(parts, s.base) {
		if err := halves(len(part), func(from, to int) error {
			for _, b := range part[from:to] {
				if err := d.Rows(b); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if vector != nil {
		err = halves(int(d.Slots()), func(from, to int) error {
			return d.SetVectorsFrom(uint32(from), uint32(to), unproved(vector), vector)
		})
	}
	if err != nil {
		return nil, err
	}
	return d.Graph()
}

// unproved gives the bytes of a third of the vectors, of others bytes that are damaged or too few, and of others none.
func unproved(vector func(uint64) ([]float32, error)) func(uint64) []byte {
	return func(id uint64) (b []byte) {
		v, err := vector(id)
		if err != nil {
			return nil
		}
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		switch id % 6 {
		case 1:
			b[len(b)/2] ^= 4
		case 2:
			b = b[:len(b)-1]
		case 3, 4:
			return nil
		}
		return b
	}
}

func halves(n int, do func(from, to int) error) error {
	var errs [2]error
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = do(n*i/2, n*(i+1)/2) })
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// encoded is a graph as bytes, to compare it with another.
func encoded(t testing.TB, g *Graph) []byte {
	t.Helper()
	s := store(t, g)
	return bytes.Join(append(s.base, s.changes[0]...), nil)
}

// vectorsOf is a store that holds what the graph holds; with Int8 there is nothing to ask for.
func vectorsOf(g *Graph) func(uint64) ([]float32, error) {
	if g.opt.Precision == Int8 {
		return nil
	}
	return func(id uint64) ([]float32, error) {
		if v, ok := g.Vector(id); ok {
			return v, nil
		}
		return nil, fmt.Errorf("id %d: %w", id, ErrNoVector)
	}
}

func reopen(t testing.TB, g *Graph) *Graph {
	t.Helper()
	again, err := store(t, g).load(vectorsOf(g))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// eachPrecision runs a test for vectors as they are kept either way.
func eachPrecision(t *testing.T, do func(t *testing.T, p Precision)) {
	for _, p := range []Precision{Float32, Int8} {
		t.Run(p.String(), func(t *testing.T) { do(t, p) })
	}
}

// smallGraph has nodes, twins, free slots and more than one layer.
func smallGraph(t testing.TB, n int) *Graph {
	t.Helper()
	vecs, _ := clustered(21, n, 0, 8)
	for i := range n / 10 {
		vecs[n/2+i] = vecs[i%5]
	}
	g, err := NewGraph(Options{Dim: 8, M: 4, EfConstruction: 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.AddBatch(seqIDs(0, n), vecs); err != nil {
		t.Fatal(err)
	}
	for id := 3; id < n; id += 7 {
		g.Delete(uint64(id))
	}
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestReopenedGraphGoesOnAsIfItHadNeverBeenClosed(t *testing.T) {
	eachPrecision(t, func(t *testing.T, p Precision) {
		const n, dim = 1200, 16
		vecs, qs := clustered(20, 2*n, 50, dim)
		for i := range 200 {
			vecs[n+i] = vecs[i/10]
		}
		g, f := newPair(t, Options{Dim: dim, Metric: Cosine, Precision: p, Seed: 3, EfConstruction: 60, EfSearch: 40})
		addAll(t, g, f, seqIDs(0, n), vecs[:n])
		for id := uint64(0); id < n; id += 4 {
			g.Delete(id)
			f.Delete(id)
		}
		again := reopen(t, g)
		mustCheck(t, again, f)
		if !bytes.Equal(encoded(t, g), encoded(t, again)) {
			t.Fatal("a reopened graph is written in other bytes")
		}
		for _, q := range qs {
			a, _ := g.Search(q, 10, SearchOptions{})
			b, _ := again.Search(q, 10, SearchOptions{})
			if !slices.Equal(a, b) {
				t.Fatalf("before: %v, after: %v", a, b)
			}
		}
		for _, x := range []*Graph{g, again} {
			if err := x.AddBatch(seqIDs(n, n), vecs[n:]); err != nil {
				t.Fatal(err)
			}
			for id := uint64(1); id < 2*n; id += 5 {
				x.Delete(id)
			}
			mustCheck(t, x, nil)
		}
		if !bytes.Equal(encoded(t, g), encoded(t, again)) {
			t.Fatal("after the same changes the two graphs differ")
		}
	})
}

func TestEmptyGraphReopens(t *testing.T) {
	g, _ := newPair(t, Options{Dim: 8, Metric: L2, M: 7})
	again := reopen(t, g)
	if again.Len() != 0 || again.Options() != g.Options() {
		t.Fatalf("got %d vectors, options %+v; want 0, %+v", again.Len(), again.Options(), g.Options())
	}
	if err := again.Add(1, make([]float32, 8)); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, again, nil)
}

func TestDecoderFollowsVectorsThatChangedSinceTheyWereStored(t *testing.T) {
	eachPrecision(t, func(t *testing.T, p Precision) {
		const n, dim = 1000, 16
		vecs, qs := clustered(22, 2*n, 60, dim)
		for i := range 100 { // nodes with twins, some of which will change
			vecs[i] = vecs[i%10]
		}
		g, f := newPair(t, Options{Dim: dim, Precision: p, EfConstruction: 60, EfSearch: 40})
		addAll(t, g, f, seqIDs(0, n), vecs[:n])
		was := store(t, g)
		for id := uint64(0); id < n; id++ {
			switch id % 9 {
			case 0:
				f.Delete(id)
			case 1:
				if err := f.Add(id, vecs[n+id]); err != nil {
					t.Fatal(err)
				}
			}
		}
		again, err := was.load(func(id uint64) ([]float32, error) {
			if v, ok := f.Vector(id); ok {
				return v, nil
			}
			return nil, ErrNoVector
		})
		if err != nil {
			t.Fatal(err)
		}
		mustCheck(t, again, f)
		for id := range f.IDs {
			a, _ := again.Vector(id)
			if b, _ := f.Vector(id); p == Float32 && !slices.Equal(a, b) || !nearly(a, b) {
				t.Fatalf("id %d holds %v, want %v", id, a, b)
			}
		}
		least := 0.98
		if p == Int8 {
			least = 0.9 // without a look at the float32s
		}
		wantRecall(t, "after catching up", again, f, qs, SearchOptions{}, least)
	})
}

// nearly says whether a code may stand for a vector of length 1.
func nearly(a, b []float32) bool {
	for i := range a {
		if d := a[i] - b[i]; d > 0.01 || d < -0.01 {
			return false
		}
	}
	return true
}

// TestChangesAreAllThatChanged stores a graph once and then only what changed, through random histories with twins and
// slots that are used again: what is read is the graph, after each of the changes.
func TestChangesAreAllThatChanged(t *testing.T) {
	eachPrecision(t, func(t *testing.T, p Precision) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		vecs, _ := clustered(31, 900, 0, 8)
		g, err := NewGraph(Options{Dim: 8, M: 4, EfConstruction: 20, Precision: p})
		if err != nil {
			t.Fatal(err)
		}
		s := store(t, g)
		for round := range 40 {
			for range 1 + r.IntN(40) {
				id := uint64(r.IntN(300))
				switch r.IntN(3) {
				case 0:
					g.Delete(id)
				default:
					if err := g.Add(id, vecs[r.IntN(len(vecs)/(1+2*r.IntN(2)*r.IntN(50)))]); err != nil { // often one of few: twins
						t.Fatal(err)
					}
				}
			}
			s.changes = append(s.changes, g.EncodeChanges())
			if n := g.Changed(); n != 0 {
				t.Errorf("%d slots count as changed after they were stored", n)
			}
			again, err := s.load(vectorsOf(g))
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			mustCheck(t, again, nil)
			if again.Changed() != 0 {
				t.Errorf("%d slots of a graph that was just read count as changed", again.Changed())
			}
			if !bytes.Equal(rowsOf(again), rowsOf(g)) {
				t.Fatalf("round %d: the base and %d changes are another graph", round, len(s.changes))
			}
		}
		if older, err := (&stored{s.base, s.changes[:20]}).load(vectorsOf(g)); err != nil {
			t.Error(err)
		} else {
			mustCheck(t, older, nil)
		}
	})
}

// rowsOf is a graph as bytes; what has changed goes on to count as changed.
func rowsOf(g *Graph) []byte {
	b := g.appendHead(nil)
	for slot := range g.ids {
		b = g.appendRow(b, uint32(slot), true)
	}
	return b
}

// TestABaseIsWrittenWhileTheGraphChanges makes changes between the pieces of a base: with the changes that are taken at the
// end, it is the graph as it is then.
func TestABaseIsWrittenWhileTheGraphChanges(t *testing.T) {
	defer func(n int) { blocksTogether = n }(blocksTogether)
	blocksTogether = 1
	g := smallGraph(t, 6000)
	vecs, _ := clustered(32, 3000, 0, 8)
	s, pieces := &stored{}, 0
	err := g.EncodeAll(func(blocks [][]byte) error {
		pieces++
		for i := range 500 {
			id := uint64(500*pieces + i)
			if i%3 == 0 {
				g.Delete(2 * id)
			} else if err := g.Add(10_000+id, vecs[i]); err != nil {
				return err
			}
		}
		return s.put(blocks)
	})
	if err != nil {
		t.Fatal(err)
	}
	if pieces < 2 {
		t.Fatalf("written in %d pieces", pieces)
	}
	s.changes = append(s.changes, g.EncodeChanges())
	again, err := s.load(vectorsOf(g))
	if err != nil {
		t.Fatal(err)
	}
	mustCheck(t, again, nil)
	if !bytes.Equal(rowsOf(again), rowsOf(g)) {
		t.Error("what was read is another graph")
	}
}

func TestAChangeIsStoredInLittle(t *testing.T) {
	g := smallGraph(t, 5000)
	whole := store(t, g).size()
	if err := g.Add(9000, make8(rand.New(rand.NewPCG(1, 1)))); err != nil {
		t.Fatal(err)
	}
	changed := g.Changed()
	size := (&stored{changes: [][][]byte{g.EncodeChanges()}}).size()
	if most := int64(200 * changed); changed > 2*(8+4) || size > most || size > whole/100 {
		t.Errorf("one insertion changes %d rows and is stored in %d bytes; all is %d", changed, size, whole)
	}
}

func TestABlockOfOtherChangesDoesNotPass(t *testing.T) {
	g := smallGraph(t, 600)
	vecs, _ := clustered(33, 200, 0, 8)
	s := store(t, g)
	if err := g.AddBatch(seqIDs(1000, 200), vecs); err != nil {
		t.Fatal(err)
	}
	s.changes = append(s.changes, g.EncodeChanges())
	for id := range uint64(200) {
		g.Delete(id)
	}
	s.changes = append(s.changes, g.EncodeChanges())
	f := func(what string, forget func(s *stored)) {
		t.Helper()
		x := &stored{slices.Clone(s.base), slices.Clone(s.changes)}
		forget(x)
		if _, err := x.load(vectorsOf(g)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want %v", what, err, ErrCorrupt)
		}
	}
	f("without the changes in the middle", func(x *stored) { x.changes = slices.Delete(x.changes, 1, 2) })
	f("without rows of the newest", func(x *stored) { x.changes[2] = x.changes[2][:1] })
	f("without the base", func(x *stored) { x.base = nil })
	f("with the head of older changes", func(x *stored) {
		x.changes[2] = append([][]byte{x.changes[1][0]}, x.changes[2][1:]...)
	})
}

func TestEveryTruncationIsDetected(t *testing.T) {
	g := smallGraph(t, 60)
	s := store(t, g)
	for n := range s.base[0] {
		if _, err := (&stored{[][]byte{s.base[0][:n]}, s.changes}).load(vectorsOf(g)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("base cut at %d of %d bytes: got %v, want %v", n, len(s.base[0]), err, ErrCorrupt)
		}
	}
	for n := range s.changes[0][0] {
		if _, err := (&stored{s.base, [][][]byte{{s.changes[0][0][:n]}}}).load(vectorsOf(g)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("head cut at %d of %d bytes: got %v, want %v", n, len(s.changes[0][0]), err, ErrCorrupt)
		}
	}
}

// Damage is seen by the keeper's checksums. What comes past them, because it was forged, gives an error or a graph that
// can be searched and changed.
func TestForgedBytesAreRefusedOrHarmless(t *testing.T) {
	g := smallGraph(t, 80)
	whole := store(t, g)
	r := rand.New(rand.NewPCG(23, 0))
	refused := 0
	for range 1500 {
		s := &stored{[][]byte{slices.Clone(whole.base[0])}, whole.changes}
		for range 1 + r.IntN(3) {
			s.base[0][r.IntN(len(s.base[0]))] = byte(r.IntN(256))
		}
		again, err := s.load(vectorsOf(g))
		if err != nil {
			refused++
			continue
		}
		if _, err := again.Search(make8(r), 3, SearchOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := again.Add(10_000, make8(r)); err != nil {
			t.Fatal(err)
		}
		for id := range again.IDs {
			again.Delete(id)
		}
	}
	if refused < 900 {
		t.Fatalf("only %d of 1,500 forgeries were refused", refused)
	}
}

func TestAHeadCannotMakeTheDecoderAllocate(t *testing.T) {
	g, err := NewGraph(Options{Dim: maxDim, M: maxM, EfConstruction: maxEf, EfSearch: maxEf})
	if err != nil {
		t.Fatal(err)
	}
	head := g.appendHead(nil)
	binary.LittleEndian.PutUint32(head[len(head)-16:], maxSlots)
	binary.LittleEndian.PutUint32(head[len(head)-12:], maxSlots)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = NewDecoder(head, int64(len(head)))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v, want %v", err, ErrCorrupt)
	}
	bytesUsed := after.TotalAlloc - before.TotalAlloc
	if bytesUsed > 1<<20 {
		t.Fatalf("a head of %d bytes made the decoder allocate %d", len(head), bytesUsed)
	}
}

func TestAnotherVersionIsNamed(t *testing.T) {
	head := smallGraph(t, 10).appendHead(nil)
	head[len(codecMagic)] = 1
	if _, err := NewDecoder(head, 1<<20); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v, want %v", err, ErrVersion)
	}
}

func TestErrorsOfKeeperAndStoreComeThrough(t *testing.T) {
	g := smallGraph(t, 100)
	broken := errors.New("broken")
	if err := g.EncodeAll(func([][]byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("EncodeAll: got %v, want %v", err, broken)
	}
	s := store(t, g)
	if _, err := s.load(func(uint64) ([]float32, error) { return nil, broken }); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("load: got %v, want %v", err, broken)
	}
	if _, err := s.load(func(uint64) ([]float32, error) { return []float32{1}, nil }); !errors.Is(err, ErrDimension) {
		t.Errorf("load: got %v, want %v", err, ErrDimension)
	}
}

func make8(r *rand.Rand) []float32 {
	v := make([]float32, 8)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

var update = flag.Bool("update", false, "write the golden file anew")

const goldenFile = "testdata/graph-v2.golden"

// goldenGraph is written in two steps: nodes on several layers, twins, free slots, and changes to all of them.
func goldenGraph(t testing.TB) (g *Graph, s *stored) {
	t.Helper()
	g = smallGraph(t, 120)
	s = store(t, g)
	vecs, _ := clustered(34, 30, 0, 8)
	if err := g.AddBatch(seqIDs(500, 30), vecs); err != nil {
		t.Fatal(err)
	}
	for id := uint64(1); id < 60; id += 4 {
		g.Delete(id)
	}
	s.changes = append(s.changes, g.EncodeChanges())
	return g, s
}

// TestGoldenFileOfVersion2 reads a graph as a program of this version wrote it. The file has for each of base, changes and
// changes a count of blocks and for each block its length, as uint32s, and the block; then, for each id in ascending order,
// the id as a uint64 and its vector.
func TestGoldenFileOfVersion2(t *testing.T) {
	if *update {
		g, s := goldenGraph(t)
		var b []byte
		for _, part := range append([][][]byte{s.base}, s.changes...) {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(part)))
			for _, block := range part {
				b = append(binary.LittleEndian.AppendUint32(b, uint32(len(block))), block...)
			}
		}
		for id := range g.IDs {
			v, _ := g.Vector(id)
			b = binary.LittleEndian.AppendUint64(b, id)
			b, _ = binary.Append(b, binary.LittleEndian, v)
		}
		if err := errors.Join(os.MkdirAll("testdata", 0o700), os.WriteFile(goldenFile, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	u32 := func() (v uint32) {
		v, b = binary.LittleEndian.Uint32(b), b[4:]
		return v
	}
	var parts [3][][]byte
	for i := range parts {
		for range u32() {
			n := u32()
			parts[i] = append(parts[i], b[:n])
			b = b[n:]
		}
	}
	f, err := NewFlat(Options{Dim: 8})
	if err != nil {
		t.Fatal(err)
	}
	for ; len(b) > 0; b = b[8+4*8:] {
		v := make([]float32, 8)
		binary.Decode(b[8:], binary.LittleEndian, v)
		if err := f.Add(binary.LittleEndian.Uint64(b), v); err != nil {
			t.Fatal(err)
		}
	}
	s := &stored{parts[0], [][][]byte{parts[1], parts[2]}}
	g, err := s.load(func(id uint64) ([]float32, error) {
		if v, ok := f.Vector(id); ok {
			return v, nil
		}
		return nil, ErrNoVector
	})
	if err != nil {
		t.Fatal(err)
	}
	mustCheck(t, g, f)
	if g.Changed() != 0 {
		t.Errorf("%d vectors were not those of the file", g.Changed())
	}
	if g.opt.M != 4 || g.top < 2 || g.free == 0 || g.Len() != 120 {
		t.Errorf("%d vectors, M %d, top layer %d, %d free slots", g.Len(), g.opt.M, g.top, g.free)
	}
	again := store(t, g)
	var rows []byte
	for slot := range g.ids { // written again, it has the same bytes
		rows = g.appendRow(rows, uint32(slot), true)
	}
	if !bytes.Equal(rows, bytes.Join(again.base, nil)) || !bytes.Equal(again.changes[0][0], parts[2][0]) {
		t.Error("the graph is written in other bytes than it was read from")
	}
}

func FuzzDecode(f *testing.F) {
	g := smallGraph(f, 40)
	s := store(f, g)
	f.Add(s.base[0], s.changes[0][0])
	f.Add(s.base[0][:100], s.changes[0][0])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, base, head []byte) {
		again, err := (&stored{[][]byte{base}, [][][]byte{{head}}}).load(vectorsOf(g))
		if err != nil {
			return
		}
		if again.Len() > 0 && again.Dim() == 8 {
			if _, err := again.Search([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 3, SearchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		twice, err := store(t, again).load(vectorsOf(again))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encoded(t, again), encoded(t, twice)) {
			t.Fatal("written and read again, the graph is another")
		}
	})
}
