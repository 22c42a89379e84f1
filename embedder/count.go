package embedder

// CountTokens is how many tokens a passage has before it is cut to what the model reads. It runs no model.
func (e *Embedder) CountTokens(text string) int {
	return e.folder.Encode(e.folder.PassagePrefix, text).Total
}
