package api

import (
	"context"
	"encoding/json"
	"time"

	"robin"
)

// Engine is what the API needs of the collections; indexer.Engine is one. Errors are *robin.Error.
type Engine interface {
	Ready() (ready bool, detail string)
	Collections(ctx context.Context) ([]robin.CollectionInfo, error)
	Collection(ctx context.Context, name string) (robin.CollectionInfo, error)
	PutCollection(ctx context.Context, name string, s robin.Settings) (info robin.CollectionInfo, created bool, err error)
	DropCollection(ctx context.Context, name string) error
	Write(ctx context.Context, collection string, action robin.Action, docs []json.RawMessage) (robin.WriteResult, error)
	Document(ctx context.Context, collection, id string) (robin.Document, error)
	Delete(ctx context.Context, collection string, ids []string) (deleted int, missing []string, seq uint64, err error)
	DeleteByFilter(ctx context.Context, collection, filterExpr string) (deleted int, seq uint64, err error)
	Quarantine(ctx context.Context, collection string) ([]robin.Quarantined, error)
	Export(ctx context.Context, collection string, yield func(robin.Document) error) error
	Search(ctx context.Context, collection string, q robin.Query) (*robin.Result, error)
	Similar(ctx context.Context, collection string, q robin.SimilarQuery) (*robin.Result, error)
}

// Embedder turns texts into unit vectors for /v1/embeddings and the routes of text-embeddings-inference.
type Embedder interface {
	Embed(ctx context.Context, texts []string, query bool) (Embeddings, error)
	Tokens(text string, prompt Prompt, special bool) []Token // special: with the special tokens around it
	Info() robin.ModelInfo
}

// Prompt is what a model with prefixes reads before a text.
type Prompt int

// The prompts.
const (
	NoPrompt Prompt = iota
	DocumentPrompt
	QueryPrompt
)

// Token is one of a text's tokens.
type Token struct {
	ID      int32
	Text    string // in the vocabulary's spelling
	Special bool   // around the text, no part of it

	// Start and Stop are its place in the prompt and the text together, in characters. Start is -1 when it has none.
	Start, Stop int
}

// Embeddings are the vectors of some texts, in their order.
type Embeddings struct {
	Vectors   [][]float32
	Lengths   []float32 // that the model gave the vectors before they were scaled to 1
	Truncated []bool    // the text was longer than the model reads
	Tokens    int       // that the model read, of all texts together; for the answer's usage
	Timing    Timing
}

// Reranker scores passages against a query for /v1/rerank, /v2/rerank and /rerank.
type Reranker interface {
	// Score reads at most perPassage tokens of each passage, or, when it is 0, as many as the model can.
	Score(ctx context.Context, query string, passages []string, perPassage int) (Scores, error)
	Info() robin.ModelInfo
}

// Scores are those of some passages, in their order.
type Scores struct {
	Scores    []float32 // 0 to 1, larger is better
	Raw       []float32 // the same before the sigmoid
	Truncated []bool    // the passage was not read to its end, or the query
	Tokens    int       // that the model read, of all pairs together
	Timing    Timing
}

// Timing says where the time of a model's answer went.
type Timing struct {
	Tokenize time.Duration
	Queue    time.Duration // the longest wait for a batch
	Infer    time.Duration
}
