package eval

import (
	"strings"
	"testing"
)

// full is a report in which every stage has the same figures.
func full(ndcg, mrr, recall float64) *Report {
	rep := &Report{Queries: 7, Stages: map[string]Stage{}}
	for _, name := range StageNames {
		rep.Stages[name] = Stage{NDCG10: ndcg, MRR10: mrr, Recall100: recall, P95: 10}
	}
	return rep
}

func TestCompareNamesOnlyWhatFellBeyondTheTolerance(t *testing.T) {
	base, now := full(0.7, 0.8, 0.9), full(0.7, 0.8, 0.9)
	now.Stages["hybrid"] = Stage{NDCG10: 0.68, MRR10: 0.795, Recall100: 0.95, P95: 99}
	worse, err := Compare(base, now, 0.01)
	if err != nil || len(worse) != 1 || worse[0] != "hybrid ndcg@10 fell from 0.7000 to 0.6800" {
		t.Errorf("got %q, %v", worse, err)
	}
}

func TestCompareSeesPairsFall(t *testing.T) {
	f := func(was, is PairReport, want string) {
		t.Helper()
		worse, err := Compare(&Report{Pairs: &was}, &Report{Pairs: &is}, 0.01)
		if got := strings.Join(worse, "; "); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	half, more := 0.5, 0.8
	f(PairReport{Spearman: &more}, PairReport{Spearman: &half}, "pairs spearman fell from 0.8000 to 0.5000")
	f(PairReport{Spearman: &half}, PairReport{Spearman: &more}, "")
	f(PairReport{F1: &more}, PairReport{F1: &half}, "pairs f1 fell from 0.8000 to 0.5000")
	f(PairReport{F1: &half}, PairReport{F1: &half}, "")
}

func TestReportsOfDifferentThingsAreNotCompared(t *testing.T) {
	f := func(was, is *Report, want string) {
		t.Helper()
		if _, err := Compare(was, is, 0.01); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	v := 0.5
	pairs := func(p PairReport) *Report { return &Report{Pairs: &p} }
	part := full(1, 1, 1)
	delete(part.Stages, "reranked")
	fewer := full(1, 1, 1)
	fewer.Queries = 6
	f(&Report{}, full(1, 1, 1), "keyword is measured in this run only")
	f(part, full(1, 1, 1), "reranked is measured in this run only")
	f(full(1, 1, 1), part, "reranked is measured in the baseline only")
	f(fewer, full(1, 1, 1), "of 6 judged queries, this run of 7")
	f(full(1, 1, 1), pairs(PairReport{F1: &v}), "keyword is measured in the baseline only")
	f(pairs(PairReport{Spearman: &v}), pairs(PairReport{F1: &v}), "the other F1")
	f(pairs(PairReport{F1: &v, Pairs: 2}), pairs(PairReport{F1: &v, Pairs: 3}), "of 2 pairs, this run of 3")
	f(full(1, 1, 1), &Report{}, "nothing that is judged")
}

func TestABaselineWithoutFiguresIsRefused(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := ReadBaseline([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	f(`{}`, "no figures")
	f(`null`, "no figures")
	f(`{"pairs":{"pairs":3}}`, "no figures")
	f(`{"stages":{"keyword":{}}}`, "keyword has no ndcg@10")
	f(`{"stages":{"keyword":{"ndcg@10":1,"mrr@10":1,"recall@100":null}}}`, "keyword has no recall@100")
	f(`[]`, "cannot unmarshal")
}
