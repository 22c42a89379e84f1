package dedup

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

const (
	crossBand     = 0.04 // cosine on either side of the threshold of a rule without weights
	crossPassages = 64   // passages of one call, so that the context is looked at
)

// doubtful is a pair that the cross-encoder could decide, and how far it is from the threshold.
type doubtful struct {
	edge     edge
	distance float64
}

// cross scores the pairs nearest to the threshold in both directions and keeps the mean.
func (f *Found) cross(ctx context.Context, o Options) error {
	if o.Cross == nil {
		return nil
	}
	if !o.CrossAll && o.Rule.Weights["cross"] == 0 {
		f.head.CrossSkipped = "the rule does not read its score"
		return nil
	}
	pairs := f.doubtful(ctx, o)
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(pairs) > o.MaxCross {
		f.head.Uncrossed = len(pairs) - o.MaxCross
		pairs = pairs[:o.MaxCross]
	}
	var asked []question
	for _, swap := range []bool{false, true} {
		passages := map[uint32][]uint32{}
		for _, d := range pairs {
			q, p := d.edge.a, d.edge.b
			if swap {
				q, p = p, q
			}
			passages[q] = append(passages[q], p)
		}
		for q, all := range passages {
			for part := range slices.Chunk(all, crossPassages) {
				asked = append(asked, question{query: q, passages: part})
			}
		}
	}
	if err := parallel(ctx, len(asked), o.Workers, func(i int) error { return f.ask(ctx, o.Cross, &asked[i]) }); err != nil {
		return err
	}
	scores := make(map[[2]uint32]float32, len(pairs))
	for _, a := range asked {
		for i, p := range a.passages {
			scores[[2]uint32{min(a.query, p), max(a.query, p)}] += a.scores[i] / 2
		}
	}
	f.crossed = scores
	return nil
}

// question is one call of the cross-encoder.
type question struct {
	query    uint32
	passages []uint32
	scores   []float32
}

func (f *Found) ask(ctx context.Context, cross Cross, a *question) (err error) {
	texts := make([]string, len(a.passages))
	for i, p := range a.passages {
		texts[i] = f.nodes[p].text
	}
	if a.scores, err = cross.Score(ctx, f.nodes[a.query].text, texts); err != nil {
		return fmt.Errorf("score pairs of %s with the cross-encoder: %w", f.docs[f.members[a.query][0]].id, err)
	}
	if len(a.scores) != len(texts) {
		return fmt.Errorf("the cross-encoder gave %d scores for %d pairs", len(a.scores), len(texts))
	}
	return nil
}

// doubtful are the pairs in the band around the threshold, or by a rule that reads cross scores those that one can still
// decide, the nearest to the threshold first. Those against which a fact speaks are among
// them: only a learnt rule reads cross scores, and it weighs them against the fact.
func (f *Found) doubtful(ctx context.Context, o Options) []doubtful {
	c := f.cut(CutOptions{})
	learnt := len(c.rule.Weights) > 0
	distance := make([]float64, len(f.edges))                      // NaN: not doubtful
	_ = parallel(ctx, len(f.edges), o.Workers, func(i int) error { // the caller looks at ctx
		e := f.edges[i]
		off := math.Abs(float64(e.cosine) - c.judge.threshold)
		if learnt {
			off = c.undecided(e)
		} else if off > crossBand {
			off = math.NaN()
		}
		distance[i] = off
		return nil
	})
	var out []doubtful
	for i, d := range distance {
		if !math.IsNaN(d) {
			out = append(out, doubtful{f.edges[i], d})
		}
	}
	slices.SortFunc(out, func(x, y doubtful) int {
		return cmp.Or(cmp.Compare(x.distance, y.distance), compareEdges(x.edge, y.edge))
	})
	return out
}

// undecided is how far a pair's probability, without its cross score, is from the threshold of a learnt rule; NaN when the pair
// is decided whatever the cross-encoder says. When the rule does not read the score, all pairs are undecided.
func (c *cut) undecided(e edge) float64 {
	if float64(e.cosine) < c.least {
		return math.NaN()
	}
	ft := c.features(e, true)
	score, _, _ := c.judge.Judge(ft)
	const usual = 3 // deviations from the mean: some models' scores are not from 0 to 1
	ft.Cross = c.rule.Mean["cross"] - usual*c.rule.Scale["cross"]
	_, least, _ := c.judge.Judge(ft)
	ft.Cross = c.rule.Mean["cross"] + usual*c.rule.Scale["cross"]
	_, most, _ := c.judge.Judge(ft)
	if least == most && c.rule.Weights["cross"] != 0 {
		return math.NaN()
	}
	return math.Abs(score - c.judge.threshold)
}
