package embedder

var Background = background
