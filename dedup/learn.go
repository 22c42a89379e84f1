package dedup

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"robin"
)

// Labelled is a pair that a person decided.
type Labelled struct {
	Features Features
	Same     bool
	Weight   float64 // how many pairs it stands for; 0 means 1
	Assumed  bool    // nobody decided it: it is taken for different, and is not counted as a label
}

// LearnOptions say what to learn for.
type LearnOptions struct {
	Precision float64 // a precision to reach; 0: the best F1
	Folds     int     // of the cross-validation; 0: 5
	Seed      uint64  // of the folds
	Model     string  // fingerprint of the embedder that gave the cosines
	// Joined tells which of the labelled pairs a one-to-one join by a rule can take: those that OneToOne leaves when all pairs
	// are judged, labelled or not. The others count as not found, so that the threshold is the best for such a join; it is
	// lower, because rivals already hold wrong pairs back. nil when pairs are not joined one to one.
	Joined func(Judge) []bool
}

// LearnReport says how well the rule does by cross-validation.
type LearnReport = robin.RuleReport

// LeastLabels is how many labelled pairs Learn wants.
const LeastLabels = 50

// penalties are the strengths of the L2 penalty that cross-validation chooses from.
var penalties = []float64{0.1, 0.3, 1, 3, 10, 30, 100}

// Learn makes a rule from labelled pairs: a logistic regression whose penalty and threshold are those that did best on folds
// that it had not seen. The report's figures are of folds that neither weights nor threshold have seen.
func Learn(labelled []Labelled, o LearnOptions) (robin.DuplicateRule, LearnReport, error) {
	labels, same := 0, 0
	for _, l := range labelled {
		if !l.Assumed {
			labels++
		}
		if l.Same {
			same++
		}
	}
	if o.Folds == 0 {
		o.Folds = 5
	}
	rep := LearnReport{Labels: labels, Same: same, Folds: o.Folds, Target: o.Precision}
	if err := learnable(labels, same, o); err != nil {
		return robin.DuplicateRule{}, rep, err
	}
	m := standardise(labelled)
	fold := folds(m.rows, o)
	best, loss := 0.0, math.Inf(1)
	var held []float64
	for _, p := range penalties {
		h := m.holdOut(fold, o.Folds, p)
		if l := logLoss(h, m.rows.y, m.rows.w); l < loss {
			best, loss, held = p, l, h
		}
	}
	rule := m.rule(best)
	if len(rule.Weights) == 0 {
		return robin.DuplicateRule{}, rep, errors.New("nothing that can be measured tells the labelled duplicates from the others: see whether the labels are the wrong way round")
	}
	rule.Labels, rule.Model = labels, o.Model
	rule.Floor = floor(labelled)
	if o.Joined != nil {
		for i, joined := range o.Joined(NewJudge(rule)) {
			if !joined {
				held[i] = 0 // below every threshold
			}
		}
	}
	rule.Threshold = threshold(held, m.rows, nil, 0, o.Precision)
	counted := slices.Clone(m.rows.w)
	for i, l := range labelled {
		if l.Assumed { // what nobody decided proves nothing
			counted[i] = 0
		}
	}
	c := unseen(held, m.rows, counted, fold, o)
	rep.Precision, rep.Recall, rep.F1 = c.precision(), c.recall(), c.f1()
	rep.Reached = o.Precision > 0 && rep.Precision >= o.Precision
	cosines := make([]float64, len(labelled))
	for i, l := range labelled {
		cosines[i] = l.Features.Cosine
	}
	plain := unseen(cosines, m.rows, counted, fold, LearnOptions{Folds: o.Folds})
	rep.Plain = plain.f1()
	for name := range rule.Weights {
		rep.Features = append(rep.Features, name)
	}
	slices.SortFunc(rep.Features, func(a, b string) int {
		return cmp.Or(cmp.Compare(math.Abs(rule.Weights[b]), math.Abs(rule.Weights[a])), cmp.Compare(a, b))
	})
	return rule, rep, nil
}

// floor is the least cosine of a labelled duplicate: a join that looks from there on finds what was learnt.
func floor(labelled []Labelled) float64 {
	least := 1.0
	for _, l := range labelled {
		if l.Same {
			least = min(least, l.Features.Cosine)
		}
	}
	return max(0, least)
}

func learnable(n, same int, o LearnOptions) error {
	switch {
	case n < LeastLabels:
		return fmt.Errorf("%d labelled pairs are too few to learn from: label at least %d", n, LeastLabels)
	case same < o.Folds || n-same < o.Folds:
		return fmt.Errorf("of %d labelled pairs %d are duplicates: label at least %d duplicates and %d that are none", n, same, o.Folds, o.Folds)
	case o.Folds < 2:
		return errors.New("cross-validation wants at least 2 folds")
	case o.Precision < 0 || o.Precision > 1:
		return fmt.Errorf("a precision of %g cannot be reached: ask for one between 0 and 1", o.Precision)
	}
	return nil
}

// learner holds the labelled pairs standardised: each feature with mean 0 and deviation 1.
type learner struct {
	names       []string // of the features that vary
	mean, scale []float64
	sign        []int
	rows        rows
}

func standardise(labelled []Labelled) *learner {
	m := &learner{}
	values := make([][]float64, len(labelled))
	for i, l := range labelled {
		values[i] = l.Features.values()
		w := l.Weight
		if w <= 0 {
			w = 1
		}
		m.rows.w = append(m.rows.w, w)
		m.rows.y = append(m.rows.y, map[bool]float64{true: 1}[l.Same])
	}
	m.rows.x = make([][]float64, len(labelled))
	for j, name := range featureNames {
		var n, sum, squares float64
		for _, v := range values {
			if !math.IsNaN(v[j]) {
				n, sum, squares = n+1, sum+v[j], squares+v[j]*v[j]
			}
		}
		if n == 0 {
			continue
		}
		mean := sum / n
		scale := math.Sqrt(max(0, squares/n-mean*mean))
		if scale < 1e-9 {
			continue
		}
		m.names, m.mean, m.scale, m.sign = append(m.names, name), append(m.mean, mean), append(m.scale, scale), append(m.sign, signs[name])
		for i, v := range values {
			z := 0.0 // what is not known is taken for the mean
			if !math.IsNaN(v[j]) {
				z = (v[j] - mean) / scale
			}
			m.rows.x[i] = append(m.rows.x[i], z)
		}
	}
	total := 0.0
	for _, w := range m.rows.w {
		total += w
	}
	for i := range m.rows.w { // so that a penalty means the same whatever the weights' unit
		m.rows.w[i] *= float64(len(labelled)) / total
	}
	return m
}

// rule fits all rows.
func (m *learner) rule(penalty float64) robin.DuplicateRule {
	bias, w := regress(m.rows, m.sign, penalty)
	r := robin.DuplicateRule{Bias: bias, Weights: map[string]float64{}, Mean: map[string]float64{}, Scale: map[string]float64{}}
	for j, name := range m.names {
		if w[j] != 0 {
			r.Weights[name], r.Mean[name], r.Scale[name] = w[j], m.mean[j], m.scale[j]
		}
	}
	return r
}

// folds deals the rows of each label out evenly.
func folds(r rows, o LearnOptions) []int {
	out := make([]int, len(r.y))
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	next := map[float64]int{}
	for _, i := range rng.Perm(len(r.y)) {
		out[i] = next[r.y[i]] % o.Folds
		next[r.y[i]]++
	}
	return out
}

// holdOut gives each row the probability of a model that was fitted on the other folds.
func (m *learner) holdOut(fold []int, n int, penalty float64) []float64 {
	out := make([]float64, len(fold))
	for f := range n {
		var part rows
		for i := range fold {
			if fold[i] != f {
				part.x, part.y, part.w = append(part.x, m.rows.x[i]), append(part.y, m.rows.y[i]), append(part.w, m.rows.w[i])
			}
		}
		bias, w := regress(part, m.sign, penalty)
		for i := range fold {
			if fold[i] == f {
				margin := bias
				for j, v := range m.rows.x[i] {
					margin += w[j] * v
				}
				out[i] = logistic(margin)
			}
		}
	}
	return out
}

// counts are weighted true and false positives, and false negatives.
type counts struct{ tp, fp, fn float64 }

func (c counts) precision() float64 { return share(c.tp, c.tp+c.fp) }
func (c counts) recall() float64    { return share(c.tp, c.tp+c.fn) }
func (c counts) f1() float64        { return share(2*c.tp, 2*c.tp+c.fp+c.fn) }

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// threshold is the score from which on F1 is best, or with a target precision the lowest from which it is reached; when it is
// never reached, the one with the highest precision. Rows of fold skip are left out (fold nil: none). It lies half-way
// between two scores. A row of score 0 is never found.
//
// F1 is the expected one: a row counts as a duplicate as far as its score makes it one, and not by its label, which is noise
// where a hundred pairs stand for thousands.
func threshold(scores []float64, r rows, fold []int, skip int, precision float64) float64 {
	var order []int
	all := 0.0
	for i := range scores {
		if fold == nil || fold[i] != skip {
			order = append(order, i)
			all += r.w[i] * r.y[i]
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	y := r.y
	if precision == 0 {
		y = expected(scores, r, order)
	}
	best, at := -1.0, 1.0
	var c counts
	for n, i := range order {
		if scores[i] <= 0 {
			break
		}
		c.tp += r.w[i] * y[i]
		c.fp += r.w[i] * (1 - y[i])
		c.fn = max(0, all-c.tp)
		next := 0.0
		if n+1 < len(order) {
			if next = scores[order[n+1]]; next == scores[i] {
				continue
			}
		}
		quality := c.f1()
		if precision > 0 {
			quality = c.precision()
			if quality >= precision {
				quality = 1 + c.recall()
			}
		}
		if quality > best {
			best, at = quality, (scores[i]+max(next, 0))/2
		}
	}
	return at
}

// expected is how likely each row of order is a duplicate by its score: a logistic regression over the score's logit
// (Platt, 1999).
func expected(scores []float64, r rows, order []int) []float64 {
	logit := func(p float64) float64 {
		p = min(max(p, 1e-6), 1-1e-6)
		return math.Log(p / (1 - p))
	}
	var part rows
	for _, i := range order {
		if scores[i] > 0 {
			part.x, part.y, part.w = append(part.x, []float64{logit(scores[i])}), append(part.y, r.y[i]), append(part.w, r.w[i])
		}
	}
	bias, w := regress(part, []int{1}, 0.1)
	out := make([]float64, len(scores))
	for _, i := range order {
		if scores[i] > 0 {
			out[i] = logistic(bias + w[0]*logit(scores[i]))
		}
	}
	return out
}

// unseen counts each fold's decisions at the threshold that the other folds choose, by the weights counted.
func unseen(scores []float64, r rows, counted []float64, fold []int, o LearnOptions) counts {
	var c counts
	for f := range o.Folds {
		t := threshold(scores, r, fold, f, o.Precision)
		for i := range scores {
			switch {
			case fold[i] != f:
			case scores[i] >= t && r.y[i] > 0.5:
				c.tp += counted[i]
			case scores[i] >= t:
				c.fp += counted[i]
			case r.y[i] > 0.5:
				c.fn += counted[i]
			}
		}
	}
	return c
}
