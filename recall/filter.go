package recall

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"robin/ann"
	"robin/matrix"
)

// Filtered is what searches under filters of one kind and size found, with the graph's own ef. Of the times of a query the
// least of all rounds counts, so that what is compared is the work of a query and not what interrupted it.
type Filtered struct {
	Kind     string  `json:"kind"` // random, or clusters
	Percent  float64 `json:"percent"`
	Allowed  int     `json:"allowed"`
	Recall   float64 `json:"recall"`
	P50MS    float64 `json:"p50_ms"`
	P95MS    float64 `json:"p95_ms"`
	Compared float64 `json:"compared"`
}

// percents of the vectors are what filters allow.
var percents = []float64{100, 50, 10, 1, 0.1, 0.01}

// filterQueries is how many of the queries are asked under each filter at most.
const filterQueries = 500

// filters measures searches under filters that allow vectors at random, and under filters that allow whole neighbourhoods, so
// that most of a query's surroundings are allowed or none.
func filters(ctx context.Context, subjects []*subject, o Options) error {
	d := *subjects[0].d
	d.Queries = &matrix.Matrix{Dim: d.Queries.Dim, Data: d.Queries.Data[:min(filterQueries, d.Queries.Len())*d.Queries.Dim]}
	n := d.Vectors.Len()
	random := rand.New(rand.NewPCG(o.Seed, 1)).Perm(n)
	near, err := byNeighbourhood(ctx, d.Vectors, o)
	if err != nil {
		return err
	}
	var kinds []Filtered
	var sets []*subset
	for _, kind := range []string{"random", "clusters"} {
		order := map[string][]int{"random": random, "clusters": near}[kind]
		for _, percent := range percents {
			if kind == "clusters" && percent == 100 {
				continue
			}
			allow := newSubset(n)
			for _, id := range order[:max(1, int(float64(n)*percent/100))] {
				allow.add(id)
			}
			kinds = append(kinds, Filtered{Kind: kind, Percent: percent, Allowed: allow.Len()})
			sets = append(sets, allow)
		}
	}
	truths, err := exact(ctx, d.Vectors, d.Queries, sets, o)
	if err != nil {
		return err
	}
	for i, f := range kinds {
		for _, x := range subjects {
			part := &subject{d: &d, precision: x.precision, clock: x.clock, g: x.g}
			opt := ann.SearchOptions{Allow: sets[i]}
			if f.Percent == 100 {
				opt.Allow = nil
			}
			var best []time.Duration
			var p Point
			for range 1 + o.Rounds { // the first warms up
				var took []time.Duration
				if p, took, err = part.pass(ctx, truths[i], opt); err != nil {
					return err
				}
				for j := range best {
					took[j] = min(took[j], best[j])
				}
				best = took
			}
			slices.Sort(best)
			f.Recall, f.P50MS, f.P95MS, f.Compared = p.Recall, quantile(best, 0.5), quantile(best, 0.95), p.Compared
			x.found.Filter = append(x.found.Filter, f)
		}
		o.Progress("filters", i+1, len(kinds))
	}
	return nil
}

// byNeighbourhood orders the ids by neighbourhoods: some vectors are drawn as pivots, each vector belongs to the nearest, and the
// pivots come in the order in which they were drawn.
func byNeighbourhood(ctx context.Context, vectors *matrix.Matrix, o Options) ([]int, error) {
	n := vectors.Len()
	const vectorsOfPivot, mostPivots = 100, 1000
	count := min(max(1, n/vectorsOfPivot), mostPivots)
	pivots := matrix.New(count, vectors.Dim)
	for i, id := range rand.New(rand.NewPCG(o.Seed, 2)).Perm(n)[:count] {
		copy(pivots.Row(i), vectors.Row(id))
	}
	of := make([]int, n)
	group, ctx := errgroup.WithContext(ctx)
	var taken atomic.Int64
	for range o.Threads {
		group.Go(func() error {
			products := make([]float32, count)
			for {
				first := int(taken.Add(blockOf)) - blockOf
				if err := ctx.Err(); err != nil || first >= n {
					return err
				}
				for id := first; id < min(first+blockOf, n); id++ {
					ann.DotProducts(products, vectors.Row(id), pivots.Data)
					of[id] = slices.Index(products, slices.Max(products))
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("part the vectors into neighbourhoods: %w", err)
	}
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	slices.SortStableFunc(ids, func(a, b int) int { return of[a] - of[b] })
	return ids, nil
}
