package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/term"

	"robin"
)

// Run searches a data folder or a running server.
func (c *searchCmd) Run(e *env) error {
	if err := checkCollection(c.Collection); err != nil {
		return err
	}
	q := robin.Query{
		Q: c.Q, Mode: robin.Mode(c.Mode), Filter: c.Filter, Sort: c.Sort, Limit: &c.Limit, Offset: c.Offset,
		Fields: c.Field, Highlight: true, Explain: c.Explain,
		Fusion: robin.Fusion{Method: robin.FusionMethod(c.Fusion), Alpha: c.Alpha},
		Rerank: robin.Rerank{Mode: robin.RerankMode(c.Rerank), TopN: &c.TopN, BudgetMS: &c.BudgetMS},
	}
	for _, f := range c.Facet {
		q.Facets = append(q.Facets, robin.FacetRequest{Field: f})
	}
	res, err := c.ask(e, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, res)
	}
	printResult(e.stdout, res, c.Offset, c.Explain)
	return nil
}

func (c *searchCmd) ask(e *env, q robin.Query) (*robin.Result, error) {
	if c.URL != "" {
		cl, err := newClient(c.URL)
		if err != nil {
			return nil, err
		}
		var res robin.Result
		return &res, cl.call(e.ctx, http.MethodPost, "/collections/"+c.Collection+"/search", q, &res)
	}
	d, err := openExisting(e, c.Data, c.inference)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.engine.Search(e.ctx, c.Collection, q)
}

// printResult shows hits as a person reads them: a title line, the other short fields, then why with --explain.
func printResult(w io.Writer, res *robin.Result, offset int, explain bool) {
	mark := marker(w)
	for i, h := range res.Hits {
		title, rest := summarise(h)
		fmt.Fprintf(w, "%3d. %.3f  %s  (%s)\n", offset+i+1, h.Score, mark(title), h.ID)
		if rest != "" {
			fmt.Fprintf(w, "            %s\n", rest)
		}
		if explain && h.Explain != nil {
			fmt.Fprintf(w, "            %s\n", h.Explain.Summary)
			if p := h.Passage; p != nil && p.Of > 1 {
				fmt.Fprintf(w, "            passage %d of %d: %s\n", p.Number, p.Of, p.Text)
			}
		}
	}
	names := make([]string, 0, len(res.Facets))
	for n := range res.Facets {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(w, "%s:", n)
		for _, v := range res.Facets[n].Values {
			fmt.Fprintf(w, " %v (%d)", v.Value, v.Count)
		}
		for _, r := range res.Facets[n].Ranges {
			fmt.Fprintf(w, " %s (%d)", rangeName(r.FacetRange), r.Count)
		}
		fmt.Fprintln(w)
	}
	t := res.Timings
	fmt.Fprintf(w, "%d of %d in %.0f ms (BM25 %.0f, embed %.0f, vectors %.0f, rerank %.0f: %s)\n",
		len(res.Hits), res.Total, res.TookMS, t.BM25, t.Embed, t.Vector, t.Rerank,
		cmp.Or(res.Rerank.Reason, string(res.Rerank.Status)))
	for _, d := range res.Degraded {
		fmt.Fprintf(w, "degraded: %s did not answer\n", d)
	}
	for _, s := range res.Warnings {
		fmt.Fprintf(w, "note: %s\n", s)
	}
}

// summarise gives a hit's title, highlighted where it is, and its other short values.
func summarise(h robin.Hit) (title, rest string) {
	dec := json.NewDecoder(strings.NewReader(string(h.Document)))
	_, _ = dec.Token() // the brace: documents are objects
	var parts []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			break
		}
		var v any
		if dec.Decode(&v) != nil {
			break
		}
		text := fmt.Sprint(v)
		switch name := fmt.Sprint(key); {
		case name == "title" || name == "name":
			title = text
			if hl := h.Highlight[name]; hl != "" {
				title = hl
			}
		case text == h.ID || len(text) > 40 || len(parts) >= 6:
		default:
			if _, nested := v.(map[string]any); !nested {
				parts = append(parts, name+" "+text)
			}
		}
	}
	if title == "" {
		title = h.ID
	}
	return title, strings.Join(parts, " · ")
}

// marker turns <mark> into bold on a terminal and into nothing elsewhere. A document cannot steer the terminal.
func marker(w io.Writer) func(string) string {
	on, off := "", ""
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		on, off = "\x1b[1m", "\x1b[0m"
	}
	return func(s string) string {
		return html.UnescapeString(strings.NewReplacer("<mark>", on, "</mark>", off).Replace(printable(s)))
	}
}

// printable gives s without control characters, which could steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func rangeName(r robin.FacetRange) string {
	switch {
	case r.From == nil && r.To == nil:
		return "any"
	case r.From == nil:
		return fmt.Sprintf("below %g", *r.To)
	case r.To == nil:
		return fmt.Sprintf("%g and up", *r.From)
	}
	return fmt.Sprintf("%g to %g", *r.From, *r.To)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
