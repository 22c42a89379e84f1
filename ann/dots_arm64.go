package ann

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasSDOT says whether this processor multiplies bytes. All arm64 processors have NEON.
var hasNEON, hasSDOT = true, cpu.ARM64.HasASIMDDP

// dots is dotsGo. A number of rows that is a multiple of four, and of numbers that is one of 4, costs least.
func dots(dst, q []float32, rows []*float32) {
	n := len(q) &^ 3
	for n > 0 && hasNEON && len(rows) >= 4 {
		var lanes [16]float32
		dotsNEON(&lanes[0], &q[0], &rows[0], n)
		for i := range 4 {
			dst[i] = sumLanes(lanes[4*i:])
			if n < len(q) {
				dst[i] += dotGo(q[n:], unsafe.Slice(rows[i], len(q))[n:])
			}
		}
		dst, rows = dst[4:], rows[4:]
	}
	dotsGo(dst, q, rows)
}

// squares is squaresGo, with the lengths that dots likes.
func squares(dst, q []float32, rows []*float32) {
	n := len(q) &^ 3
	for n > 0 && hasNEON && len(rows) >= 4 {
		var lanes [16]float32
		squaresNEON(&lanes[0], &q[0], &rows[0], n)
		for i := range 4 {
			dst[i] = sumLanes(lanes[4*i:])
			if n < len(q) {
				dst[i] += squaredL2Go(q[n:], unsafe.Slice(rows[i], len(q))[n:])
			}
		}
		dst, rows = dst[4:], rows[4:]
	}
	squaresGo(dst, q, rows)
}

func sumLanes(l []float32) float32 { return (l[0] + l[1]) + (l[2] + l[3]) }

// codeDots is codeDotsGo.
func codeDots(dst []int32, q []byte, rows []*byte) {
	if len(rows) < 4 || !hasSDOT {
		codeDotsGo(dst, q, rows)
		return
	}
	var lanes [16]int32
	for len(rows) >= 4 {
		codeDotsNEON(&lanes[0], &q[0], &rows[0], len(q))
		for i := range 4 {
			l := lanes[4*i : 4*i+4]
			dst[i] = l[0] + l[1] + l[2] + l[3]
		}
		dst, rows = dst[4:], rows[4:]
	}
	codeDotsGo(dst, q, rows)
}

// The kernels compare q with four rows. n, the numbers of each, is a multiple of 4 above 0; of 16 for codes.

//go:noescape
func dotsNEON(lanes, q *float32, rows **float32, n int)

//go:noescape
func squaresNEON(lanes, q *float32, rows **float32, n int)

//go:noescape
func codeDotsNEON(lanes *int32, q *byte, rows **byte, n int)

// prefetch begins to fetch the two cache lines from p on.
//
//go:noescape
func prefetch(p unsafe.Pointer)

// fetchRows begins to fetch n bytes behind each of count pointers.
func fetchRows(rows unsafe.Pointer, count, n int) {
	for _, row := range unsafe.Slice((*unsafe.Pointer)(rows), count) {
		for at := 0; at < n; at += 128 {
			prefetch(unsafe.Add(row, at))
		}
	}
}
