package ann

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// Which kernels this processor and its operating system run.
var (
	hasAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	hasAVX512 = hasAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL
	hasVNNI   = hasAVX512 && cpu.X86.HasAVX512VNNI
)

// dots is dotsGo. A number of rows that is a multiple of four, and of numbers that is one of 16, costs least.
func dots(dst []float32, q []float32, rows []*float32) {
	fours, n := len(rows)/4, len(q)&^15
	if fours == 0 || n == 0 || !hasAVX2 {
		dotsGo(dst, q, rows)
		return
	}
	dst = dst[:len(rows)]
	if hasAVX512 {
		dotsAVX512(&dst[0], &q[0], &rows[0], fours, n)
	} else {
		dotsAVX2(&dst[0], &q[0], &rows[0], fours, n)
	}
	if n < len(q) {
		for i, r := range rows[:4*fours] {
			dst[i] += dotGo(q[n:], unsafe.Slice(r, len(q))[n:])
		}
	}
	dotsGo(dst[4*fours:], q, rows[4*fours:])
}

// squares is squaresGo, with the lengths that dots likes.
func squares(dst []float32, q []float32, rows []*float32) {
	fours, n := len(rows)/4, len(q)&^15
	if fours == 0 || n == 0 || !hasAVX2 {
		squaresGo(dst, q, rows)
		return
	}
	dst = dst[:len(rows)]
	if hasAVX512 {
		squaresAVX512(&dst[0], &q[0], &rows[0], fours, n)
	} else {
		squaresAVX2(&dst[0], &q[0], &rows[0], fours, n)
	}
	if n < len(q) {
		for i, r := range rows[:4*fours] {
			dst[i] += squaredL2Go(q[n:], unsafe.Slice(r, len(q))[n:])
		}
	}
	squaresGo(dst[4*fours:], q, rows[4*fours:])
}

// codeDots is codeDotsGo.
func codeDots(dst []int32, q []byte, rows []*byte) {
	fours := len(rows) / 4
	if fours == 0 || !hasAVX2 {
		codeDotsGo(dst, q, rows)
		return
	}
	dst = dst[:len(rows)]
	if hasVNNI {
		codeDotsVNNI(&dst[0], &q[0], &rows[0], fours, len(q))
	} else {
		codeDotsAVX2(&dst[0], &q[0], &rows[0], fours, len(q))
	}
	codeDotsGo(dst[4*fours:], q, rows[4*fours:])
}

// The kernels compare q with four times fours rows. n, the numbers of each, is a multiple of 16 above 0; of 64 for codes.

//go:noescape
func dotsAVX512(dst, q *float32, rows **float32, fours, n int)

//go:noescape
func dotsAVX2(dst, q *float32, rows **float32, fours, n int)

//go:noescape
func squaresAVX512(dst, q *float32, rows **float32, fours, n int)

//go:noescape
func squaresAVX2(dst, q *float32, rows **float32, fours, n int)

//go:noescape
func codeDotsVNNI(dst *int32, q *byte, rows **byte, fours, n int)

//go:noescape
func codeDotsAVX2(dst *int32, q *byte, rows **byte, fours, n int)

// prefetch begins to fetch the two cache lines from p on.
//
//go:noescape
func prefetch(p unsafe.Pointer)

// fetchRows begins to fetch n bytes behind each of count pointers.
//
//go:noescape
func fetchRows(rows unsafe.Pointer, count, n int)
