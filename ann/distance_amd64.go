package ann

// hasAVX2 says whether this processor and its operating system run the kernels of distance_amd64.s.
var hasAVX2 = detectAVX2()

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

// dotAhead is dot, and begins to fetch next, which has their length and is compared soon after.
func dotAhead(a, b, next []float32) float32 {
	if n := len(a); hasAVX2 && n >= minAVX && n%32 == 0 {
		b, next = b[:n], next[:n]
		return dotPrefetchAVX2(&a[0], &b[0], &next[0], n)
	}
	return dot(a, b)
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

// dotPrefetchAVX2 is dotAVX2, with which it agrees to the bit; it prefetches n numbers from next.
//
//go:noescape
func dotPrefetchAVX2(a, b, next *float32, n int) float32

// squaredL2AVX2 sums the squared differences of n pairs; n is a multiple of 32 above 0.
//
//go:noescape
func squaredL2AVX2(a, b *float32, n int) float32

// dotRowsAVX2 is dotAVX2 of v with four rows that lie one after another; n is a multiple of 16 above 0.
//
//go:noescape
func dotRowsAVX2(dst, v, rows *float32, n int)

func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// xgetbv reads the register in which the operating system says which vector state it saves.
func xgetbv() (eax, edx uint32)

func detectAVX2() bool {
	const (
		fma     = 1 << 12 // leaf 1, ecx
		osxsave = 1 << 27
		avx     = 1 << 28
		avx2    = 1 << 5 // leaf 7, ebx
		xmmYmm  = 1<<1 | 1<<2
	)
	highest, _, _, _ := cpuid(0, 0)
	if highest < 7 {
		return false
	}
	if _, _, ecx, _ := cpuid(1, 0); ecx&(fma|osxsave|avx) != fma|osxsave|avx {
		return false
	}
	if eax, _ := xgetbv(); eax&xmmYmm != xmmYmm {
		return false
	}
	_, ebx, _, _ := cpuid(7, 0)
	return ebx&avx2 != 0
}
