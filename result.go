package robin

import "encoding/json"

// Hit is one document of a result.
type Hit struct {
	ID        string            `json:"id"`
	Document  json.RawMessage   `json:"document"`
	Score     float64           `json:"score"` // of the last stage that ran; orders hits within one answer only
	Scores    Scores            `json:"scores"`
	Highlight map[string]string `json:"highlight,omitempty"` // field → HTML-escaped text, matches inside <mark></mark>
	Explain   *Explanation      `json:"explain,omitempty"`
	Passage   *PassageMatch     `json:"passage,omitempty"` // with passage or explain
	// Duplicates counts the documents that are folded under this one, with collapse_duplicates; DuplicateIDs are the
	// first ten of them, best first.
	Duplicates   int      `json:"duplicates,omitempty"`
	DuplicateIDs []string `json:"duplicate_ids,omitempty"`
}

// Scores are a hit's parts; nil means that the stage did not see the hit.
type Scores struct {
	Exact  bool     `json:"exact,omitempty"` // the query is this document's id, identifier or title
	BM25   *float64 `json:"bm25,omitempty"`
	Vector *float64 `json:"vector,omitempty"` // cosine
	Fused  *float64 `json:"fused,omitempty"`
	Rerank *float64 `json:"rerank,omitempty"` // cross-encoder, 0..1
	// Coverage is the share of the query's words that the document has, weighted by their rarity; fusion counts a
	// keyword hit by its cube.
	Coverage *float64 `json:"coverage,omitempty"`
	Ranks    Ranks    `json:"ranks"`
}

// Ranks are a hit's places in each list, from 1; nil means that the list did not hold it.
type Ranks struct {
	BM25   *int `json:"bm25,omitempty"`
	Vector *int `json:"vector,omitempty"`
	Fused  *int `json:"fused,omitempty"`
}

// Explanation says how a hit came about, in words and numbers that add up.
type Explanation struct {
	Summary string          `json:"summary"`
	Fusion  string          `json:"fusion,omitempty"` // the formula with this hit's numbers
	Fields  []FieldScore    `json:"fields,omitempty"` // BM25 by field
	Terms   []string        `json:"terms,omitempty"`  // query terms found in the document
	BM25    json.RawMessage `json:"bm25,omitempty"`   // the scorer's own tree
}

// FieldScore is one field's share of a BM25 score.
type FieldScore struct {
	Field string  `json:"field"`
	Score float64 `json:"score"`
}

// Facet holds an attribute's counts over the whole candidate set, the same on every page.
type Facet struct {
	Values []FacetValue `json:"values,omitempty"` // keyword and bool: most frequent first, then by value
	Other  int          `json:"other,omitempty"`  // documents' values beyond Values
	Ranges []RangeCount `json:"ranges,omitempty"` // number
	Min    *float64     `json:"min,omitempty"`
	Max    *float64     `json:"max,omitempty"`
}

// FacetValue is one value with the number of candidates that have it.
type FacetValue struct {
	Value any `json:"value"` // string or bool
	Count int `json:"count"`
}

// RangeCount is one range with the number of candidates whose value lies in it.
type RangeCount struct {
	FacetRange
	Count int `json:"count"`
}

// RerankStatus tells what the cross-encoder did.
type RerankStatus string

// The rerank states.
const (
	RerankFull    RerankStatus = "full"
	RerankPartial RerankStatus = "partial" // the budget ended it: Scored of TopN were seen
	RerankSkipped RerankStatus = "skipped"
)

// RerankReport is the rerank part of a result.
type RerankReport struct {
	Status RerankStatus `json:"status"`
	Reason string       `json:"reason,omitempty"`
	Scored int          `json:"scored"`
}

// Timings are a search's stages in milliseconds. BM25 and the embedding with the vector search run side by side, so
// the parts may add up to more than the whole.
type Timings struct {
	Parse     float64 `json:"parse_ms"`
	Embed     float64 `json:"embed_ms"`
	Vector    float64 `json:"vector_ms"`
	BM25      float64 `json:"bm25_ms"`
	Fuse      float64 `json:"fuse_ms"`
	Rerank    float64 `json:"rerank_ms"`
	Collapse  float64 `json:"collapse_ms"`
	Facets    float64 `json:"facets_ms"`
	Fetch     float64 `json:"fetch_ms"`
	Highlight float64 `json:"highlight_ms"`
}

// Result answers a search.
type Result struct {
	Hits     []Hit            `json:"hits"`
	Total    int              `json:"total"`    // size of the candidate set: the same on every page
	TotalIs  string           `json:"total_is"` // "exact": all matches; "candidates": keyword matches and nearest vectors together
	Facets   map[string]Facet `json:"facets,omitempty"`
	TookMS   float64          `json:"took_ms"`
	Timings  Timings          `json:"timings"`
	Rerank   RerankReport     `json:"rerank"`
	Models   Models           `json:"models"`
	Degraded []string         `json:"degraded"`           // parts that did not work: "text", "vectors", "embedder", "reranker"
	Warnings []string         `json:"warnings,omitempty"` // such as a query longer than the model's limit
	Plan     map[string]any   `json:"plan,omitempty"`     // with explain: how the vector leg ran, candidate counts
}
