package indexer

import (
	"context"
	"time"

	"robin"
)

// Models are those that settings can name.
type Models struct {
	Embedders map[string]Embedder
	Rerankers map[string]Reranker
}

// Embedder turns text into unit vectors. It is declared here and implemented elsewhere, so that the indexer does not
// depend on how a model runs.
type Embedder interface {
	// Embed returns one vector of length 1 per text. query is true for what a user searches for and false for what a
	// document says: some models want to know.
	Embed(ctx context.Context, texts []string, query bool) (Embeddings, error)
	Dim() int
	Version() robin.ModelVersion
}

// Embeddings are the vectors of some texts, in their order.
type Embeddings struct {
	Vectors   [][]float32   // nil for a text that the model gave no finite numbers for
	Truncated []bool        // whether the text was longer than the model reads
	Faults    map[int]error // why a text has no vector, where more is known than that its numbers are not finite
}

// Reranker scores how well passages answer a query.
type Reranker interface {
	// Score returns one number from 0 to 1 per passage; larger is better.
	Score(ctx context.Context, query string, passages []string) ([]float32, error)
	Version() robin.ModelVersion
}

// Observer is told what happens, for metrics. Its methods must be quick and safe for concurrent use.
type Observer interface {
	// Indexed reports a commit: the documents written and removed, and how long commit and apply took.
	Indexed(collection string, written, removed int, commit, apply time.Duration)
	// Embedded reports documents whose texts, or their passages, the model has made vectors of. They are not yet stored.
	Embedded(collection string, documents int)
	// Quarantined reports documents that were not written because the model gave no usable vector for their text.
	Quarantined(collection string, documents int)
	// Checkpointed reports a checkpoint of the derived indexes.
	Checkpointed(collection string, took time.Duration, err error)
	// Rebuilt reports that a derived index ("text", "vectors") was built anew from the store, and why.
	Rebuilt(collection, index, why string)
	// Stale reports hits that were dropped because the store no longer had them.
	Stale(collection string, hits int)
	// Recall reports the mean recall of recent searches under filters that allow a share of the documents (ann.Bands), by
	// comparison with exact ones, and how many candidates such searches keep.
	Recall(collection, allowed string, recall float64, ef int)
}

type noObserver struct{}

func (noObserver) Indexed(string, int, int, time.Duration, time.Duration) {}
func (noObserver) Embedded(string, int)                                   {}
func (noObserver) Quarantined(string, int)                                {}
func (noObserver) Checkpointed(string, time.Duration, error)              {}
func (noObserver) Rebuilt(string, string, string)                         {}
func (noObserver) Stale(string, int)                                      {}
func (noObserver) Recall(string, string, float64, int)                    {}
