package indexer

import (
	"fmt"

	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/token/length"
	_ "github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	_ "github.com/blevesearch/bleve/v2/analysis/tokenizer/single"
	_ "github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/mapping"
	index "github.com/blevesearch/bleve_index_api"

	"robin"
)

// maxTerm is the longest term that is indexed, in characters. Nobody types a longer one, and a megabyte of text without
// a space would be one term.
const maxTerm = 255

// analyzerName is the name under which textMapping defines an analyzer.
func analyzerName(a robin.Analyzer) string { return "robin_" + string(a) }

// textMapping describes the text fields to bleve's queries, and defines the analyzers.
func textMapping(s robin.Settings) (*mapping.IndexMappingImpl, error) {
	m := mapping.NewIndexMapping()
	m.ScoringModel = index.BM25Scoring
	m.DefaultMapping = mapping.NewDocumentStaticMapping()
	err := m.AddCustomTokenFilter("robin_length", map[string]any{"type": length.Name, "min": 1.0, "max": float64(maxTerm)})
	if err != nil {
		return nil, fmt.Errorf("text mapping: %w", err)
	}
	for name, def := range map[robin.Analyzer]struct {
		tokenizer string
		filters   []any
	}{
		robin.English:  {"unicode", []any{"robin_length", "possessive_en", "to_lower", "stop_en", "stemmer_en_snowball"}},
		robin.Standard: {"unicode", []any{"robin_length", "to_lower"}},
		robin.Exact:    {"single", []any{"robin_length", "to_lower"}},
	} {
		err := m.AddCustomAnalyzer(analyzerName(name), map[string]any{
			"type": custom.Name, "tokenizer": def.tokenizer, "token_filters": def.filters,
		})
		if err != nil {
			return nil, fmt.Errorf("text mapping: analyzer %s: %w", name, err)
		}
	}
	for _, f := range s.Text {
		fm := mapping.NewTextFieldMapping()
		fm.Name, fm.Analyzer = f.Field, analyzerName(f.Analyzer)
		fm.Store, fm.DocValues, fm.IncludeInAll, fm.IncludeTermVectors = false, false, false, false
		m.DefaultMapping.AddFieldMappingsAt(f.Field, fm)
	}
	m.DefaultAnalyzer = analyzerName(robin.English)
	return m, m.Validate()
}
