package ann

// minAVX is the length from which the kernels pay for their call.
const minAVX = 32

func dot(a, b []float32) float32 {
	if hasAVX2 && len(a) >= minAVX {
		b = b[:len(a)]
		n := len(a) &^ 31
		s := dotAVX2(&a[0], &b[0], n)
		if n == len(a) {
			return s
		}
		return s + dotGo(a[n:], b[n:])
	}
	return dotGo(a, b)
}

func squaredL2(a, b []float32) float32 {
	if hasAVX2 && len(a) >= minAVX {
		b = b[:len(a)]
		n := len(a) &^ 31
		s := squaredL2AVX2(&a[0], &b[0], n)
		if n == len(a) {
			return s
		}
		return s + squaredL2Go(a[n:], b[n:])
	}
	return squaredL2Go(a, b)
}

func dotRows(dst, v, rows []float32) {
	n, i := len(v), 0
	if hasAVX2 && n > 0 && n%16 == 0 {
		rows = rows[:n*len(dst)]
		for ; i+4 <= len(dst); i += 4 {
			dotRowsAVX2(&dst[i], &v[0], &rows[i*n], n)
		}
	}
	for ; i < len(dst); i++ {
		dst[i] = dot(v, rows[i*n:i*n+n])
	}
}

// dotAVX2 sums the products of n pairs; n is a multiple of 32 above 0.
//
//go:noescape
func dotAVX2(a, b *float32, n int) float32

// squaredL2AVX2 sums the squared differences of n pairs; n is a multiple of 32 above 0.
//
//go:noescape
func squaredL2AVX2(a, b *float32, n int) float32

// dotRowsAVX2 is dotAVX2 of v with four rows that lie one after another; n is a multiple of 16 above 0.
//
//go:noescape
func dotRowsAVX2(dst, v, rows *float32, n int)
