package eval

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestNDCGIsTheDiscountedGainOverTheIdeal(t *testing.T) {
	gains := map[string]float64{"a": 3, "b": 2, "c": 0}
	ideal := 3/math.Log2(2) + 2/math.Log2(3)
	near(t, "the ideal order", NDCG([]string{"a", "b", "c"}, gains, 10), 1)
	near(t, "b before a", NDCG([]string{"b", "a"}, gains, 10), (2/math.Log2(2)+3/math.Log2(3))/ideal)
	near(t, "an unjudged first hit", NDCG([]string{"x", "a", "b"}, gains, 10), (3/math.Log2(3)+2/math.Log2(4))/ideal)
	near(t, "a cut at 1", NDCG([]string{"b", "a"}, gains, 1), 2.0/3)
	near(t, "no hits", NDCG(nil, gains, 10), 0)
	near(t, "nothing relevant", NDCG([]string{"c"}, map[string]float64{"c": 0}, 10), 0)
}

func TestMRRAndRecallCountOnlyRelevantDocumentsWithinK(t *testing.T) {
	gains := map[string]float64{"a": 1, "b": 2, "wrong": 0}
	near(t, "MRR of a third place", MRR([]string{"x", "wrong", "a"}, gains, 10), 1.0/3)
	near(t, "MRR beyond k", MRR([]string{"x", "wrong", "a"}, gains, 2), 0)
	near(t, "recall of one of two", Recall([]string{"a", "x"}, gains, 10), 0.5)
	near(t, "recall beyond k", Recall([]string{"x", "a", "b"}, gains, 2), 0.5)
	near(t, "recall without relevant documents", Recall([]string{"x"}, nil, 10), 0)
}

func TestBestThresholdGivesTheHighestF1(t *testing.T) {
	scores := []float64{0.9, 0.8, 0.7, 0.6, 0.5}
	labels := []float64{1, 1, 0, 1, 0}
	// ≥ 0.6: 3 right, 1 wrong, none missed: F1 = 6/7. ≥ 0.8: 2 right, 1 missed: 4/5.
	near(t, "the threshold", BestThreshold(scores, labels), 0.6)
	near(t, "F1 there", F1(scores, labels, 0.6), 6.0/7)
	near(t, "F1 when nothing is called a match", F1(scores, labels, 2), 0)
	// Equal scores cannot be parted: at 0.5 all three are called matches.
	near(t, "tied scores", BestThreshold([]float64{0.5, 0.5, 0.5}, []float64{1, 0, 1}), 0.5)
}

func TestSpearmanSeesOrderOnlyAndSharesTies(t *testing.T) {
	near(t, "a monotone curve", Spearman([]float64{1, 2, 3, 4}, []float64{1, 10, 100, 1000}), 1)
	near(t, "the reverse", Spearman([]float64{1, 2, 3}, []float64{3, 2, 1}), -1)
	near(t, "a constant", Spearman([]float64{1, 1, 1}, []float64{1, 2, 3}), 0)
	// ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: covariance 4.5, variances 4.5 and 5
	near(t, "a tie", Spearman([]float64{1, 2, 2, 3}, []float64{1, 2, 3, 4}), 4.5/math.Sqrt(4.5*5))
}

func TestPercentileIsAValueThatWasSeen(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3}
	near(t, "the median", Percentile(v, 0.5), 3)
	near(t, "P95 of five", Percentile(v, 0.95), 5)
	near(t, "P20 of five", Percentile(v, 0.2), 1)
	near(t, "none", Percentile(nil, 0.5), 0)
}
