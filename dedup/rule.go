package dedup

import (
	"fmt"
	"math"

	"robin"
)

// Judge decides pairs by a rule.
type Judge struct {
	rule      robin.DuplicateRule
	threshold float64
	terms     []term // of a learnt rule
}

// term is one feature of a learnt rule.
type term struct {
	at                  int // in Features.values
	weight, mean, scale float64
}

// surely is the cosine from which a rule without weights believes the cosine in spite of a doubt.
const surely = 0.96

// reach is the least cosine at which a rule without weights says yes to texts that name the same things: 0.15 below a threshold of
// 0.9 or less, because in other words the same offer is often no nearer, and at a threshold of 1 nothing but 1.
func reach(threshold float64) float64 {
	return max(0, threshold-min(0.15, 1.5*(1-threshold)))
}

// NewJudge is a judge by r; the zero rule is the global default. A weight whose feature this version does not know is left
// out.
func NewJudge(r robin.DuplicateRule) Judge {
	j := Judge{rule: r, threshold: r.Threshold}
	if j.threshold == 0 {
		j.threshold = robin.DefaultDuplicateThreshold
		if len(r.Weights) > 0 {
			j.threshold = 0.5
		}
	}
	for at, name := range featureNames {
		w, ok := r.Weights[name]
		if !ok {
			continue
		}
		scale := r.Scale[name]
		if scale == 0 {
			scale = 1
		}
		j.terms = append(j.terms, term{at, w, r.Mean[name], scale})
	}
	return j
}

// Judge gives a pair's score, whether it is a duplicate, and why in a short clause.
func (j Judge) Judge(f Features) (score float64, same bool, reason string) {
	if len(j.rule.Weights) == 0 {
		return j.plain(f)
	}
	values := f.values()
	margin := j.rule.Bias
	for _, t := range j.terms {
		if v := values[t.at]; !math.IsNaN(v) {
			margin += t.weight * (v - t.mean) / t.scale
		}
	}
	score = logistic(margin)
	same = score >= j.threshold
	if !same && len(f.Against) > 0 {
		return score, same, fmt.Sprintf("%s; probability %.2f", f.Against[0], score)
	}
	return score, same, fmt.Sprintf("probability %.2f", score)
}

func (j Judge) plain(f Features) (score float64, same bool, reason string) {
	switch {
	case f.evidence == against || len(f.Against) > 0:
		reason = "a fact differs"
		if len(f.Against) > 0 {
			reason = f.Against[0] + " differs"
		}
		return f.Cosine, false, reason
	case f.evidence == contested && f.Cosine < surely:
		return f.Cosine, false, fmt.Sprintf("cosine %.2f, but each repeats a word that the other lacks", f.Cosine)
	case f.evidence == agreeing && f.Cosine < j.threshold:
		return f.Cosine, f.Cosine >= reach(j.threshold), fmt.Sprintf("cosine %.2f, and the same names and words", f.Cosine)
	}
	return f.Cosine, f.Cosine >= j.threshold, fmt.Sprintf("cosine %.2f", f.Cosine)
}

// Threshold is the cosine, or with weights the probability, from which a rule says yes when nothing else speaks for or against.
func Threshold(r robin.DuplicateRule) float64 { return NewJudge(r).threshold }

// PlainThreshold is the least cosine at which a rule can say yes: what a join must look for.
func PlainThreshold(r robin.DuplicateRule) float64 {
	if len(r.Weights) == 0 {
		return reach(NewJudge(r).threshold)
	}
	return r.Floor
}
