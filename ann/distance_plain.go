//go:build !amd64

package ann

func dot(a, b []float32) float32       { return dotGo(a, b) }
func squaredL2(a, b []float32) float32 { return squaredL2Go(a, b) }

func dotAhead(a, b, next []float32) float32 { return dotGo(a, b) }
