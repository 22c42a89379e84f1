package ann

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

func encoded(t testing.TB, g *Graph) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// vectorsOf is a store that holds what the graph holds.
func vectorsOf(g *Graph) func(uint64) ([]float32, error) {
	return func(id uint64) ([]float32, error) {
		if v, ok := g.Vector(id); ok {
			return v, nil
		}
		return nil, fmt.Errorf("id %d: %w", id, ErrNoVector)
	}
}

func reopen(t testing.TB, g *Graph) *Graph {
	t.Helper()
	again, err := Decode(bytes.NewReader(encoded(t, g)), vectorsOf(g))
	if err != nil {
		t.Fatal(err)
	}
	return again
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
	const n, dim = 1200, 16
	vecs, qs := clustered(20, 2*n, 50, dim)
	for i := range 200 {
		vecs[n+i] = vecs[i/10]
	}
	g, f := newPair(t, Options{Dim: dim, Metric: Cosine, Seed: 3, EfConstruction: 60, EfSearch: 40})
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

func TestDecodeFollowsVectorsThatChangedSinceEncode(t *testing.T) {
	const n, dim = 1000, 16
	vecs, qs := clustered(22, 2*n, 60, dim)
	for i := range 100 { // nodes with twins, some of which will change
		vecs[i] = vecs[i%10]
	}
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60, EfSearch: 40})
	addAll(t, g, f, seqIDs(0, n), vecs[:n])
	stored := encoded(t, g)
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
	again, err := Decode(bytes.NewReader(stored), func(id uint64) ([]float32, error) {
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
		if b, _ := f.Vector(id); !slices.Equal(a, b) {
			t.Fatalf("id %d holds %v, want %v", id, a, b)
		}
	}
	wantRecall(t, "after catching up", again, f, qs, SearchOptions{}, 0.98)
}

func TestDecodeReadsNothingBeyondTheEnd(t *testing.T) {
	g := smallGraph(t, 300)
	r := bytes.NewReader(append(encoded(t, g), "next"...))
	if _, err := Decode(r, vectorsOf(g)); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "next" {
		t.Fatalf("%q is left, want %q", rest, "next")
	}
}

func TestEveryBitFlipIsDetected(t *testing.T) {
	g := smallGraph(t, 60)
	whole := encoded(t, g)
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if _, err := Decode(bytes.NewReader(b), vectorsOf(g)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("byte %d, bit %d flipped: got %v, want %v", i, bit, err, ErrCorrupt)
			}
		}
	}
}

func TestEveryTruncationIsDetected(t *testing.T) {
	g := smallGraph(t, 60)
	whole := encoded(t, g)
	for n := range whole {
		if _, err := Decode(bytes.NewReader(whole[:n]), vectorsOf(g)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d of %d bytes: got %v, want %v", n, len(whole), err, ErrCorrupt)
		}
	}
}

func TestSwappedBlocksAreDetected(t *testing.T) {
	g := smallGraph(t, 3000)
	whole := encoded(t, g)
	const head, block = 12, 8 + maxPayload
	first := 8 + int(binary.LittleEndian.Uint32(whole[head:])) // blocks end where a field does, a few bytes short of 64 KiB
	second := 8 + int(binary.LittleEndian.Uint32(whole[head+first:]))
	if first+second > 2*block || first < block-8 {
		t.Fatalf("blocks of %d and %d bytes", first, second)
	}
	b := slices.Concat(whole[:head], whole[head+first:head+first+second], whole[head:head+first], whole[head+first+second:])
	if _, err := Decode(bytes.NewReader(b), vectorsOf(g)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v, want %v", err, ErrCorrupt)
	}
}

// Damage under a right checksum can come only from whoever forged it; it must still give an error or a sound graph.
func TestForgedBodiesAreRefusedOrSound(t *testing.T) {
	g := smallGraph(t, 80)
	body := bodyOf(t, encoded(t, g))
	r := rand.New(rand.NewPCG(23, 0))
	refused := 0
	for range 1500 {
		b := bytes.Clone(body)
		for range 1 + r.IntN(3) {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		again, err := Decode(bytes.NewReader(sealed(b)), vectorsOf(g))
		if err != nil {
			refused++
			continue
		}
		mustCheck(t, again, nil)
		if _, err := again.Search(make8(r), 3, SearchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if refused < 900 {
		t.Fatalf("only %d of 1,500 forgeries were refused", refused)
	}
}

func TestAHeaderCannotMakeDecodeAllocate(t *testing.T) {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, maxDim)
	b = append(b, 0)
	for _, x := range []uint32{maxM, maxEf, maxEf, 0, 0, maxSlots, maxSlots, noSlot} {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	b = sealed(b)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Decode(bytes.NewReader(b), nil)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v, want %v", err, ErrCorrupt)
	}
	bytesUsed := after.TotalAlloc - before.TotalAlloc
	if bytesUsed > 1<<20 {
		t.Fatalf("a header of %d bytes made Decode allocate %d", len(b), bytesUsed)
	}
}

func TestErrorsOfReaderWriterAndStoreComeThrough(t *testing.T) {
	g := smallGraph(t, 100)
	broken := errors.New("broken")
	if err := g.Encode(failingWriter{broken}); !errors.Is(err, broken) {
		t.Errorf("Encode: got %v, want %v", err, broken)
	}
	whole := encoded(t, g)
	if _, err := Decode(io.MultiReader(bytes.NewReader(whole[:50]), failingReader{broken}), vectorsOf(g)); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("Decode: got %v, want %v", err, broken)
	}
	if _, err := Decode(bytes.NewReader(whole), func(uint64) ([]float32, error) { return nil, broken }); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("Decode: got %v, want %v", err, broken)
	}
	if _, err := Decode(bytes.NewReader(whole), func(uint64) ([]float32, error) { return []float32{1}, nil }); !errors.Is(err, ErrDimension) {
		t.Errorf("Decode: got %v, want %v", err, ErrDimension)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func make8(r *rand.Rand) []float32 {
	v := make([]float32, 8)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// bodyOf joins the payloads of a stream; sealed makes a stream of a body.
func bodyOf(t testing.TB, stream []byte) []byte {
	t.Helper()
	var body []byte
	for b := stream[12:]; ; {
		n := binary.LittleEndian.Uint32(b)
		if n == 0 {
			return body
		}
		body = append(body, b[8:8+n]...)
		b = b[8+n:]
	}
}

func sealed(body []byte) []byte {
	var out bytes.Buffer
	out.Write(binary.LittleEndian.AppendUint32([]byte(codecMagic), codecVersion))
	e := &blockWriter{w: &out, buf: make([]byte, 8, 8+maxPayload)}
	for _, b := range body {
		e.u8(b)
	}
	e.close()
	return out.Bytes()
}

func FuzzDecode(f *testing.F) {
	g := smallGraph(f, 40)
	f.Add(bodyOf(f, encoded(f, g)), true)
	f.Add(encoded(f, g), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal { // so that the fuzzer gets past the checksums
			b = sealed(b)
		}
		again, err := Decode(bytes.NewReader(b), vectorsOf(g))
		if err != nil {
			return
		}
		mustCheck(t, again, nil)
		twice, err := Decode(bytes.NewReader(encoded(t, again)), vectorsOf(again))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encoded(t, again), encoded(t, twice)) {
			t.Fatal("written and read again, the graph is another")
		}
	})
}
