package dedup

// facts are what a text says that two offers of one product agree on.
type facts struct{}

func readFacts(s string, tokens []token) facts { return facts{} }
