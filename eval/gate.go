package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// ReadBaseline reads the report of an earlier run. A report without a figure to compare with, or with a stage that lacks
// one, is refused: a figure that is not there would be read as 0, and everything passes that.
func ReadBaseline(b []byte) (*Report, error) {
	var rep Report
	var named struct {
		Stages map[string]map[string]any `json:"stages"`
	}
	if err := errors.Join(json.Unmarshal(b, &rep), json.Unmarshal(b, &named)); err != nil {
		return nil, err
	}
	if len(rep.Stages) == 0 && !rep.Pairs.measured() {
		return nil, errors.New("it has no figures: a baseline is what robin eval --json printed")
	}
	for _, stage := range slices.Sorted(maps.Keys(named.Stages)) {
		for _, metric := range []string{"ndcg@10", "mrr@10", "recall@100"} {
			if _, ok := named.Stages[stage][metric].(float64); !ok {
				return nil, fmt.Errorf("its stage %s has no %s", stage, metric)
			}
		}
	}
	return &rep, nil
}

// measured says whether p holds a figure. It may be nil.
func (p *PairReport) measured() bool { return p != nil && (p.F1 != nil || p.Spearman != nil) }

// Compare lists every relevance figure of now that is more than tolerance below the baseline. Both must hold the same
// figures of as many queries and pairs, or there is nothing to learn from a comparison. Latencies are not compared:
// machines differ.
func Compare(baseline, now *Report, tolerance float64) (worse []string, err error) {
	if err := sameFigures(baseline, now); err != nil {
		return nil, fmt.Errorf("%w: make a new baseline with robin eval --json", err)
	}
	check := func(what, metric string, was, is float64) {
		if !(is >= was-tolerance) {
			worse = append(worse, fmt.Sprintf("%s %s fell from %.4f to %.4f", what, metric, was, is))
		}
	}
	for _, name := range StageNames {
		was, is := baseline.Stages[name], now.Stages[name]
		check(name, "ndcg@10", was.NDCG10, is.NDCG10)
		check(name, "mrr@10", was.MRR10, is.MRR10)
		check(name, "recall@100", was.Recall100, is.Recall100)
	}
	if was, is := baseline.Pairs, now.Pairs; was.measured() && was.Spearman != nil {
		check("pairs", "spearman", *was.Spearman, *is.Spearman)
	} else if was.measured() {
		check("pairs", "f1", *was.F1, *is.F1)
	}
	return worse, nil
}

// sameFigures names the first difference in what the two reports measured.
func sameFigures(baseline, now *Report) error {
	if len(now.Stages) == 0 && !now.Pairs.measured() {
		return errors.New("this folder has nothing that is judged")
	}
	for _, name := range StageNames {
		_, was := baseline.Stages[name]
		_, is := now.Stages[name]
		if was != is {
			return fmt.Errorf("the stage %s is measured %s", name, onlyIn(was))
		}
	}
	if was, is := baseline.Pairs.measured(), now.Pairs.measured(); was != is {
		return fmt.Errorf("pairs are measured %s", onlyIn(was))
	}
	if baseline.Queries != now.Queries {
		return fmt.Errorf("the baseline is of %d judged queries, this run of %d", baseline.Queries, now.Queries)
	}
	if was, is := baseline.Pairs, now.Pairs; is.measured() {
		switch {
		case was.Pairs != is.Pairs:
			return fmt.Errorf("the baseline is of %d pairs, this run of %d", was.Pairs, is.Pairs)
		case (was.Spearman == nil) != (is.Spearman == nil) || was.Spearman == nil && (was.F1 == nil || is.F1 == nil):
			return errors.New("one has Spearman of its pairs, the other F1")
		}
	}
	return nil
}

func onlyIn(baseline bool) string {
	if baseline {
		return "in the baseline only"
	}
	return "in this run only"
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "%s: %d documents, %d judged queries\n", r.Folder, r.Documents, r.Queries)
	if r.Dropped > 0 {
		fmt.Fprintf(w, "%d documents of the source that the queries come from are left out\n", r.Dropped)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Stages) > 0 {
		fmt.Fprintln(tw, "stage\tnDCG@10\tMRR@10\trecall@100\ttop grade in 5\tjudged@10\tP50 ms\tP95 ms\t")
		row := func(name string, s Stage) {
			fmt.Fprintf(tw, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.2f\t%.1f\t%.1f\t\n",
				name, s.NDCG10, s.MRR10, s.Recall100, s.Success5, s.Judged10, s.P50, s.P95)
		}
		for _, name := range StageNames {
			row(name, r.Stages[name])
		}
		kinds := make([]string, 0, len(r.Kinds))
		for k := range r.Kinds {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		for _, kind := range kinds {
			for _, name := range StageNames {
				row(kind+" "+name, r.Kinds[kind][name])
			}
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if p := r.Pairs; p != nil {
		switch {
		case p.Spearman != nil:
			fmt.Fprintf(w, "%d pairs: Spearman %.3f\n", p.Pairs, *p.Spearman)
		case p.F1 != nil:
			fmt.Fprintf(w, "%d pairs: F1 %.3f on %s at cosine ≥ %.3f\n", p.Pairs, *p.F1, p.F1Split, *p.Threshold)
		}
	}
	if r.Duplicates != nil {
		r.Duplicates.print(w)
	}
	if m := r.Models.Embedder; m != nil {
		fmt.Fprintf(w, "embedder %s version %s (%.12s)\n", m.Name, m.Version, m.Fingerprint)
	}
	if m := r.Models.Reranker; m != nil {
		fmt.Fprintf(w, "reranker %s version %s (%.12s)\n", m.Name, m.Version, m.Fingerprint)
	}
	return nil
}
