package robin

import "time"

// Quarantined is a document that was not written, because its embedder gave no usable vector for its text.
type Quarantined struct {
	ID     string       `json:"id"`
	At     time.Time    `json:"at"`
	Model  ModelVersion `json:"model"`
	Reason string       `json:"reason"`
	Stored bool         `json:"stored"` // an older state of the document is there, and is what searches find
}

// MaxQuarantined is how many a collection remembers. Those that came first make room.
const MaxQuarantined = 1000
