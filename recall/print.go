package recall

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Print writes the report as a table for each part.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }
	line("machine\t%s, %d cores, %s", r.Machine.CPU, r.Machine.Cores, r.Machine.OS)
	if r.Commit != "" {
		line("commit\t%s", r.Commit)
	}
	line("vectors\t%d of %d numbers (%s); %d queries that are not among them", r.N, r.Dim, r.Vectors, r.Queries)
	line("graph\tM %d, efConstruction %d, built by %d threads; one thread searches, by %s time", r.M, r.EfConstruction, r.Threads, r.Clock)
	for _, x := range r.Indexes {
		x.print(line, r.Rounds)
	}
	return t.Flush()
}

func (x *Index) print(line func(string, ...any), rounds int) {
	line("\n%s", x.Name)
	if b := x.Build; b != nil {
		line("  built in\t%.1f s (%.1f s of processor time), %.0f vectors/s", b.Seconds, b.CPU, b.VectorsPS)
		memory := fmt.Sprintf("%.0f bytes a vector in arrays", b.Allocated)
		if b.PerVector > 0 {
			memory += fmt.Sprintf(", %.0f in all that the process grew by", b.PerVector)
		}
		line("  memory\t%s", memory)
	}
	if len(x.Search) > 0 {
		line("\n  ef\trecall@%d\tqueries/s\tP50 ms\tP99 ms\tcompared\t(median of %d rounds)", K, rounds)
		for _, p := range x.Search {
			line("  %d\t%.4f\t%.0f\t%.3f\t%.3f\t%.0f", p.Ef, p.Recall, p.QPS, p.P50MS, p.P99MS, p.Compared)
		}
	}
	for _, bar := range Bars {
		if c, ok := x.at(bar); ok {
			line("  at recall %.2f\t%s queries/s", bar, c)
		} else if len(x.Search) > 0 {
			line("  at recall %.2f\tnot reached", bar)
		}
	}
	if len(x.Filter) > 0 {
		line("\n  filter\tallows %%\tvectors\trecall@%d\tP50 ms\tP95 ms\tcompared\tP95 to that without", K)
		for _, f := range x.Filter {
			line("  %s\t%v\t%d\t%.4f\t%.3f\t%.3f\t%.0f\t%.2f", f.Kind, f.Percent, f.Allowed, f.Recall, f.P50MS, f.P95MS, f.Compared, f.P95MS/x.Filter[0].P95MS)
		}
	}
	if s := x.Restart; s != nil {
		answers := "the same answers"
		if !s.SameAnswers {
			answers = "other answers"
		}
		line("\n  checkpoint\t%.1f MB written and synced in %.2f s; after %d changes %.2f MB more in %.3f s", float64(s.Bytes)/1e6, s.WriteS, changedRows, float64(s.ChangeBytes)/1e6, s.ChangeS)
		line("  restart\tread in %.2f s with the vectors in memory, first answer after %.2f ms more", s.ReadS, s.FirstMS)
		line("  after it\trecall@%d %.4f, %s as before", K, s.Recall, answers)
	}
	if len(x.Churn) > 0 {
		line("\n  round\trecall@%d\tat ef %d\tqueries/s there\tfind themselves\tCheck\tdeletes/s\tadds/s\t(half deleted and added again)", K, churnEf)
		for _, c := range x.Churn {
			line("  %d\t%.4f\t%.4f\t%.0f\t%.4f\t%s\t%.0f\t%.0f", c.Round, c.Recall, c.RecallAt64, c.QPSAt64, c.Found, c.Check, c.DeletesPS, c.AddsPS)
		}
		least := slices.MinFunc(x.Churn, func(a, b Churned) int { return cmp.Compare(a.RecallAt64, b.RecallAt64) })
		line("  least\t%+.4f recall at ef %d against the fresh build", least.RecallAt64-x.Churn[0].RecallAt64, churnEf)
	}
}

func (x *Index) at(recall float64) (Crossing, bool) {
	for _, c := range x.At {
		if c.Recall == recall {
			return c, true
		}
	}
	return Crossing{}, false
}

func (c Crossing) String() string {
	if c.Least {
		return fmt.Sprintf("at least %.0f", c.QPS)
	}
	return fmt.Sprintf("%.0f", c.QPS)
}
