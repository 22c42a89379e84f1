package dedup

import (
	"fmt"

	"robin"
)

// Judge decides pairs by a rule.
type Judge struct {
	rule      robin.DuplicateRule
	threshold float64
}

// NewJudge is a judge by r; the zero rule is the global default.
func NewJudge(r robin.DuplicateRule) Judge {
	j := Judge{rule: r, threshold: r.Threshold}
	if j.threshold == 0 {
		j.threshold = robin.DefaultDuplicateThreshold
	}
	return j
}

// Judge gives a pair's score, whether it is a duplicate, and why in a short clause.
func (j Judge) Judge(f Features) (score float64, same bool, reason string) {
	if len(f.Against) > 0 {
		return f.Cosine, false, f.Against[0] + " differs"
	}
	return f.Cosine, f.Cosine >= j.threshold, fmt.Sprintf("cosine %.2f", f.Cosine)
}

// PlainThreshold is the least cosine at which a rule can say yes: what a join must look for.
func PlainThreshold(r robin.DuplicateRule) float64 {
	return NewJudge(r).threshold
}
