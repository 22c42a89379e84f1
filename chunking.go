package robin

// Chunking cuts embedded texts that have more tokens than one passage into several, each with a vector of its own; a
// document is as near to a query as its best passage. Tokens are those of the collection's embedder, special tokens and
// prefix included.
type Chunking struct {
	Tokens    int  `json:"tokens,omitempty"`     // of a passage, at most; default 128
	Overlap   *int `json:"overlap,omitempty"`    // that a passage has in common with the one before it, about; default 16
	MaxChunks int  `json:"max_chunks,omitempty"` // passages of a document; what is behind them is left out and reported; default 32
}

// The limits and defaults of Chunking. The embedder has a limit on tokens, too.
const (
	MinChunkTokens      = 16
	MaxChunks           = 128
	DefaultChunkTokens  = 128
	DefaultChunkOverlap = 16
	DefaultMaxChunks    = 32
)

func (c Chunking) defaulted() *Chunking {
	if c.Tokens == 0 {
		c.Tokens = DefaultChunkTokens
	}
	if c.Overlap == nil {
		c.Overlap = ptr(min(DefaultChunkOverlap, max(0, c.Tokens/4)))
	}
	if c.MaxChunks == 0 {
		c.MaxChunks = DefaultMaxChunks
	}
	return &c
}

// validateChunking checks what does not depend on the model.
func (s Settings) validateChunking(bad func(pointer, format string, args ...any)) {
	c := s.Chunking
	if c == nil {
		return
	}
	if s.Embedder == "none" {
		bad("/chunking", "cuts texts for an embedder, and the embedder is \"none\"; leave it out")
	}
	if c.Tokens < MinChunkTokens {
		bad("/chunking/tokens", "must be %d at least, and no more than the embedder reads", MinChunkTokens)
	}
	if o := c.Overlap; o != nil && (*o < 0 || *o > max(0, c.Tokens/2)) {
		bad("/chunking/overlap", "must be 0 to half of tokens, %d", max(0, c.Tokens/2))
	}
	if c.MaxChunks < 1 || c.MaxChunks > MaxChunks {
		bad("/chunking/max_chunks", "must be 1 to %d", MaxChunks)
	}
}

// PassageMatch is the passage of a hit's embedded text that is nearest to the query.
type PassageMatch struct {
	Number int    `json:"number"` // from 1
	Of     int    `json:"of"`     // passages that the document has
	Start  int    `json:"start"`  // where it is in the embedded text, in bytes
	End    int    `json:"end"`
	Text   string `json:"text"`
}
