package indexer

import (
	"strings"
	"unicode"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"

	"robin"
	"robin/attr"
)

// Beside the text fields, a document in the text index has what no user's field can be called:
const (
	// fieldExact holds the keys of the exact lane, one term each: the id, the identifiers, the title.
	fieldExact = "\x00exact"
	// markLength is one more term of each text field that has text. Its posting list names the documents that have the
	// field, with its length, which is what BM25 needs: bleve itself takes the number of different terms in the index
	// for the sum of all lengths, the square root of a frequency for the frequency, and the square of an idf for the idf.
	markLength = "\x00length"
)

const (
	exactIdentifier = 'i' // first byte of an exact key: what it was made of
	exactTitle      = 't'
	// maxExact is the longest identifier or title that has an exact key, in bytes. A query is hardly ever longer.
	maxExact = 1024
)

// hiddenFields adds what the exact lane and BM25 need.
func (t *textIndex) hiddenFields(doc *document.Document, d *parsed) {
	hidden := func(field, term string) {
		// Without an analyzer the value is the term.
		doc.AddField(document.NewTextFieldCustom(field, nil, []byte(term), index.IndexField, nil))
	}
	for _, f := range t.fields {
		if len(d.texts(f.name)) > 0 {
			hidden(f.name, markLength)
		}
	}
	keys := map[string]bool{}
	key := func(kind byte, value string) {
		if k := exactKey(kind, value); k != "" {
			keys[k] = true
		}
	}
	key(exactIdentifier, d.id)
	for _, name := range t.settings.Identifiers {
		for _, value := range d.texts(name) {
			key(exactIdentifier, value)
		}
	}
	if len(t.fields) > 0 {
		key(exactTitle, d.text(t.fields[0].name))
	}
	for k := range keys {
		hidden(fieldExact, k)
	}
}

// exactKey is the form in which a query equals an identifier or a title, or "" when there is none. Case never counts;
// in an identifier neither do spaces and dashes, which people put in and leave out; in a title only runs of space.
func exactKey(kind byte, value string) string {
	if len(value) > maxExact {
		return ""
	}
	value = attr.Fold(value)
	if kind == exactIdentifier {
		value = strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || r == '_' {
				return -1
			}
			return r
		}, value)
	} else {
		value = strings.Join(strings.Fields(value), " ")
	}
	if value == "" {
		return ""
	}
	return string(kind) + value
}

const (
	// maxQueryTerms bounds the different words of a query that are searched. Nobody types more; a pasted page has
	// said what it is about by then.
	maxQueryTerms = 64
	// maxQueryTokens bounds the words that are looked at to find those.
	maxQueryTokens = 1024
)

// queryWord is one word of a query, as each field's analyzer makes it. A word that an analyzer drops, or that nothing
// has, is not in its terms.
type queryWord struct {
	text   string // as it was typed
	terms  []fieldTerm
	weight float64 // how often it was typed, or less when it is only like what was typed
	last   bool    // nothing follows it: it may be unfinished
	whole  bool    // only fields that are not cut into words know it: it is the query as one term
	like   []string
}

type fieldTerm struct {
	field int // place in textIndex.fields
	term  string
}

// words analyses a query. Words that lead to the same terms are one. dropped counts the words beyond maxQueryTerms.
func (t *textIndex) words(q string) (words []queryWord, dropped int) {
	type place struct{ start, end int }
	at := map[place]int{} // of a token in the query → its word
	var all []queryWord
	analyzed := map[robin.Analyzer]analysis.TokenStream{}
	for i, f := range t.fields {
		kind := t.settings.Text[i].Analyzer
		tokens, ok := analyzed[kind]
		if !ok {
			tokens = f.analyzer.Analyze([]byte(q))
			if len(tokens) > maxQueryTokens {
				dropped = max(dropped, len(tokens)-maxQueryTokens)
				tokens = tokens[:maxQueryTokens]
			}
			analyzed[kind] = tokens
		}
		for _, token := range tokens {
			p := place{token.Start, token.End}
			n, ok := at[p]
			if !ok {
				n = len(all)
				at[p] = n
				all = append(all, queryWord{text: q[p.start:p.end], weight: 1, last: p.end == len(q), whole: true})
			}
			all[n].whole = all[n].whole && kind == robin.Exact
			all[n].terms = append(all[n].terms, fieldTerm{i, string(token.Term)})
		}
	}
	seen := map[string]int{}
	for _, w := range all {
		var key strings.Builder
		for _, ft := range w.terms {
			key.WriteByte(byte(ft.field))
			key.WriteString(ft.term)
			key.WriteByte(0)
		}
		if n, ok := seen[key.String()]; ok {
			words[n].weight++
			words[n].last = words[n].last || w.last
			continue
		}
		if len(words) == maxQueryTerms {
			dropped++
			continue
		}
		seen[key.String()] = len(words)
		words = append(words, w)
	}
	return words, dropped
}

// termsByField gives the terms that count as a match in each field, for highlighting.
func (t *textIndex) termsByField(words []queryWord) []map[string]bool {
	out := make([]map[string]bool, len(t.fields))
	for i := range out {
		out[i] = map[string]bool{}
	}
	for _, w := range words {
		for _, ft := range w.terms {
			out[ft.field][ft.term] = true
		}
	}
	return out
}
