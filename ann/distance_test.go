package ann

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestKernelsAgreeWithSumsInDoublePrecision(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 0))
	for n := range 300 {
		for _, scale := range []float64{1, 1e-20, 1e-41, 1e15} { // 1e-41 is denormal
			a, b := make([]float32, n+1), make([]float32, n+1)
			var wantDot, wantL2, size float64
			for i := range a {
				a[i], b[i] = float32(r.NormFloat64()*scale), float32(r.NormFloat64()*scale)
			}
			a, b = a[1:], b[1:] // not aligned to 32 bytes
			for i := range a {
				x, y := float64(a[i]), float64(b[i])
				wantDot += x * y
				wantL2 += (x - y) * (x - y)
				size += x*x + y*y
			}
			tolerance := 1e-5*size + 1e-40
			for what, pair := range map[string][2]float64{
				"dot": {float64(dot(a, b)), wantDot}, "dotGo": {float64(dotGo(a, b)), wantDot},
				"squaredL2": {float64(squaredL2(a, b)), wantL2}, "squaredL2Go": {float64(squaredL2Go(a, b)), wantL2},
			} {
				if math.Abs(pair[0]-pair[1]) > tolerance {
					t.Fatalf("%s of %d numbers near %g: got %g, want %g", what, n, scale, pair[0], pair[1])
				}
			}
		}
	}
}

func TestNormalisingTwiceChangesNoBit(t *testing.T) {
	r := rand.New(rand.NewPCG(32, 0))
	for _, dim := range []int{1, 3, 256, 1024} {
		for range 200 {
			v := make([]float32, dim)
			for i := range v {
				v[i] = float32(r.NormFloat64() * 7)
			}
			once, err := Cosine.prepare(v, dim)
			if err != nil {
				t.Fatal(err)
			}
			twice, err := Cosine.prepare(once, dim)
			if err != nil || !slices.Equal(once, twice) {
				t.Fatalf("dimension %d: %v", dim, err)
			}
		}
	}
}

var sink float32

func BenchmarkDot(b *testing.B) {
	r := rand.New(rand.NewPCG(33, 0))
	x, y := make([]float32, 256), make([]float32, 256)
	for i := range x {
		x[i], y[i] = r.Float32(), r.Float32()
	}
	b.Run("chosen", func(b *testing.B) {
		for b.Loop() {
			sink = dot(x, y)
		}
	})
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			sink = dotGo(x, y)
		}
	})
}
