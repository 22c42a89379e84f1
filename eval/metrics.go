package eval

import (
	"math"
	"slices"
)

// NDCG is the normalised discounted cumulative gain at k of a ranking, with the gain itself (not 2^gain-1) and a log2
// discount (Järvelin and Kekäläinen, TOIS 2002). Documents without a judgement gain nothing. It is 0 when the query has
// no positive judgement.
func NDCG(ranked []string, gains map[string]float64, k int) float64 {
	ideal := make([]float64, 0, len(gains))
	for _, g := range gains {
		if g > 0 {
			ideal = append(ideal, g)
		}
	}
	slices.SortFunc(ideal, func(a, b float64) int { return cmpDesc(a, b) })
	want := dcg(ideal, k)
	if want == 0 {
		return 0
	}
	got := make([]float64, len(ranked))
	for i, id := range ranked {
		got[i] = max(gains[id], 0)
	}
	return dcg(got, k) / want
}

func dcg(gains []float64, k int) float64 {
	sum := 0.0
	for i, g := range gains[:min(k, len(gains))] {
		sum += g / math.Log2(float64(i)+2)
	}
	return sum
}

// MRR is the reciprocal rank of the first relevant document within the first k, or 0.
func MRR(ranked []string, gains map[string]float64, k int) float64 {
	for i, id := range ranked[:min(k, len(ranked))] {
		if gains[id] > 0 {
			return 1 / float64(i+1)
		}
	}
	return 0
}

// Recall is the share of the relevant documents that the first k hold, or 0 when there are none.
func Recall(ranked []string, gains map[string]float64, k int) float64 {
	relevant, found := 0, 0
	for _, g := range gains {
		if g > 0 {
			relevant++
		}
	}
	if relevant == 0 {
		return 0
	}
	for _, id := range ranked[:min(k, len(ranked))] {
		if gains[id] > 0 {
			found++
		}
	}
	return float64(found) / float64(relevant)
}

// F1 is the harmonic mean of precision and recall when every pair scoring at least threshold is called a match.
func F1(scores, labels []float64, threshold float64) float64 {
	var tp, fp, fn float64
	for i, s := range scores {
		switch said, is := s >= threshold, labels[i] > 0.5; {
		case said && is:
			tp++
		case said:
			fp++
		case is:
			fn++
		}
	}
	if tp == 0 {
		return 0
	}
	return 2 * tp / (2*tp + fp + fn)
}

// BestThreshold is the score that gives the highest F1, the largest such when several do.
func BestThreshold(scores, labels []float64) float64 {
	order := make([]int, len(scores))
	positives := 0.0
	for i := range order {
		order[i] = i
		if labels[i] > 0.5 {
			positives++
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmpDesc(scores[a], scores[b]) })
	best, threshold, tp := -1.0, math.Inf(1), 0.0
	for n, i := range order {
		if labels[i] > 0.5 {
			tp++
		}
		if n+1 < len(order) && scores[order[n+1]] == scores[i] {
			continue // a threshold cannot part equal scores
		}
		if f1 := 2 * tp / (float64(n+1) + positives); f1 > best {
			best, threshold = f1, scores[i]
		}
	}
	return threshold
}

// Spearman is the rank correlation of a and b, with the mean rank for ties; 0 when either is constant.
func Spearman(a, b []float64) float64 { return pearson(ranks(a), ranks(b)) }

func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return -cmpDesc(v[i], v[j]) })
	r := make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for _, x := range order[i:j] {
			r[x] = float64(i+j-1) / 2
		}
		i = j
	}
	return r
}

func pearson(a, b []float64) float64 {
	var ma, mb float64
	for i := range a {
		ma += a[i] / float64(len(a))
		mb += b[i] / float64(len(b))
	}
	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - ma) * (b[i] - mb)
		aa += (a[i] - ma) * (a[i] - ma)
		bb += (b[i] - mb) * (b[i] - mb)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// Percentile is the smallest value that at least p of the values (0 < p ≤ 1) do not exceed; 0 for none.
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return s[max(int(math.Ceil(p*float64(len(s))))-1, 0)]
}

func cmpDesc(a, b float64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}
