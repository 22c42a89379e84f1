package eval

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Compare lists every relevance figure of now that is more than tolerance below the baseline. Latencies are not
// compared: machines differ.
func Compare(baseline, now *Report, tolerance float64) []string {
	var worse []string
	check := func(stage, metric string, was, is float64) {
		if is < was-tolerance {
			worse = append(worse, fmt.Sprintf("%s %s fell from %.4f to %.4f", stage, metric, was, is))
		}
	}
	for _, name := range StageNames {
		was, ok := baseline.Stages[name]
		if !ok {
			continue
		}
		is := now.Stages[name]
		check(name, "ndcg@10", was.NDCG10, is.NDCG10)
		check(name, "mrr@10", was.MRR10, is.MRR10)
		check(name, "recall@100", was.Recall100, is.Recall100)
	}
	return worse
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
	if m := r.Models.Embedder; m != nil {
		fmt.Fprintf(w, "embedder %s version %s (%.12s)\n", m.Name, m.Version, m.Fingerprint)
	}
	if m := r.Models.Reranker; m != nil {
		fmt.Fprintf(w, "reranker %s version %s (%.12s)\n", m.Name, m.Version, m.Fingerprint)
	}
	return nil
}
