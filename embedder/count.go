package embedder

// CountTokens is how many tokens a passage has before it is cut to what the model reads: 0 when the tokenizer fails on it. It runs
// no model.
func (e *Embedder) CountTokens(text string) int {
	enc, err := e.folder.TryEncode(e.folder.PassagePrefix, text)
	if err != nil {
		e.counts.tokenizerFailures.Add(1)
	}
	return enc.Total
}
