// Package robin is the vocabulary that Robin's packages share: documents and settings, queries and results, tasks and
// errors. Every other package talks in it and none owns it, so it imports the standard library only.
package robin

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Document is one JSON object of a collection. Raw is exactly what the client sent (for CSV, the object made from the
// row), and is what every read returns.
type Document struct {
	ID  string
	Raw json.RawMessage
}

// nameRE is the contract for collection, model and version names. It is checked after any URL decoding, so that a name
// can never be a path.
var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ValidName says whether s may name a collection or a model.
func ValidName(s string) bool { return nameRE.MatchString(s) }

// Limits on what one document may hold. They bound memory per document, not per request.
const (
	MaxIDBytes       = 512
	MaxDocumentBytes = 1 << 20
	MaxDocumentDepth = 32
	MaxObjectFields  = 10_000 // of one object in it, at any depth
	MaxDimension     = 4096   // of a vector that it brings
)

// AttributeType is the type of a field that filters, facets and sorting use.
type AttributeType string

// The attribute types. A date is RFC 3339 or YYYY-MM-DD. Every type may also hold an array of its values.
const (
	Keyword AttributeType = "keyword"
	Number  AttributeType = "number"
	Bool    AttributeType = "bool"
	Date    AttributeType = "date"
)

// TextField is a field that the keyword search reads.
type TextField struct {
	Field    string   `json:"field"`
	Weight   float64  `json:"weight,omitempty"`   // multiplies the field's BM25 part; default 1
	Analyzer Analyzer `json:"analyzer,omitempty"` // default "en"
}

// Analyzer names how a text field becomes terms.
type Analyzer string

// The analyzers.
const (
	English  Analyzer = "en"       // lower case, English stop words and Snowball stemming
	Standard Analyzer = "standard" // lower case words in any language, no stemming
	Exact    Analyzer = "keyword"  // the whole value as one lower-cased term
)

// Settings say how a collection reads its documents.
type Settings struct {
	IDField       string                   `json:"id_field"`              // default "id"
	Text          []TextField              `json:"text"`                  // in order of importance; the first is the title
	Identifiers   []string                 `json:"identifiers,omitempty"` // SKU-like fields whose exact value comes first; the id always does
	Attributes    map[string]AttributeType `json:"attributes,omitempty"`
	EmbedTemplate string                   `json:"embed_template"` // "{{field}}" stands for a field's text
	Embedder      string                   `json:"embedder"`       // default "starter"
	Reranker      string                   `json:"reranker"`       // default "starter"; "none" for no reranker
	// VectorField is where a document may bring its own vector, made with the same model as the collection's. With the
	// embedder "none" all vectors are brought, and Dimension says how long they are.
	VectorField   string          `json:"vector_field,omitempty"`
	Dimension     int             `json:"dimension,omitempty"`
	Precision     Precision       `json:"precision,omitempty"`      // of vectors in memory; default "float32"
	Chunking      *Chunking       `json:"chunking,omitempty"`       // default: texts are cut to what the embedder reads
	Duplicates    DuplicatePolicy `json:"duplicates,omitempty"`     // default "accept"
	DuplicateRule *DuplicateRule  `json:"duplicate_rule,omitempty"` // default: see DuplicateRule
}

// Action says what an import does with a document whose id is or is not there yet.
type Action string

// The actions.
const (
	Upsert Action = "upsert" // write it, whether or not the id exists
	Create Action = "create" // fail when the id exists, unless with the same bytes
	Update Action = "update" // merge the given fields into the existing document; fail when there is none
)

// RowError says why one document of a request was not written.
type RowError struct {
	Line   int    `json:"line,omitempty"` // 1-based line of the file, or position in the array
	ID     string `json:"id,omitempty"`
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

// WriteResult is what became of one batch. Errors[i].Line is the 1-based position in the batch that was handed in.
type WriteResult struct {
	Indexed   int // durable and searchable
	Unchanged int // of Indexed: the stored document was already byte for byte the same
	Embedded  int // of Indexed: the embedded text was new or changed, so the model ran
	Truncated int // of Embedded: the text was not read to its end
	Seq       uint64
	Errors    []RowError
	Twins     []Twin // of the documents that say what another one says, by the collection's policy; rejected ones too
}

// ImportReport is the answer to an import: the contract of design section 5, and what a task ends with.
type ImportReport struct {
	Total     int        `json:"total"`
	Indexed   int        `json:"indexed"`
	Unchanged int        `json:"unchanged"`
	Embedded  int        `json:"embedded"`
	Truncated int        `json:"truncated"`
	Failed    int        `json:"failed"`
	Seq       uint64     `json:"seq"`
	TookMS    int64      `json:"took_ms"`
	Errors    []RowError `json:"errors"`             // the first MaxRowErrors; Failed counts all
	Settings  *Settings  `json:"settings,omitempty"` // the guess, when the import made the collection

	FailedKept int           `json:"failed_kept,omitempty"` // of Failed: rows in the file of failed rows
	Replaced   int           `json:"replaced,omitempty"`    // rows with the id of an earlier row of the same file
	Warnings   []RowWarning  `json:"warnings,omitempty"`    // the first MaxRowErrors
	Coerced    int           `json:"coerced,omitempty"`     // values rewritten to their attribute's type
	Dropped    int           `json:"dropped,omitempty"`     // values left out because they cannot be read as it
	Changes    []ValueChange `json:"changes,omitempty"`     // the first MaxValueChanges of those two

	Duplicates int    `json:"duplicates"`      // of Total: documents with a twin, where the collection looks for them
	Twins      []Twin `json:"twins,omitempty"` // the first MaxRowErrors of those
}

// MaxRowErrors bounds the errors, and the twins, that one import report lists.
const MaxRowErrors = 1000

// CollectionInfo is what GET /collections/{c} answers.
type CollectionInfo struct {
	Name      string            `json:"name"`
	Documents int               `json:"documents"`
	Seq       uint64            `json:"seq"`     // last durable operation
	Applied   map[string]uint64 `json:"applied"` // per derived index ("text", "vectors"): the seq it has reached
	Status    CollectionStatus  `json:"status"`
	Detail    string            `json:"detail,omitempty"` // why, when Status is not ready
	Created   time.Time         `json:"created"`
	Settings  Settings          `json:"settings"`
	Models    Models            `json:"models"`
	DiskBytes int64             `json:"disk_bytes"`
	StaleHits uint64            `json:"stale_hits"` // hits dropped because the store had no or a newer version; 0 once caught up
	Truncated int               `json:"truncated"`  // documents whose embedded text was not read to its end
	Passages  int               `json:"passages"`   // vectors: one for each document that has a text, more with chunking

	Quarantined int `json:"quarantined"` // documents that were not written for want of a usable vector; at most MaxQuarantined
}

// CollectionStatus tells whether a collection can be used.
type CollectionStatus string

// The states of a collection.
const (
	Recovering CollectionStatus = "recovering" // replaying the log or rebuilding a derived index
	Ready      CollectionStatus = "ready"
	ReadOnly   CollectionStatus = "read_only" // after a storage error: searches go on, writes are refused until a restart
	Degraded   CollectionStatus = "degraded"  // one derived index is out; the other answers
	Damaged    CollectionStatus = "damaged"   // the store itself cannot be trusted; nothing is served
)

// Models names the model versions behind an answer.
type Models struct {
	Embedder *ModelVersion `json:"embedder,omitempty"`
	Reranker *ModelVersion `json:"reranker,omitempty"`
}

// ModelVersion identifies a model exactly: vectors of two fingerprints are never compared.
type ModelVersion struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Fingerprint string `json:"fingerprint"`
}

// ModelInfo is one row of GET /models.
type ModelInfo struct {
	ModelVersion
	Task      string `json:"task"` // "embed" or "rerank"
	Family    string `json:"family"`
	Dimension int    `json:"dimension,omitempty"`
	MaxTokens int    `json:"max_tokens"`
	Pooling   string `json:"pooling,omitempty"`   // "mean", "cls" or "max"
	Precision string `json:"precision,omitempty"` // of most weights: "float32", "float16" or "int8"
	Licence   string `json:"licence,omitempty"`
	Bytes     int64  `json:"bytes"`  // of its files
	Source    string `json:"source"` // "built in" or the folder

	// MatryoshkaDimensions are the smaller dimensions that vectors may be cut to.
	MatryoshkaDimensions []int `json:"matryoshka_dimensions,omitempty"`

	UsedBy []string `json:"used_by,omitempty"` // the collections that name it
}

// VerifyReport is what `robin verify` finds in one collection.
type VerifyReport struct {
	Collection string   `json:"collection"`
	Documents  int      `json:"documents"`
	OK         bool     `json:"ok"`
	Store      []string `json:"store"`   // damage in the source of truth
	Derived    []string `json:"derived"` // damage that a rebuild mends
}

// Defaulted returns s with its defaults filled in. It does not validate.
func (s Settings) Defaulted() Settings {
	if s.IDField == "" {
		s.IDField = "id"
	}
	if s.Embedder == "" {
		s.Embedder = "starter"
	}
	if s.Reranker == "" {
		s.Reranker = "starter"
	}
	s.Text = append([]TextField(nil), s.Text...)
	for i := range s.Text {
		if s.Text[i].Weight == 0 {
			s.Text[i].Weight = 1
		}
		if s.Text[i].Analyzer == "" {
			s.Text[i].Analyzer = English
		}
	}
	if s.Chunking != nil {
		s.Chunking = s.Chunking.defaulted()
	}
	if s.EmbedTemplate == "" {
		for i, f := range s.Text {
			if i > 0 {
				s.EmbedTemplate += ". "
			}
			s.EmbedTemplate += "{{" + f.Field + "}}"
		}
	}
	return s
}

// pointerEscapes are those of a JSON pointer (RFC 6901).
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// Validate checks s after Defaulted and names each bad field by its JSON pointer.
func (s Settings) Validate() error {
	e := &Error{Code: CodeInvalid, Message: "the settings are not valid"}
	bad := func(pointer, format string, args ...any) { e.add(pointer, fmt.Sprintf(format, args...)) }
	if s.IDField == "" {
		bad("/id_field", "must name the field that holds each document's id")
	}
	if len(s.Text) == 0 {
		bad("/text", "must list at least one text field")
	}
	if len(s.Text) > 64 {
		bad("/text", "has %d fields, the limit is 64", len(s.Text))
	}
	seen := map[string]bool{}
	for i, f := range s.Text {
		p := fmt.Sprintf("/text/%d", i)
		switch {
		case f.Field == "":
			bad(p+"/field", "must not be empty")
		case f.Field == "_id":
			bad(p+"/field", "\"_id\" cannot be searched as text: the exact lane finds ids already")
		case seen[f.Field]:
			bad(p+"/field", "%q is listed twice", f.Field)
		}
		seen[f.Field] = true
		if !(f.Weight > 0 && f.Weight <= 1000) {
			bad(p+"/weight", "must be above 0 and at most 1000")
		}
		switch f.Analyzer {
		case English, Standard, Exact:
		default:
			bad(p+"/analyzer", "%q is not an analyzer; use en, standard or keyword", f.Analyzer)
		}
	}
	if len(s.Identifiers) > 64 {
		bad("/identifiers", "has %d fields, the limit is 64", len(s.Identifiers))
	}
	for i, name := range s.Identifiers {
		if name == "" {
			bad(fmt.Sprintf("/identifiers/%d", i), "must not be empty")
		}
	}
	if len(s.Attributes) > 256 {
		bad("/attributes", "has %d attributes, the limit is 256", len(s.Attributes))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		pointer := "/attributes/" + pointerEscapes.Replace(name)
		if name == "" {
			bad(pointer, "must have a name")
		}
		switch t := s.Attributes[name]; t {
		case Keyword, Number, Bool, Date:
		default:
			bad(pointer, "%q is not a type; use keyword, number, bool or date", t)
		}
	}
	s.validateDuplicates(bad)
	s.validateVectors(bad)
	s.validateChunking(bad)
	if !ValidName(s.Embedder) {
		bad("/embedder", "must match %s", nameRE)
	}
	if !ValidName(s.Reranker) {
		bad("/reranker", "must match %s", nameRE)
	}
	return e.orNil()
}

// Precision says how the vectors of a collection are held in memory. On disk they are float32s.
type Precision string

// The precisions.
const (
	Float32 Precision = "float32"
	// Int8 takes a quarter of the memory: a byte for each number. The best of each search are compared again by the stored
	// float32s, so that they and their scores are the same.
	Int8 Precision = "int8"
)

// validateVectors checks what the settings say of vectors that documents bring.
func (s Settings) validateVectors(bad func(pointer, format string, args ...any)) {
	switch {
	case s.Embedder != "none" && s.Dimension != 0:
		bad("/dimension", "is the embedder's to say; leave it out, or take the embedder \"none\"")
	case s.Embedder == "none" && (s.Dimension < 1 || s.Dimension > MaxDimension):
		bad("/dimension", "must be 1 to %d: with the embedder \"none\" documents bring their vectors, all of one length", MaxDimension)
	}
	if s.Precision != "" && s.Precision != Float32 && s.Precision != Int8 {
		bad("/precision", "%q is not a precision; use float32 or int8", s.Precision)
	}
	f := s.VectorField
	if f == "" {
		if s.Embedder == "none" {
			bad("/vector_field", "must name the field in which documents bring their vectors: the embedder is \"none\"")
		}
		return
	}
	other := f == s.IDField || slices.Contains(s.Identifiers, f) ||
		slices.ContainsFunc(s.Text, func(t TextField) bool { return t.Field == f || strings.HasPrefix(t.Field, f+".") })
	for name := range s.Attributes {
		other = other || name == f || strings.HasPrefix(name, f+".")
	}
	if other || f == "_id" {
		bad("/vector_field", "%q is an id, a text field, an identifier or an attribute too; a vector needs a field of its own", f)
	}
}
