package dedup_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"robin"
	"robin/dedup"
)

// drawn are pairs whose label follows from their features: same with probability logistic(bias + wc·cosine + wo·overlap).
func drawn(seed uint64, n int, bias, wc, wo float64) []dedup.Labelled {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]dedup.Labelled, n)
	for i := range out {
		f := dedup.Features{Cosine: rng.Float64(), Overlap: rng.Float64(), Cross: math.NaN()}
		out[i] = dedup.Labelled{Features: f, Same: rng.Float64() < 1/(1+math.Exp(-bias-wc*f.Cosine-wo*f.Overlap))}
	}
	return out
}

func TestLearningFindsTheRuleThatMadeTheLabels(t *testing.T) {
	rule, rep, err := dedup.Learn(drawn(1, 4000, -9, 12, 6), dedup.LearnOptions{Seed: 1, Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"cosine": 12, "overlap": 6} { // per unit, as the rule standardises
		if got := rule.Weights[name] / rule.Scale[name]; math.Abs(got-want) > 0.15*want {
			t.Errorf("the weight of %s is %.2f, the labels were made with %v", name, got, want)
		}
	}
	if rep.F1 <= rep.Plain || rep.F1 < 0.85 || rule.Model != "m" || rule.Labels != 4000 || len(rep.Features) != 2 || rep.Features[0] != "cosine" {
		t.Errorf("report %+v of rule %+v", rep, rule)
	}
}

func TestTheReportedFiguresHoldOnUnseenPairs(t *testing.T) {
	for seed := range uint64(5) {
		rule, rep, err := dedup.Learn(drawn(seed, 600, -9, 12, 6), dedup.LearnOptions{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		p, r := measured(rule, drawn(seed+100, 20000, -9, 12, 6))
		if f1 := 2 * p * r / (p + r); math.Abs(f1-rep.F1) > 0.06 {
			t.Errorf("seed %d: F1 %.3f by cross-validation, %.3f on new pairs", seed, rep.F1, f1)
		}
	}
}

func measured(rule robin.DuplicateRule, pairs []dedup.Labelled) (precision, recall float64) {
	var found, wrong, missed float64
	j := dedup.NewJudge(rule)
	for _, l := range pairs {
		switch _, same, _ := j.Judge(l.Features); {
		case same && l.Same:
			found++
		case same:
			wrong++
		case l.Same:
			missed++
		}
	}
	return found / (found + wrong), found / (found + missed)
}

func TestATargetPrecisionIsReachedAtTheCostOfRecall(t *testing.T) {
	pairs := drawn(3, 3000, -9, 12, 6)
	best, _, err := dedup.Learn(pairs, dedup.LearnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	strict, rep, err := dedup.Learn(pairs, dedup.LearnOptions{Precision: 0.97})
	if err != nil {
		t.Fatal(err)
	}
	fresh := drawn(4, 20000, -9, 12, 6)
	p, r := measured(strict, fresh)
	if _, all := measured(best, fresh); p < 0.95 || r >= all || rep.Target != 0.97 {
		t.Errorf("precision %.3f, recall %.3f against %.3f without a target", p, r, all)
	}
	if strict.Threshold <= best.Threshold {
		t.Errorf("threshold %.3f for a precision, %.3f for F1", strict.Threshold, best.Threshold)
	}
}

// descend is plain gradient descent on the same loss, without signs: slow, and nothing to be wrong in.
func descend(x [][]float64, y, w []float64, lambda float64) (bias float64, weights []float64) {
	weights = make([]float64, len(x[0]))
	for range 20000 {
		gb, g := 0.0, make([]float64, len(weights))
		for j := range g {
			g[j] = lambda * weights[j]
		}
		for i := range x {
			m := bias
			for j := range weights {
				m += weights[j] * x[i][j]
			}
			d := w[i] * (1/(1+math.Exp(-m)) - y[i])
			gb += d
			for j := range g {
				g[j] += d * x[i][j]
			}
		}
		bias -= 0.01 * gb
		for j := range g {
			weights[j] -= 0.01 * g[j]
		}
	}
	return bias, weights
}

func TestRegressionAgreesWithGradientDescent(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 0))
	x, y, w := make([][]float64, 80), make([]float64, 80), make([]float64, 80)
	for i := range x {
		x[i] = []float64{rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()}
		w[i] = 0.5 + rng.Float64()
		if x[i][0]-0.5*x[i][1]+rng.NormFloat64() > 0.3 {
			y[i] = 1
		}
	}
	for _, lambda := range []float64{0.3, 3, 30} {
		wantBias, want := descend(x, y, w, lambda)
		bias, got := dedup.Regress(x, y, w, []int{0, 0, 0}, lambda)
		if math.Abs(bias-wantBias) > 2e-3 {
			t.Errorf("λ %v: bias %v, want %v", lambda, bias, wantBias)
		}
		for j := range want {
			if math.Abs(got[j]-want[j]) > 2e-3 {
				t.Errorf("λ %v: weights %v, want %v", lambda, got, want)
				break
			}
		}
	}
	if _, got := dedup.Regress(x, y, w, []int{1, 1, 0}, 0.3); got[0] <= 0 || got[1] != 0 {
		t.Errorf("with signs the weights are %v; the second speaks the other way and must be held at 0", got)
	}
}

func TestLearningSaysWhatLabelsItLacks(t *testing.T) {
	f := func(pairs []dedup.Labelled, o dedup.LearnOptions, want string) {
		t.Helper()
		if _, _, err := dedup.Learn(pairs, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	few := drawn(6, 49, -9, 12, 6)
	f(few, dedup.LearnOptions{}, "49 labelled pairs are too few to learn from: label at least 50")
	none := drawn(7, 60, -99, 0, 0)
	f(none, dedup.LearnOptions{}, "of 60 labelled pairs 0 are duplicates")
	f(drawn(8, 60, 0, 0, 0), dedup.LearnOptions{Precision: 1.5}, "between 0 and 1")
	f(drawn(9, 200, 9, -12, -6), dedup.LearnOptions{}, "the wrong way round") // a rule without weights would be one by cosine
}

func TestOneToOneTakesTheBestPairsFirst(t *testing.T) {
	got := dedup.OneToOne([]dedup.Scored{
		{A: 1, B: 11, Score: 0.8},  // 11 is better with 2
		{A: 2, B: 11, Score: 0.9},  // taken
		{A: 1, B: 12, Score: 0.7},  // taken: 1 was left
		{A: 3, B: 12, Score: 0.69}, // 12 is gone
		{A: 4, B: 13, Score: 0.1},  // taken
	})
	want := []bool{false, true, true, false, true}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("pair %d: %v, want %v", i, got[i], want[i])
		}
	}
}

func TestAOneToOneJoinHasALowerThreshold(t *testing.T) {
	pairs := drawn(9, 1000, -9, 12, 6)
	free, _, err := dedup.Learn(pairs, dedup.LearnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Rivals hold back most pairs that are not the same.
	joined, _, err := dedup.Learn(pairs, dedup.LearnOptions{Joined: func(dedup.Judge) []bool {
		out := make([]bool, len(pairs))
		for i, p := range pairs {
			out[i] = p.Same || i%10 == 0
		}
		return out
	}})
	if err != nil {
		t.Fatal(err)
	}
	if joined.Threshold >= free.Threshold {
		t.Errorf("threshold %.3f with rivals, %.3f without", joined.Threshold, free.Threshold)
	}
}

func TestADrawStandsForAllPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 0))
	similar := make([]float64, 5000)
	joined := make([]bool, len(similar))
	for i := range similar {
		similar[i] = rng.Float64() * rng.Float64() // few are near
		joined[i] = similar[i] > 0.7
	}
	for _, j := range [][]bool{nil, joined} {
		chosen, weights := dedup.Draw(similar, j, 200, 3)
		again, _ := dedup.Draw(similar, j, 200, 3)
		sum, seen, in := 0.0, map[int]bool{}, 0
		for x, i := range chosen {
			sum += weights[x]
			seen[i] = true
			if joined[i] {
				in++
			}
			if again[x] != i {
				t.Fatal("the same seed draws other pairs")
			}
		}
		if len(seen) != 200 || math.Abs(sum-5000) > 1e-6 {
			t.Errorf("%d pairs that stand for %v", len(seen), sum)
		}
		if j != nil && in != 100 {
			t.Errorf("%d of 200 are joined", in)
		}
	}
	if chosen, _ := dedup.Draw(similar[:10], nil, 200, 3); len(chosen) != 10 {
		t.Errorf("%d of 10 pairs drawn", len(chosen))
	}
}

func TestBetweenKnowsEachTextsRivals(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 0))
	c := dedup.NewCorpus()
	side := func(texts ...string) (s dedup.Side) {
		for _, x := range texts {
			p := dedup.Prepare(x)
			c.Add(p)
			v := []float32{rng.Float32(), rng.Float32(), rng.Float32()}
			n := float32(math.Sqrt(float64(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])))
			s.Texts, s.Vectors = append(s.Texts, p), append(s.Vectors, []float32{v[0] / n, v[1] / n, v[2] / n})
		}
		return s
	}
	a, b := side("red mug", "steel kettle", "oak shelf"), side("mug red", "kettle of steel", "steel pan", "red pan")
	cosine := func(i, j int) float64 {
		var s float64
		for k := range 3 {
			s += float64(a.Vectors[i][k]) * float64(b.Vectors[j][k])
		}
		return s
	}
	w := c.Between(a, b, nil)
	for i := range a.Texts {
		for j := range b.Texts {
			var r dedup.Rivals
			for y := range b.Texts {
				if y != j {
					r.A = max(r.A, cosine(i, y))
					r.OverlapA = max(r.OverlapA, c.Compare(a.Texts[i], b.Texts[y], 0, dedup.Rivals{}).Overlap)
				}
			}
			for x := range a.Texts {
				if x != i {
					r.B = max(r.B, cosine(x, j))
					r.OverlapB = max(r.OverlapB, c.Compare(a.Texts[x], b.Texts[j], 0, dedup.Rivals{}).Overlap)
				}
			}
			got, want := w.Compare(i, j), c.Compare(a.Texts[i], b.Texts[j], cosine(i, j), r)
			for k, v := range dedup.Values(want) {
				if g := dedup.Values(got)[k]; math.Abs(g-v) > 1e-6 {
					t.Errorf("pair %d %d, feature %d: %v, want %v", i, j, k, g, v)
				}
			}
		}
	}
}

// asked counts the passages that a cross-encoder is asked for. It goes by three bits of the texts' first
// letters, of which nothing else knows: few pairs are the same.
type asked struct{ passages atomic.Int64 }

func (a *asked) Score(_ context.Context, query string, passages []string) ([]float32, error) {
	a.passages.Add(int64(len(passages)))
	out := make([]float32, len(passages))
	for i, p := range passages {
		if (query[0]^p[0])&7 == 0 {
			out[i] = 1
		}
	}
	return out, nil
}

func TestTheCrossEncoderIsAskedOnlyByARuleThatReadsIt(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 0))
	var items []dedup.Item
	for i, v := range noisy(r, randomVector(r, 64), 0.33, 80) { // cosines around 0.9
		items = append(items, dedup.Item{ID: fmt.Sprint(i), Text: words(r, 3), Vector: v})
	}
	src := newFlatSource(t, items)
	cross := &asked{}
	rep := find(t, src, dedup.Options{Cross: cross}).Cut(dedup.CutOptions{})
	if cross.passages.Load() != 0 || rep.Crossed != 0 || rep.CrossSkipped != "the rule does not read its score" {
		t.Errorf("by the default rule %d passages were read, %d pairs scored, because %q", cross.passages.Load(), rep.Crossed, rep.CrossSkipped)
	}

	// What is the same is what the cross-encoder says, and the cosine says nothing.
	found := find(t, src, dedup.Options{Cross: cross, CrossAll: true})
	var labels []robin.Label
	scored := 0
	if err := found.Pairs(dedup.CutOptions{}, func(p robin.DuplicatePair) error {
		if p.Cross != nil {
			scored++
			if scored%3 == 0 && len(labels) < 200 {
				labels = append(labels, robin.Label{A: p.A, B: p.B, Same: *p.Cross > 0.5})
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if rep := found.Cut(dedup.CutOptions{}); rep.Crossed != scored || rep.CrossSkipped != "" || len(labels) < dedup.LeastLabels {
		t.Fatalf("%d pairs scored, the report says %d, %q; %d labels", scored, rep.Crossed, rep.CrossSkipped, len(labels))
	}
	rule, learnt, err := found.Learn(labels, dedup.LearnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if learnt.Features[0] != "cross" || learnt.F1 < 0.9 {
		t.Errorf("learnt %+v: %+v", learnt, rule)
	}
	cross.passages.Store(0)
	if rep := find(t, src, dedup.Options{Cross: cross, Rule: rule}).Cut(dedup.CutOptions{}); rep.CrossSkipped != "" || int64(2*rep.Crossed) != cross.passages.Load() || rep.Crossed == 0 {
		t.Errorf("by the learnt rule %d passages were read, %d pairs scored, because %q", cross.passages.Load(), rep.Crossed, rep.CrossSkipped)
	}
}

func TestARuleIsLearntFromLabelsOfFoundPairs(t *testing.T) {
	src := newFlatSource(t, randomItems(rand.New(rand.NewPCG(12, 0))))
	found := find(t, src, dedup.Options{Floor: 0.8})
	var near []robin.DuplicatePair
	if err := found.Pairs(dedup.CutOptions{}, func(p robin.DuplicatePair) error {
		if p.Cosine < 0.9999 {
			near = append(near, p)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	cosines := make([]float64, len(near))
	for i, p := range near {
		cosines[i] = p.Cosine
	}
	slices.Sort(cosines)
	middle := cosines[len(cosines)/2]
	var labels []robin.Label
	for i := 0; i < len(near); i += 1 + len(near)/300 {
		labels = append(labels, robin.Label{A: near[i].B, B: near[i].A, Same: near[i].Cosine >= middle}) // either way round
	}
	rule, rep, err := found.Learn(append(labels, robin.Label{A: "unknown", B: labels[0].A}), dedup.LearnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Labels != len(labels) || rep.F1 < 0.9 || rule.Weights["cosine"] <= 0 {
		t.Errorf("report %+v of rule %+v", rep, rule)
	}
	wrong := 0
	if err := found.Pairs(dedup.CutOptions{Rule: &rule}, func(p robin.DuplicatePair) error {
		if p.Cosine < 0.9999 && p.Same != (p.Cosine >= middle) {
			wrong++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if wrong > len(near)/10 {
		t.Errorf("%d of %d pairs are decided otherwise than they were labelled", wrong, len(near))
	}
}
