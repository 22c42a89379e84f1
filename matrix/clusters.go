package matrix

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
)

// Clusters draws vectors that lie around centres, as those of a model do. Each row comes from the seed and its own number
// alone, so rows can be drawn in any order.
type Clusters struct {
	dim     int
	noise   float64 // how far a row is from its centre, over all its numbers; the centres have length 1
	seed    uint64
	centres []float64
}

// NewClusters draws the centres, about length 1 each. Rows lie about noise from them.
func NewClusters(dim, centres int, noise float64, seed uint64) *Clusters {
	c := &Clusters{dim: dim, noise: noise / math.Sqrt(float64(dim)), seed: seed, centres: make([]float64, max(1, centres)*dim)}
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range c.centres {
		c.centres[i] = r.NormFloat64() / math.Sqrt(float64(dim))
	}
	return c
}

// Row draws row i into dst and says which cluster it is of.
func (c *Clusters) Row(i int, dst []float32) (cluster int) {
	r := rand.New(rand.NewPCG(c.seed, 1+uint64(i)))
	cluster = r.IntN(len(c.centres) / c.dim)
	for j, m := range c.centres[cluster*c.dim : (cluster+1)*c.dim] {
		dst[j] = float32(m + c.noise*r.NormFloat64())
	}
	return cluster
}

// Matrix draws the first n rows, on all processors.
func (c *Clusters) Matrix(n int) *Matrix {
	m := New(n, c.dim)
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w * n / workers; i < (w+1)*n/workers; i++ {
				c.Row(i, m.Row(i))
			}
		})
	}
	wg.Wait()
	return m
}
