package ann

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestDotProductsOfRowsAreThoseOfEach(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, dim := range []int{0, 1, 16, 31, 32, 48, 64, 100} {
		const n = 11 // two fours and a rest
		v, rows := make([]float32, dim), make([]float32, n*dim)
		for i := range v {
			v[i] = rnd.Float32() - 0.5
		}
		for i := range rows {
			rows[i] = rnd.Float32() - 0.5
		}
		got := make([]float32, n)
		DotProducts(got, v, rows)
		for i := range n {
			want := 0.0
			for j := range dim {
				want += float64(v[j]) * float64(rows[i*dim+j])
			}
			if one := DotProduct(v, rows[i*dim:(i+1)*dim]); math.Abs(float64(got[i])-want) > 1e-5 || math.Abs(float64(one)-want) > 1e-5 {
				t.Errorf("dimension %d, row %d: %g together, %g alone, want %g", dim, i, got[i], one, want)
			}
		}
	}
}

func BenchmarkDotProducts(b *testing.B) {
	v, rows, dst := make([]float32, 64), make([]float32, 64*1000), make([]float32, 1000)
	b.Run("rows", func(b *testing.B) {
		for b.Loop() {
			DotProducts(dst, v, rows)
		}
	})
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			for i := range dst {
				dst[i] = DotProduct(v, rows[i*64:(i+1)*64])
			}
		}
	})
}
