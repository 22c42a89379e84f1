package indexer

import (
	"html"
	"strings"
	"testing"
	"unicode/utf8"

	"robin"
)

// FuzzHighlight holds that whatever a document and a query say, the only markup is balanced marks, and that without it
// the fragment is a part of the text.
func FuzzHighlight(f *testing.F) {
	f.Add("<b>mug</b> & mugs", "mug")
	f.Add(strings.Repeat("größe 日本語 ", 60)+"mug"+strings.Repeat("\u0302\u200d👩‍👩‍👧", 50), "MUG 日本")
	f.Add(strings.Repeat("a", 1000), strings.Repeat("a", 1000))
	f.Add("</mark><mark>x", "mark x")
	s := robin.Settings{Text: []robin.TextField{{Field: "a"}, {Field: "b", Analyzer: robin.Standard}, {Field: "c", Analyzer: robin.Exact}}, EmbedTemplate: "{{a}}"}.Defaulted()
	sc, err := newSchema(1, s, nil)
	if err != nil {
		f.Fatal(err)
	}
	t, err := newTextIndex("", sc)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(tt *testing.T, text, query string) {
		if !utf8.ValidString(text) || !utf8.ValidString(query) {
			return // neither can be in a document or a query
		}
		words, _ := t.words(query)
		value := appendQuoted(nil, text)
		d := &parsed{fields: []field{{"a", value}, {"b", value}, {"c", value}}}
		h := &highlighter{text: t, terms: t.termsByField(words)}
		for name, got := range h.fields(d) {
			bare := strings.ReplaceAll(strings.ReplaceAll(got, "<mark>", ""), "</mark>", "")
			if strings.ContainsAny(bare, `<>"'`) || strings.Count(got, "<mark>") != strings.Count(got, "</mark>") {
				tt.Fatalf("%s: markup in %q", name, got)
			}
			if !utf8.ValidString(got) {
				tt.Fatalf("%s: %q is not valid UTF-8", name, got)
			}
			bare = html.UnescapeString(strings.TrimSuffix(strings.TrimPrefix(bare, "… "), " …"))
			if !strings.Contains(text, bare) && !strings.Contains(text, strings.TrimSpace(bare)) {
				tt.Fatalf("%s: %q is no part of %q", name, bare, text)
			}
		}
	})
}
