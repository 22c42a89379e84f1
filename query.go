package robin

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Mode says which legs of the search run.
type Mode string

// The modes.
const (
	ModeHybrid   Mode = "hybrid"   // BM25 and vectors, fused
	ModeKeyword  Mode = "keyword"  // BM25 alone
	ModeSemantic Mode = "semantic" // vectors alone
)

// FusionMethod says how the two ranked lists become one.
type FusionMethod string

// The fusion methods.
const (
	// RRF is reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009) with a weight: the sum of
	// coverage³/(k + rank) over the lists that hold the document, ranks from 1. coverage is the share of the query's
	// words that a keyword hit has, see Scores.Coverage; it is 1 in the vector list.
	RRF FusionMethod = "rrf"
	// Relative scales the scores of each list to 0..1, then takes alpha*vector + (1-alpha)*coverage³*bm25.
	Relative FusionMethod = "relative"
)

// RerankMode says when the cross-encoder runs.
type RerankMode string

// The rerank modes.
const (
	RerankAuto   RerankMode = "auto"   // within the budget, when it can change the order; shortened or skipped otherwise
	RerankAlways RerankMode = "always" // all of TopN, whatever it takes
	RerankOff    RerankMode = "off"
)

// Limits on one search. They bound its memory and time.
const (
	MaxQueryBytes   = 4096
	MaxFilterBytes  = 16384
	MaxFilterDepth  = 20
	MaxFilterNodes  = 200
	MaxLimit        = 250
	MaxWindow       = 10_000 // offset + limit
	MaxRerankTopN   = 200
	MaxFacets       = 32
	MaxFacetValues  = 100
	MaxSortKeys     = 8
	MaxFacetRanges  = 64
	DefaultLimit    = 10
	DefaultRRFK     = 60
	DefaultTopN     = 50
	DefaultBudgetMS = 100
)

// Fusion parameters. Pointers, because 0 means something for each.
type Fusion struct {
	Method FusionMethod `json:"method"`
	K      *float64     `json:"k,omitempty"`     // RRF; default 60
	Alpha  *float64     `json:"alpha,omitempty"` // relative: weight of the vector list, 0..1; default 0.5
}

// Rerank parameters. Pointers, so that a 0 is told from nothing: it is refused and not taken for the default.
type Rerank struct {
	Mode     RerankMode `json:"mode"`
	TopN     *int       `json:"top_n,omitempty"`     // how many fused hits the cross-encoder may see; default 50
	BudgetMS *int       `json:"budget_ms,omitempty"` // for the rerank stage, in auto; default 100
}

// FacetRequest asks for the counts of an attribute. In JSON it is the attribute's name, or an object with ranges:
// {"field":"price","ranges":[{"to":20},{"from":20,"to":50},{"from":50}]}.
type FacetRequest struct {
	Field  string       `json:"field"`
	Limit  int          `json:"limit,omitempty"`  // most frequent values; default 10
	Ranges []FacetRange `json:"ranges,omitempty"` // number attributes; default: a few round ranges that fit the values
}

// FacetRange is from ≤ value < to; a nil end is open.
type FacetRange struct {
	From *float64 `json:"from,omitempty"`
	To   *float64 `json:"to,omitempty"`
}

// UnmarshalJSON reads a name or an object.
func (f *FacetRequest) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &f.Field)
	}
	type plain FacetRequest
	return json.Unmarshal(b, (*plain)(f))
}

// Query is one search.
type Query struct {
	Q         string         `json:"q"`                // empty: every document that passes the filter
	Vector    []float32      `json:"vector,omitempty"` // what to search by meaning for, in place of Q's own vector
	Mode      Mode           `json:"mode,omitempty"`
	Filter    string         `json:"filter,omitempty"` // package filter has the grammar
	Facets    []FacetRequest `json:"facets,omitempty"`
	Sort      []string       `json:"sort,omitempty"` // "price:asc", "rating:desc", "_score:desc"
	Limit     *int           `json:"limit,omitempty"`
	Offset    int            `json:"offset,omitempty"`
	Fields    []string       `json:"fields,omitempty"` // top-level fields of the documents to return; empty: all
	Highlight bool           `json:"highlight,omitempty"`
	Fusion    Fusion         `json:"fusion"`
	Rerank    Rerank         `json:"rerank"`
	Explain   bool           `json:"explain,omitempty"`
	Passage   bool           `json:"passage,omitempty"` // show the passage of each hit that is nearest, where texts are cut; explain does, too
	// CollapseDuplicates folds documents that say the same under the best-ranked of them.
	CollapseDuplicates bool `json:"collapse_duplicates,omitempty"`
}

// SimilarQuery asks for documents near a stored document or a text.
type SimilarQuery struct {
	ID     string   `json:"id,omitempty"`
	Text   string   `json:"text,omitempty"`
	Filter string   `json:"filter,omitempty"`
	Limit  *int     `json:"limit,omitempty"`
	Fields []string `json:"fields,omitempty"`
}

// Defaulted returns q with its defaults filled in. It does not validate.
func (q Query) Defaulted() Query {
	if q.Mode == "" {
		q.Mode = ModeHybrid
	}
	if q.Limit == nil {
		q.Limit = ptr(DefaultLimit)
	}
	if q.Fusion.Method == "" {
		q.Fusion.Method = RRF
	}
	if q.Fusion.K == nil {
		q.Fusion.K = ptr(float64(DefaultRRFK))
	}
	if q.Fusion.Alpha == nil {
		q.Fusion.Alpha = ptr(0.5)
	}
	if q.Rerank.Mode == "" {
		q.Rerank.Mode = RerankAuto
	}
	if q.Rerank.TopN == nil {
		q.Rerank.TopN = ptr(DefaultTopN)
	}
	if q.Rerank.BudgetMS == nil {
		q.Rerank.BudgetMS = ptr(DefaultBudgetMS)
	}
	return q
}

// Validate checks a query after Defaulted and names each bad field by its JSON pointer. Whether fields exist in the
// collection, and the filter's grammar, are checked by the search itself.
func (q Query) Validate() error {
	e := &Error{Code: CodeInvalid, Message: "the search request is not valid"}
	bad := func(pointer, format string, args ...any) { e.add(pointer, fmt.Sprintf(format, args...)) }
	if len(q.Q) > MaxQueryBytes {
		bad("/q", "has %d bytes, the limit is %d", len(q.Q), MaxQueryBytes)
	}
	if !utf8.ValidString(q.Q) {
		bad("/q", "is not valid UTF-8")
	}
	if q.Vector != nil && (len(q.Vector) == 0 || len(q.Vector) > MaxDimension) {
		bad("/vector", "has %d numbers, want those of one of the collection's vectors", len(q.Vector))
	}
	switch q.Mode {
	case ModeHybrid, ModeKeyword, ModeSemantic:
	default:
		bad("/mode", "%q is not a mode; use hybrid, keyword or semantic", q.Mode)
	}
	if len(q.Filter) > MaxFilterBytes {
		bad("/filter", "has %d bytes, the limit is %d", len(q.Filter), MaxFilterBytes)
	}
	if len(q.Facets) > MaxFacets {
		bad("/facets", "has %d entries, the limit is %d", len(q.Facets), MaxFacets)
	}
	for i, f := range q.Facets {
		p := fmt.Sprintf("/facets/%d", i)
		if f.Field == "" {
			bad(p, "must name an attribute")
		}
		if f.Limit < 0 || f.Limit > MaxFacetValues {
			bad(p+"/limit", "must be 0 to %d", MaxFacetValues)
		}
		if len(f.Ranges) > MaxFacetRanges {
			bad(p+"/ranges", "has %d entries, the limit is %d", len(f.Ranges), MaxFacetRanges)
		}
	}
	if len(q.Sort) > MaxSortKeys {
		bad("/sort", "has %d keys, the limit is %d", len(q.Sort), MaxSortKeys)
	}
	limit := 0
	if q.Limit != nil {
		limit = *q.Limit
	}
	if limit < 0 || limit > MaxLimit {
		bad("/limit", "must be 0 to %d", MaxLimit)
	}
	if q.Offset < 0 {
		bad("/offset", "must not be negative")
	} else if q.Offset > MaxWindow-max(limit, 0) {
		bad("/offset", "offset + limit must be at most %d", MaxWindow)
	}
	if len(q.Fields) > 256 {
		bad("/fields", "has %d entries, the limit is 256", len(q.Fields))
	}
	switch q.Fusion.Method {
	case RRF, Relative:
	default:
		bad("/fusion/method", "%q is not a method; use rrf or relative", q.Fusion.Method)
	}
	if q.Fusion.K != nil && !(*q.Fusion.K >= 0 && *q.Fusion.K <= 100_000) {
		bad("/fusion/k", "must be 0 to 100000")
	}
	if q.Fusion.Alpha != nil && !(*q.Fusion.Alpha >= 0 && *q.Fusion.Alpha <= 1) {
		bad("/fusion/alpha", "must be 0 to 1")
	}
	switch q.Rerank.Mode {
	case RerankAuto, RerankAlways, RerankOff:
	default:
		bad("/rerank/mode", "%q is not a mode; use auto, always or off", q.Rerank.Mode)
	}
	if n := q.Rerank.TopN; n != nil && (*n < 1 || *n > MaxRerankTopN) {
		bad("/rerank/top_n", "must be 1 to %d", MaxRerankTopN)
	}
	if n := q.Rerank.BudgetMS; n != nil && (*n < 1 || *n > 60_000) {
		bad("/rerank/budget_ms", "must be 1 to 60000")
	}
	return e.orNil()
}

// Validate checks a similar query.
func (q SimilarQuery) Validate() error {
	e := &Error{Code: CodeInvalid, Message: "the request is not valid"}
	if (q.ID == "") == (q.Text == "") {
		e.add("", "give either id or text")
	}
	if len(q.Text) > MaxDocumentBytes {
		e.add("/text", fmt.Sprintf("has %d bytes, the limit is %d", len(q.Text), MaxDocumentBytes))
	}
	if len(q.Filter) > MaxFilterBytes {
		e.add("/filter", fmt.Sprintf("has %d bytes, the limit is %d", len(q.Filter), MaxFilterBytes))
	}
	if q.Limit != nil && (*q.Limit < 0 || *q.Limit > MaxLimit) {
		e.add("/limit", fmt.Sprintf("must be 0 to %d", MaxLimit))
	}
	return e.orNil()
}

func ptr[T any](v T) *T { return &v }
