package ann

import "unsafe"

// dotsGo puts the dot product of q with each of rows into dst. A row is as long as q. It is the plain form of dots, and
// what the kernels are tested against.
func dotsGo(dst []float32, q []float32, rows []*float32) {
	for i, r := range rows {
		dst[i] = dotGo(q, unsafe.Slice(r, len(q)))
	}
}

// squaresGo puts the squared distance of q and each of rows into dst.
func squaresGo(dst []float32, q []float32, rows []*float32) {
	for i, r := range rows {
		dst[i] = squaredL2Go(q, unsafe.Slice(r, len(q)))
	}
}

// codeDotsGo puts the sum of the products of q's codes with those of each of rows into dst. Both are bytes of 128 + code, 1 to 255.
// len(q) is a multiple of codeBlock, and at most maxDim, so that no sum leaves an int32.
func codeDotsGo(dst []int32, q []byte, rows []*byte) {
	for i, r := range rows {
		var sum int32
		for j, c := range unsafe.Slice(r, len(q)) {
			sum += (int32(c) - codeZero) * (int32(q[j]) - codeZero)
		}
		dst[i] = sum
	}
}
