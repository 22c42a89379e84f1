package recall

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"
	"time"

	"robin/ann"
	"robin/machine"
)

// Point is what searches with one ef found, and how fast one thread was.
type Point struct {
	Ef       int     `json:"ef"`
	Recall   float64 `json:"recall"`
	QPS      float64 `json:"qps"`
	P50MS    float64 `json:"p50_ms"`
	P99MS    float64 `json:"p99_ms"`
	Compared float64 `json:"compared"` // vectors, for a query on average
}

// pass searches for every query once, and gives what it found, without P50MS and P99MS, and the time of each search.
func (x *subject) pass(ctx context.Context, t *truth, opt ann.SearchOptions) (p Point, took []time.Duration, err error) {
	n := x.d.Queries.Len()
	found := make([][]uint64, n)
	took = make([]time.Duration, n)
	now, used := x.now(), machine.CPUTime()
	runtime.LockOSThread() // for what now measures
	defer runtime.UnlockOSThread()
	var stats ann.SearchStats
	opt.Stats = &stats
	compared := 0
	for i := range n {
		if err := ctx.Err(); err != nil {
			return p, nil, err
		}
		began := now()
		hits, err := x.search(x.d.Queries.Row(i), K, opt)
		took[i] = now() - began
		if err != nil {
			return p, nil, err
		}
		compared += stats.Visited
		for _, h := range hits {
			found[i] = append(found[i], h.ID)
		}
	}
	used = machine.CPUTime() - used
	allow, _ := opt.Allow.(*subset)
	hits := 0
	for i, ids := range found {
		hits += t.hits(x.d, i, ids, allow)
	}
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	if x.clock == CPU && used > 0 {
		sum = used
	}
	return Point{Ef: opt.Ef, Recall: float64(hits) / float64(max(1, t.wanted())), QPS: float64(n) / sum.Seconds(), Compared: float64(compared) / float64(n)}, took, nil
}

// now gives the time by the clock that was asked for: of the wall, or of this thread where the system tells it.
func (x *subject) now() func() time.Duration {
	if x.clock == CPU && machine.ThreadTime() > 0 {
		return machine.ThreadTime
	}
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// searches measures every ef of every subject in turns, in each round anew.
func searches(ctx context.Context, subjects []*subject, t *truth, o Options) error {
	type measured struct {
		points []Point
		took   []time.Duration
	}
	all := map[*subject]map[int]*measured{}
	for _, x := range subjects {
		all[x] = map[int]*measured{}
		for _, ef := range o.Ef {
			all[x][ef] = &measured{}
		}
	}
	for _, x := range subjects { // warms up
		if _, _, err := x.pass(ctx, t, ann.SearchOptions{Ef: o.Ef[0]}); err != nil {
			return err
		}
	}
	for round := range o.Rounds {
		for i, ef := range o.Ef {
			for _, x := range subjects {
				p, took, err := x.pass(ctx, t, ann.SearchOptions{Ef: ef})
				if err != nil {
					return err
				}
				m := all[x][ef]
				m.points, m.took = append(m.points, p), append(m.took, took...)
			}
			o.Progress("search", round*len(o.Ef)+i+1, o.Rounds*len(o.Ef))
		}
	}
	for _, x := range subjects {
		for _, ef := range o.Ef {
			m := all[x][ef]
			slices.SortFunc(m.points, func(a, b Point) int { return cmp.Compare(a.QPS, b.QPS) })
			slices.Sort(m.took)
			p := m.points[len(m.points)/2]
			p.P50MS, p.P99MS = quantile(m.took, 0.5), quantile(m.took, 0.99)
			x.found.Search = append(x.found.Search, p)
		}
		for _, bar := range Bars {
			if c, ok := Cross(x.found.Search, bar); ok {
				x.found.At = append(x.found.At, c)
			}
		}
	}
	return nil
}

// Bars are the recalls at which speeds are compared.
var Bars = []float64{0.95, 0.99}

// Crossing is the speed at a recall.
type Crossing struct {
	Recall float64 `json:"recall"`
	QPS    float64 `json:"qps"`
	// Least says that the least ef is above that recall already, so that a faster search would do.
	Least bool `json:"least,omitempty"`
}

// Cross gives the queries per second at a recall: where it lies between two points, on the straight line between them with
// the logarithm of the speed over the recall. A point that has no more recall than one of less ef is left out. No point has
// that recall: not ok.
func Cross(points []Point, recall float64) (c Crossing, ok bool) {
	points = slices.SortedFunc(slices.Values(points), func(a, b Point) int { return cmp.Compare(a.Ef, b.Ef) })
	for i, p := range points {
		if p.Recall < recall {
			continue
		}
		if i == 0 {
			return Crossing{recall, p.QPS, p.Recall > recall}, true
		}
		before := slices.MaxFunc(points[:i], func(a, b Point) int { return cmp.Compare(a.Recall, b.Recall) })
		share := (recall - before.Recall) / (p.Recall - before.Recall)
		return Crossing{Recall: recall, QPS: math.Exp((1-share)*math.Log(before.QPS) + share*math.Log(p.QPS))}, true
	}
	return c, false
}

// quantile of sorted durations, in milliseconds: the least that is not exceeded by the share q of them.
func quantile(sorted []time.Duration, q float64) float64 {
	at := min(len(sorted)-1, int(q*float64(len(sorted))))
	return float64(sorted[at].Nanoseconds()) / 1e6
}
