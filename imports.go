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
