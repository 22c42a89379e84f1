//go:build !amd64

package ann

func dot(a, b []float32) float32       { return dotGo(a, b) }
func squaredL2(a, b []float32) float32 { return squaredL2Go(a, b) }

func dotRows(dst, v, rows []float32) {
	n := len(v)
	for i := range dst {
		dst[i] = dot(v, rows[i*n:i*n+n])
	}
}
