package dedup

import "math"

// rows are a set of standardised rows with their labels and weights.
type rows struct {
	x [][]float64
	y []float64 // 1 for same, 0 for different
	w []float64
}

// regress fits a logistic regression by cyclic coordinate descent: it minimises the weighted log loss plus lambda/2 times
// the squared weights. sign holds for each feature +1 when it can only speak for a duplicate, -1 when it can only speak
// against, 0 when it may do either; a weight of the wrong sign is held at 0. The bias is not penalised.
func regress(r rows, sign []int, lambda float64) (bias float64, weights []float64) {
	weights = make([]float64, len(sign))
	margin := make([]float64, len(r.x)) // bias + weights·x
	const rounds, enough = 100, 1e-4
	step := func(value func(i int) float64, penalty, at float64) float64 {
		g, h := penalty*at, penalty
		for i := range r.x {
			p := logistic(margin[i])
			v := value(i)
			g += r.w[i] * (p - r.y[i]) * v
			h += r.w[i] * max(p*(1-p), 1e-4) * v * v
		}
		if h == 0 {
			return 0
		}
		return max(-1, min(1, -g/h)) // a full Newton step may overshoot far from the optimum
	}
	for range rounds {
		moved := 0.0
		d := step(func(int) float64 { return 1 }, 0, 0)
		bias += d
		for i := range margin {
			margin[i] += d
		}
		moved = max(moved, math.Abs(d))
		for j := range weights {
			d := step(func(i int) float64 { return r.x[i][j] }, lambda, weights[j])
			if next := weights[j] + d; float64(sign[j])*next < 0 {
				d = -weights[j]
			}
			if d == 0 {
				continue
			}
			weights[j] += d
			for i := range margin {
				margin[i] += d * r.x[i][j]
			}
			moved = max(moved, math.Abs(d))
		}
		if moved < enough {
			break
		}
	}
	return bias, weights
}

func logistic(m float64) float64 {
	return 1 / (1 + math.Exp(-m))
}

// logLoss is the mean weighted log loss of probabilities.
func logLoss(p, y, w []float64) float64 {
	var sum, all float64
	for i := range p {
		q := min(max(p[i], 1e-6), 1-1e-6)
		if y[i] < 0.5 {
			q = 1 - q
		}
		sum -= w[i] * math.Log(q)
		all += w[i]
	}
	return sum / all
}
