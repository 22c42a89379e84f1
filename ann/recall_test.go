package ann

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// clustered makes n vectors in clusters whose sizes and widths vary, as those of a catalogue's texts do, and queries
// from the same clusters that are not among them.
func clustered(seed uint64, n, queries, dim int) (vecs, qs [][]float32) {
	r := rand.New(rand.NewPCG(seed, 1))
	normal := func(scale float64) []float32 {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64() * scale)
		}
		return v
	}
	type cluster struct {
		center []float32
		width  float64
	}
	clusters := make([]cluster, max(1, n/200))
	for i := range clusters {
		clusters[i] = cluster{normal(1), 0.2 + 0.6*r.Float64()}
	}
	draw := func() []float32 {
		x := r.Float64()
		c := clusters[int(x*x*float64(len(clusters)))] // the first are the largest
		v := normal(c.width)
		for i := range v {
			v[i] += c.center[i]
		}
		return v
	}
	for range n {
		vecs = append(vecs, draw())
	}
	for range queries {
		qs = append(qs, draw())
	}
	return vecs, qs
}

// recallOf is the share of the k nearest that a search found. What is as near as the farthest of them counts,
// because which of several equally near ids is meant is for nobody to say.
func recallOf(t testing.TB, truth *Flat, search func([]float32, int, SearchOptions) ([]Neighbor, error), qs [][]float32, k int, opt SearchOptions) float64 {
	t.Helper()
	found, want := 0, 0
	for _, q := range qs {
		exact, err := truth.Search(q, k, SearchOptions{Allow: opt.Allow})
		if err != nil {
			t.Fatal(err)
		}
		got, err := search(q, k, opt)
		if err != nil {
			t.Fatal(err)
		}
		want += len(exact)
		if len(exact) == 0 {
			continue
		}
		bound := exact[len(exact)-1].Distance
		bound += Distance(1e-6 * max(1, math.Abs(float64(bound))))
		for _, n := range got {
			if n.Distance <= bound {
				found++
			}
		}
	}
	return float64(found) / float64(max(1, want))
}

func readVectors(t testing.TB, path string, dim int) [][]float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var vecs [][]float32
	for len(b) >= 4*dim {
		v := make([]float32, dim)
		for i := range v {
			v[i] = math.Float32frombits(uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24)
		}
		vecs = append(vecs, v)
		b = b[4*dim:]
	}
	return vecs
}
