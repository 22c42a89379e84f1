package robin

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// DuplicatePolicy is what a write does with a new document that says what a stored one says.
type DuplicatePolicy string

// The policies. Each but accept names the stored twin in the answer.
const (
	DuplicatesAccept DuplicatePolicy = "accept" // do not look; the default
	DuplicatesFlag   DuplicatePolicy = "flag"   // write it, marked as a possible duplicate of its twin
	DuplicatesLink   DuplicatePolicy = "link"   // write it, marked as another offer of its twin; collapsing folds it
	DuplicatesReject DuplicatePolicy = "reject" // do not write it: an error of its row
)

// DuplicateAttribute and DuplicateOfAttribute are attributes of every collection: how a document is marked as a duplicate,
// "flag" or "link", and the id of the document that it is one of. Both are without a value where there is no mark.
const (
	DuplicateAttribute   = "_duplicate"
	DuplicateOfAttribute = "_duplicate_of"
)

// ReservedAttribute says whether a name is that of an attribute that Robin makes.
func ReservedAttribute(name string) bool {
	return name == DuplicateAttribute || name == DuplicateOfAttribute
}

// DuplicateRule decides whether two documents say the same thing. The zero rule is the global default: a cosine of
// DefaultDuplicateThreshold, or up to 0.15 less where both name the same things, and no product fact (size, model, quantity,
// colour, brand, …) that speaks against it.
type DuplicateRule struct {
	// Threshold is the least cosine, or with Weights the least probability, of a duplicate; 0 means the default.
	Threshold float64 `json:"threshold,omitempty"`
	// Weights by feature name are a logistic regression over standardised features, learnt from labels; empty for a rule by
	// cosine and facts.
	Weights map[string]float64 `json:"weights,omitempty"`
	Bias    float64            `json:"bias,omitempty"`
	Mean    map[string]float64 `json:"mean,omitempty"`  // of each feature in the labelled pairs
	Scale   map[string]float64 `json:"scale,omitempty"` // their standard deviation
	Floor   float64            `json:"floor,omitempty"` // with Weights, the least cosine of a duplicate that it was learnt on
	Labels  int                `json:"labels,omitempty"`
	Model   string             `json:"model,omitempty"` // fingerprint of the embedder whose cosines it was learnt on
}

// DefaultDuplicateThreshold is the cosine from which two texts count as duplicates when nothing else was said.
const DefaultDuplicateThreshold = 0.9

// Twin is a document of a write that says what a stored document says.
type Twin struct {
	Line   int             `json:"line,omitempty"`
	ID     string          `json:"id"`
	Twin   string          `json:"twin"` // id of the stored document
	Cosine float64         `json:"cosine"`
	Score  float64         `json:"score"` // the rule's: the cosine, or a probability
	Reason string          `json:"reason,omitempty"`
	Action DuplicatePolicy `json:"action"`
}

// Label is a person's word on a pair.
type Label struct {
	A    string `json:"a"`
	B    string `json:"b"`
	Same bool   `json:"same"`
}

// DuplicatePair is one pair that was looked at.
type DuplicatePair struct {
	A      string   `json:"a"`
	B      string   `json:"b"`
	Cosine float64  `json:"cosine"`
	Cross  *float64 `json:"cross,omitempty"` // the cross-encoder's mean over both directions; nil when it did not score the pair
	Score  float64  `json:"score"`           // the rule's
	Same   bool     `json:"same"`
	Reason string   `json:"reason"` // why, in a clause: "same text", "cosine 0.97", "size 500 ml / 590 ml differs"
}

// DuplicateMember is a document of a cluster with what joins it to the kept one.
type DuplicateMember struct {
	ID     string   `json:"id"`
	Title  string   `json:"title,omitempty"` // the beginning of its text
	Cosine float64  `json:"cosine"`          // to the kept document
	Cross  *float64 `json:"cross,omitempty"`
	Score  float64  `json:"score"`
	Reason string   `json:"reason"`
}

// DuplicateCluster is one document to keep and its duplicates. Each member is near the kept document itself.
type DuplicateCluster struct {
	Kept    string            `json:"kept"`
	Title   string            `json:"title,omitempty"`
	Why     string            `json:"why,omitempty"` // the keep rule's reason: "rating 4.8, the highest of 3"
	Members []DuplicateMember `json:"members"`
}

// SimilarityBand counts the pairs whose cosine is From or more and below To.
type SimilarityBand struct {
	From    float64         `json:"from"`
	To      float64         `json:"to"`
	Pairs   int             `json:"pairs"`
	Same    int             `json:"same"` // of them, those that the rule calls duplicates
	Samples []DuplicatePair `json:"samples,omitempty"`
}

// DuplicateReport is what a search for duplicates found, cut at one threshold.
type DuplicateReport struct {
	Task       string        `json:"task,omitempty"`
	Created    time.Time     `json:"created"`
	Collection string        `json:"collection,omitempty"`
	Seq        uint64        `json:"seq,omitempty"` // of the collection when it was read
	Documents  int           `json:"documents"`
	Embedded   int           `json:"embedded"` // of Documents: those that have a vector
	Threshold  float64       `json:"threshold"`
	Floor      float64       `json:"floor"` // the least cosine that was looked for; no threshold below it
	Keep       string        `json:"keep"`
	OneToOne   string        `json:"one_to_one,omitempty"`
	Rule       DuplicateRule `json:"rule"`
	Exact      int           `json:"exact"`      // documents whose normalised text another one has
	Pairs      int           `json:"pairs"`      // near pairs at or above Floor
	Same       int           `json:"same"`       // of them, duplicates by the rule
	Duplicates int           `json:"duplicates"` // documents that are not the kept one of their cluster
	Saturated  int           `json:"saturated"`  // documents with more near pairs than are kept
	Crossed    int           `json:"crossed"`    // pairs that the cross-encoder scored
	Uncrossed  int           `json:"uncrossed"`  // pairs in its band beyond its limit

	CrossSkipped string `json:"cross_skipped,omitempty"` // why the cross-encoder scored none, when it could have

	Histogram []SimilarityBand   `json:"histogram"`
	Total     int                `json:"total"` // clusters in all
	Clusters  []DuplicateCluster `json:"clusters"`
	Models    Models             `json:"models"`
	TookMS    int64              `json:"took_ms"`
}

// RuleReport says how well a learnt rule does, by cross-validation over its labels.
type RuleReport struct {
	Labels    int      `json:"labels"`
	Same      int      `json:"same"`
	Folds     int      `json:"folds"`
	Precision float64  `json:"precision"`
	Recall    float64  `json:"recall"`
	F1        float64  `json:"f1"`
	Target    float64  `json:"target,omitempty"` // the precision that was asked for
	Reached   bool     `json:"reached"`          // whether it was
	Plain     float64  `json:"plain_f1"`         // F1 of the best single cosine threshold on the same folds
	Features  []string `json:"features"`         // by weight, strongest first
}

// validateDuplicates checks what the settings say of duplicates.
func (s Settings) validateDuplicates(bad func(pointer, format string, args ...any)) {
	switch s.Duplicates {
	case "", DuplicatesAccept, DuplicatesFlag, DuplicatesLink, DuplicatesReject:
	default:
		bad("/duplicates", "%q is not a policy; use accept, flag, link or reject", s.Duplicates)
	}
	for _, name := range []string{DuplicateAttribute, DuplicateOfAttribute} {
		if _, ok := s.Attributes[name]; ok {
			bad("/attributes/"+name, "every collection has this attribute: it says which documents are marked as duplicates")
		}
	}
	if s.DuplicateRule != nil {
		s.DuplicateRule.validate("/duplicate_rule", bad)
	}
}

// Validate checks a rule.
func (r DuplicateRule) Validate() error {
	e := &Error{Code: CodeInvalid, Message: "the rule is not valid"}
	r.validate("", func(pointer, format string, args ...any) { e.add(pointer, fmt.Sprintf(format, args...)) })
	return e.orNil()
}

func (r DuplicateRule) validate(at string, bad func(pointer, format string, args ...any)) {
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	if !(r.Threshold >= 0 && r.Threshold <= 1) {
		bad(at+"/threshold", "must be 0 to 1")
	}
	if !finite(r.Bias) {
		bad(at+"/bias", "must be finite")
	}
	if r.Labels < 0 {
		bad(at+"/labels", "must not be negative")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Weights)) {
		w, key := r.Weights[name], pointerEscapes.Replace(name)
		mean, hasMean := r.Mean[name]
		scale, hasScale := r.Scale[name]
		switch {
		case !finite(w):
			bad(at+"/weights/"+key, "must be finite")
		case !hasMean || !finite(mean):
			bad(at+"/mean/"+key, "must be the finite mean of a feature that has a weight")
		case !hasScale || !finite(scale) || scale <= 0:
			bad(at+"/scale/"+key, "must be above 0: it divides a feature that has a weight")
		}
	}
}

// DuplicateQuery asks for the duplicates of a collection.
type DuplicateQuery struct {
	Threshold float64   `json:"threshold,omitempty"` // in the place of the rule's; 0 keeps it
	Keep      string    `json:"keep,omitempty"`      // first (default), newest:FIELD, oldest:FIELD, most_complete, highest:FIELD, lowest:FIELD
	Floor     float64   `json:"floor,omitempty"`     // the least cosine that is looked for; 0: the default
	Cross     CrossMode `json:"cross,omitempty"`     // whether the cross-encoder reads pairs near the threshold; default auto
	Filter    string    `json:"filter,omitempty"`    // look among these documents only
	// OneToOne is a field that tells two catalogues apart, such as the shop. A document is then joined with one of another value
	// at most, its best partner that has no better one.
	OneToOne string         `json:"one_to_one,omitempty"`
	Rule     *DuplicateRule `json:"rule,omitempty"` // default: the collection's
}

// CrossMode says whether the cross-encoder reads the pairs that a rule is least sure of.
type CrossMode string

// The modes.
const (
	CrossAuto CrossMode = "auto" // when the rule reads its score
	CrossOn   CrossMode = "on"   // also when it does not: a rule learnt from labels of the pairs then may
	CrossOff  CrossMode = "off"
)

// DuplicateCut cuts what was found anew.
type DuplicateCut struct {
	Threshold float64
	Keep      string
	Current   bool // by the rule that the collection has now, not by the one that the search had
	Offset    int
	Limit     int // clusters to give; 0 means all
}

// LabelCount says what labels a collection has.
type LabelCount struct {
	Labels    int    `json:"labels"`
	Same      int    `json:"same"`
	Learnable bool   `json:"learnable"`
	Detail    string `json:"detail,omitempty"` // what is missing when they are not
}

// LearnQuery asks for a rule learnt from a collection's labels.
type LearnQuery struct {
	Task      string  `json:"task"`                // the search for duplicates whose pairs were labelled
	Precision float64 `json:"precision,omitempty"` // a precision to reach; 0: the best F1
	Save      bool    `json:"save,omitempty"`      // make it the collection's duplicate_rule
}

// LearnAnswer is a learnt rule and how well it does.
type LearnAnswer struct {
	Rule   DuplicateRule `json:"rule"`
	Report RuleReport    `json:"report"`
	Saved  bool          `json:"saved"`
}

// Limits on duplicates.
const (
	MaxDuplicateLabels   = 10_000 // that a collection keeps
	MaxFieldBytes        = 256    // of a field's name in a query
	MaxDuplicateClusters = 1000   // of one answer
	DefaultDuplicateCut  = 200
)

// Validate checks a query; whether filter and keep fit the collection is found out by the search itself.
func (q DuplicateQuery) Validate() error {
	e := &Error{Code: CodeInvalid, Message: "the request is not valid"}
	share := func(pointer string, v float64) {
		if !(v >= 0 && v <= 1) {
			e.add(pointer, "must be 0 to 1")
		}
	}
	share("/threshold", q.Threshold)
	share("/floor", q.Floor)
	switch q.Cross {
	case "", CrossAuto, CrossOn, CrossOff:
	default:
		e.add("/cross", fmt.Sprintf("%q is not a mode; use auto, on or off", q.Cross))
	}
	if len(q.Filter) > MaxFilterBytes {
		e.add("/filter", fmt.Sprintf("has %d bytes, the limit is %d", len(q.Filter), MaxFilterBytes))
	}
	if len(q.OneToOne) > MaxFieldBytes {
		e.add("/one_to_one", fmt.Sprintf("has %d bytes, the limit is %d", len(q.OneToOne), MaxFieldBytes))
	}
	if q.Rule != nil {
		q.Rule.validate("/rule", func(pointer, format string, args ...any) { e.add(pointer, fmt.Sprintf(format, args...)) })
	}
	return e.orNil()
}

// DuplicateApply asks for an action on the duplicates of a report, cut as it says.
type DuplicateApply struct {
	Action    string   `json:"action"` // flag, link or delete
	Threshold float64  `json:"threshold,omitempty"`
	Keep      string   `json:"keep,omitempty"`
	Rule      string   `json:"rule,omitempty"`     // "current": cut by the collection's rule of now; "": by the search's
	Clusters  []string `json:"clusters,omitempty"` // ids of kept documents; empty: all clusters
	Prefer    []string `json:"prefer,omitempty"`   // ids of members that are kept in the place of their cluster's kept document
}

// CurrentRule is the name of the rule that a collection has now, where a cut is asked for.
const CurrentRule = "current"

// DuplicateAction is something that was done with duplicates. It can be taken back.
type DuplicateAction struct {
	ID        string    `json:"id"`
	Action    string    `json:"action"` // flag, link or delete
	Created   time.Time `json:"created"`
	Documents int       `json:"documents"`         // that were marked or deleted
	Changed   int       `json:"changed,omitempty"` // that were left as they are, because they, or what is kept, say something else by now
	Undone    bool      `json:"undone"`
}
