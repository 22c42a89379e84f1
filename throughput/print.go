package throughput

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) error {
	what := "documents"
	if r.Task == "rerank" {
		what = "pairs"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("machine", "%s, %d cores, %s", r.Machine.CPU, r.Machine.Cores, r.Machine.OS)
	if r.Machine.Runtime != "" {
		row("", "ONNX Runtime %s", r.Machine.Runtime)
	}
	row("model", "%s version %s, fingerprint %.12s", r.Model.Name, r.Model.Version, r.Model.Fingerprint)
	row("measured", "%d %s, %d tokens, %d bytes; %d rounds, %d threads, %d to a call", r.Texts, what, r.Tokens, r.Bytes, r.Rounds, r.Threads, r.Batch)
	row(what+"/s", "%.0f", r.TextsPerS)
	row("tokens/s", "%.0f", r.TokensPerS)
	if r.Task == "tokenize" {
		row("MB/s", "%.1f", r.TextsPerS*float64(r.Bytes)/float64(r.Texts)/1e6)
	}
	row("a call", "P50 %.1f ms, P95 %.1f ms", r.P50MS, r.P95MS)
	if s := r.Shares; s != nil {
		row("of its time", "%.1f %% tokenizing, %.1f %% waiting, %.1f %% inference", 100*s.Tokenize, 100*s.Queue, 100*s.Infer)
		row("padding", "%.1f %% of the tokens computed", 100*s.Padding)
	}
	if b := r.Bare; b != nil {
		row("bare session", "%.0f %s/s, tokenized and sorted before, %d tokens to a batch, %d side by side", b.TextsPerS, what, b.BatchTokens, b.Side)
		row("share of it", "%s", b.Ratio)
	}
	if p := r.Peak; p != nil {
		row("matrix peak", "%.0f × 10⁹ operations/s of %s; the model's %.0f", p.GOPS, p.Type, p.ModelOPS)
		row("share of it", "%s", p.Ratio)
	}
	return t.Flush()
}

// String shows the median with what it lies between.
func (r Ratio) String() string { return fmt.Sprintf("%.3f (%.3f to %.3f)", r.Median, r.Least, r.Most) }
