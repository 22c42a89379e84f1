package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"robin"
)

// output writes what was found where and as it was asked for.
func (c *duplicatesCmd) output(e *env, f duplicatesFound) error {
	return toFile(e, c.Output, func(w io.Writer) error {
		if c.Format != "text" {
			return f.write(w, c.Format)
		}
		limit := c.Limit
		if c.JSON {
			limit = 0
		}
		rep, err := f.cut(limit)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(w, rep)
		}
		out := bufio.NewWriter(w)
		printDuplicates(out, rep)
		return out.Flush()
	})
}

// printLearnt says how well a rule does that was just learnt.
func printLearnt(w io.Writer, rep robin.RuleReport) {
	fmt.Fprintf(w, "learnt from %d pairs, %d of them the same; on pairs it had not seen: precision %.3f, recall %.3f, F1 %.3f (by the cosine alone %.3f)\n",
		rep.Labels, rep.Same, rep.Precision, rep.Recall, rep.F1, rep.Plain)
	if rep.Target > 0 && !rep.Reached {
		fmt.Fprintf(w, "a precision of %g was not reached; more labels of pairs that are hard to tell may help\n", rep.Target)
	}
}

// printDuplicates writes a report for a person: the clusters, then the sums.
func printDuplicates(w io.Writer, rep robin.DuplicateReport) {
	for i, g := range rep.Clusters {
		fmt.Fprintf(w, "%3d. keep  %s  (%s: %s)\n", i+1, printable(g.Title), printable(g.Kept), printable(g.Why))
		for _, m := range g.Members {
			reason := m.Reason
			if m.Cross != nil {
				reason += fmt.Sprintf(", cross-encoder %.2f", *m.Cross)
			}
			fmt.Fprintf(w, "     %.3f %s  (%s: %s)\n", m.Score, printable(m.Title), printable(m.ID), printable(reason))
		}
	}
	if more := rep.Total - len(rep.Clusters); more > 0 {
		fmt.Fprintf(w, "and %d more clusters (--limit 0 shows all)\n", more)
	}
	what := "cosine"
	if len(rep.Rule.Weights) > 0 {
		what = "probability"
	}
	fmt.Fprintf(w, "%s: %s with %s at a %s of %g; %d with a copy of their text\n", counted(rep.Documents, "document"),
		counted(rep.Total, "cluster"), counted(rep.Duplicates, "duplicate"), what, rep.Threshold, rep.Exact)
	if rep.Pairs > 0 {
		fmt.Fprintf(w, "near pairs by cosine: %s\n", bandsLine(rep.Histogram))
	}
	if rep.Saturated > 0 {
		fmt.Fprintf(w, "%d documents have more near pairs than are counted here\n", rep.Saturated)
	}
	if rep.Uncrossed > 0 {
		fmt.Fprintf(w, "the cross-encoder read the %d pairs nearest to the threshold, and not %d others\n", rep.Crossed, rep.Uncrossed)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bandsLine sums up a histogram in a few bands: how many pairs, and of them how many are duplicates by the rule.
func bandsLine(bands []robin.SimilarityBand) string {
	const wide = 5 // bands of 0.01 in one here
	var parts []string
	for to := len(bands); to > 0; to -= wide {
		from := max(0, to-wide)
		pairs, same := 0, 0
		for _, b := range bands[from:to] {
			pairs, same = pairs+b.Pairs, same+b.Same
		}
		if pairs == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%.2f–%.2f %d (%d the same)", bands[from].From, bands[to-1].To, pairs, same))
	}
	return strings.Join(parts, ", ")
}
