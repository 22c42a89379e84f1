package robin

// Dirty says what an import does with a value that does not have the type that the settings give its attribute.
type Dirty string

// The ways. Text that can be read as the type in one way only is "12,50" or "€ 1.234,56" for a number, "yes" for a
// boolean, "2026/01/31" or "31.01.2026" for a date; "1,234" and "01/02/2026" can be read in two.
const (
	DirtyReject Dirty = "reject" // the row fails; the default
	DirtyCoerce Dirty = "coerce" // what can be read as the type is rewritten in the document; else the row fails
	DirtyDrop   Dirty = "drop"   // coerce, and what cannot be read is left out of the document
)

// ValueChange is one value that an import coerced or dropped.
type ValueChange struct {
	Line  int    `json:"line"`
	Field string `json:"field"`
	From  string `json:"from"`         // as JSON, the beginning of it
	To    string `json:"to,omitempty"` // as JSON; empty when the value was dropped
}

// MaxValueChanges bounds the changes that one import report lists.
const MaxValueChanges = 100

// RowWarning is something about a row that was written all the same.
type RowWarning struct {
	Line   int    `json:"line"`
	ID     string `json:"id,omitempty"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// The warnings.
const (
	WarnDuplicateID  = "duplicate_id"        // an earlier row of the file has the same id; the later one stands
	WarnIDsUnchecked = "duplicate_unchecked" // from this row on nobody looked for duplicate ids: there were too many
	WarnFailedUnkept = "failed_not_kept"     // the file of failed rows does not hold all of them
)

// DryRun is what an import would do, found by reading all of the file and writing nothing.
type DryRun struct {
	Total    int          `json:"total"`
	Valid    int          `json:"valid"`
	Failed   int          `json:"failed"`
	Errors   []RowError   `json:"errors"` // Failed counts all
	Replaced int          `json:"replaced,omitempty"`
	Warnings []RowWarning `json:"warnings,omitempty"`

	FailedKept int           `json:"failed_kept,omitempty"` // of Failed: rows in the file of failed rows
	Coerced    int           `json:"coerced,omitempty"`
	Dropped    int           `json:"dropped,omitempty"`
	Changes    []ValueChange `json:"changes,omitempty"`

	Settings *Settings   `json:"settings,omitempty"` // the guess, when there is no collection
	Texts    TextLengths `json:"texts"`
	Estimate *Estimate   `json:"estimate,omitempty"` // nil when no document is valid
	TookMS   int64       `json:"took_ms"`
}

// TextLengths are the lengths of the texts that would be embedded, in the embedder's tokens.
type TextLengths struct {
	Documents int          `json:"documents"` // with a text
	Tokens    int64        `json:"tokens"`    // of all, before they are cut
	Longest   int          `json:"longest"`
	Limit     int          `json:"limit"` // what the model reads; with chunking, about what all passages hold
	Cut       int          `json:"cut"`   // documents beyond it
	Histogram []LengthBand `json:"histogram"`
}

// LengthBand counts the texts of From to To tokens, both included; To is 0 for no upper end.
type LengthBand struct {
	From      int `json:"from"`
	To        int `json:"to,omitempty"`
	Documents int `json:"documents"`
}

// Estimate is what an import would cost on this machine as it is busy now: a sample of the same file was imported into a
// collection that is gone again.
type Estimate struct {
	Seconds     float64 `json:"seconds"`
	PerS        float64 `json:"per_s"` // documents a second, on average
	DiskBytes   int64   `json:"disk_bytes"`
	MemoryBytes int64   `json:"memory_bytes"`
	Sample      int     `json:"sample"`         // documents that were imported to find this out
	SampleS     float64 `json:"sample_seconds"` // the time that took
}
