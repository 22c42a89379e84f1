package recall

import (
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"robin/ann"
	"robin/matrix"
)

// truth is what an exact search finds: for each query how many, and the least product of them with it.
type truth struct {
	found []int
	least []float32
}

// tie is how much nearer than another a vector may be and still count as equally near. Sums of products of unit vectors
// round by less. Which of several equally near ids is meant is for nobody to say.
const tie = 1e-6

// hits is how many of ids, each counted once, are as near to query i as the exact answer's.
func (t *truth) hits(d *Data, i int, ids []uint64, allow *subset) int {
	q, n := d.Queries.Row(i), 0
	for at, id := range ids {
		if id >= uint64(d.Vectors.Len()) || slices.Contains(ids[:at], id) || allow != nil && !allow.Contains(id) {
			continue
		}
		if ann.DotProduct(q, d.Vectors.Row(int(id))) >= t.least[i]-tie {
			n++
		}
	}
	return min(n, t.found[i])
}

// wanted is how many the exact answers hold.
func (t *truth) wanted() (n int) {
	for _, f := range t.found {
		n += f
	}
	return n
}

const (
	// groupOf queries are compared with blockOf vectors at a time, which stay in the processor's cache meanwhile.
	groupOf = 32
	blockOf = 256
)

// exact compares each query with every vector that each filter allows; a nil filter allows all. It returns one truth for
// each filter.
func exact(ctx context.Context, vectors, queries *matrix.Matrix, filters []*subset, o Options) ([]*truth, error) {
	truths := make([]*truth, len(filters))
	for i := range truths {
		truths[i] = &truth{make([]int, queries.Len()), make([]float32, queries.Len())}
	}
	group, ctx := errgroup.WithContext(ctx)
	var taken, done atomic.Int64
	for range o.Threads {
		group.Go(func() error {
			products := make([]float32, blockOf)
			for {
				first := int(taken.Add(groupOf)) - groupOf
				if first >= queries.Len() {
					return nil
				}
				last := min(first+groupOf, queries.Len())
				tops := make([]top, (last-first)*len(filters))
				for at := 0; at < vectors.Len(); at += blockOf {
					if err := ctx.Err(); err != nil {
						return err
					}
					rows := products[:min(blockOf, vectors.Len()-at)]
					for q := first; q < last; q++ {
						ann.DotProducts(rows, queries.Row(q), vectors.Data[at*vectors.Dim:])
						for f, allow := range filters {
							tops[(q-first)*len(filters)+f].offer(rows, at, allow)
						}
					}
				}
				for q := first; q < last; q++ {
					for f := range filters {
						t := &tops[(q-first)*len(filters)+f]
						truths[f].found[q], truths[f].least[q] = t.n, t.least()
					}
				}
				o.Progress("exact search", int(done.Add(int64(last-first))), queries.Len())
			}
		})
	}
	return truths, group.Wait()
}

// top keeps the K greatest products, greatest first.
type top struct {
	n    int
	best [K]float32
}

func (t *top) least() float32 {
	if t.n == 0 {
		return 0
	}
	return t.best[t.n-1]
}

func (t *top) offer(products []float32, at int, allow *subset) {
	for i, p := range products {
		if t.n == K && p <= t.best[K-1] || allow != nil && !allow.Contains(uint64(at+i)) {
			continue
		}
		t.n = min(t.n+1, K)
		j := t.n - 1
		for ; j > 0 && t.best[j-1] < p; j-- {
			t.best[j] = t.best[j-1]
		}
		t.best[j] = p
	}
}
