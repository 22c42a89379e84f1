package recall

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"robin/ann"
)

// Churned is what is left of an index after a round in which half of its vectors were deleted and added again, both in random
// order. Round 0 is before the first.
type Churned struct {
	Round      int     `json:"round"`
	Recall     float64 `json:"recall"` // with the graph's own ef
	RecallAt64 float64 `json:"recall_at_ef_64"`
	QPSAt64    float64 `json:"qps_at_ef_64"`
	Found      float64 `json:"found"` // share of the vectors tried that a search for them finds
	Check      string  `json:"check"` // what Check says: "clean", which includes that every node can be reached, or its error
	DeletesPS  float64 `json:"deletes_per_s,omitempty"`
	AddsPS     float64 `json:"adds_per_s,omitempty"`
}

const (
	churnRounds = 5
	churnEf     = 64
	// searchedFor is how many vectors are searched for by themselves.
	searchedFor = 2000
)

func (x *subject) churn(ctx context.Context, t *truth, o Options) ([]Churned, error) {
	r := rand.New(rand.NewPCG(o.Seed, 3))
	before, err := x.state(ctx, t, r)
	if err != nil {
		return nil, err
	}
	found := []Churned{before}
	n := x.d.Vectors.Len()
	for round := 1; round <= churnRounds; round++ {
		half := r.Perm(n)[:n/2]
		began := time.Now()
		for i, id := range half {
			if !x.g.Delete(uint64(id)) {
				return nil, fmt.Errorf("round %d: id %d is not there", round, id)
			}
			if i%stepOf == 0 {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				o.Progress("delete and add again", ((round-1)*2*len(half) + i), churnRounds*2*len(half))
			}
		}
		deleted := time.Since(began)
		r.Shuffle(len(half), func(i, j int) { half[i], half[j] = half[j], half[i] })
		began = time.Now()
		for at := 0; at < len(half); at += stepOf {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := x.add(half[at:min(at+stepOf, len(half))]); err != nil {
				return nil, err
			}
			o.Progress("delete and add again", ((round-1)*2+1)*len(half)+at, churnRounds*2*len(half))
		}
		added := time.Since(began)
		c, err := x.state(ctx, t, r)
		if err != nil {
			return nil, err
		}
		c.Round, c.DeletesPS, c.AddsPS = round, float64(len(half))/deleted.Seconds(), float64(len(half))/added.Seconds()
		found = append(found, c)
	}
	return found, nil
}

func (x *subject) add(rows []int) error {
	ids, vecs := make([]uint64, len(rows)), make([][]float32, len(rows))
	for i, row := range rows {
		ids[i], vecs[i] = uint64(row), x.d.Vectors.Row(row)
	}
	return x.g.AddBatch(ids, vecs)
}

// state is how the index does now.
func (x *subject) state(ctx context.Context, t *truth, r *rand.Rand) (c Churned, err error) {
	own, _, err := x.pass(ctx, t, ann.SearchOptions{})
	if err != nil {
		return c, err
	}
	at64, _, err := x.pass(ctx, t, ann.SearchOptions{Ef: churnEf})
	if err != nil {
		return c, err
	}
	c = Churned{Recall: own.Recall, RecallAt64: at64.Recall, QPSAt64: at64.QPS, Check: "clean"}
	if err := x.g.Check(); err != nil {
		c.Check = err.Error()
	}
	tried := r.Perm(x.d.Vectors.Len())
	tried = tried[:min(searchedFor, len(tried))]
	for _, id := range tried {
		v := x.d.Vectors.Row(id)
		hits, err := x.search(v, 1, ann.SearchOptions{})
		if err != nil {
			return c, err
		}
		if len(hits) == 1 && ann.DotProduct(v, x.d.Vectors.Row(int(hits[0].ID))) >= 1-tie {
			c.Found++
		}
	}
	c.Found /= float64(len(tried))
	return c, nil
}
