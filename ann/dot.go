package ann

// DotProduct is that of two vectors of one length: their cosine, when both have length 1.
func DotProduct(a, b []float32) float32 { return dot(a, b) }

// DotProducts puts the dot products of v with len(dst) rows, which lie one after another, into dst. On rows of 64 numbers
// that takes a third of the time of a call for each.
func DotProducts(dst, v, rows []float32) { dotRows(dst, v, rows) }
