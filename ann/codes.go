package ann

import (
	"encoding/binary"
	"math"
)

// With Int8 a vector is kept as a code: its numbers as multiples of its largest, divided by 127 and rounded. A row holds
//
//	byte, repeated   128 + code, up to a multiple of codeBlock, the rest being 128
//	float32          scale: what a code of 1 stands for
//	float32          squared length of what the codes stand for
//
// little-endian. The bytes are unsigned because processors multiply unsigned by signed bytes.
//
// It is scalar quantization with a scale of its own for each vector, which needs no training and stays right for whatever
// comes later.
const (
	codeBlock = 64
	codeTail  = 8
	codeZero  = 128
	maxCode   = 127
)

// codeWidth is the number of bytes of a row.
func codeWidth(dim int) int { return (dim+codeBlock-1)&^(codeBlock-1) + codeTail }

// encodeVector writes the row of a prepared vector.
func encodeVector(row []byte, v []float32) {
	largest := largestOf(v)
	scale := max(largest/maxCode, math.SmallestNonzeroFloat32)
	n := len(row) - codeTail
	squares, inverse := 0, 1/float64(scale)
	for i, x := range v {
		// Added to 1.5 * 2^52, a number is rounded to the nearest whole one, in the lowest bits of the sum.
		c := int(int32(math.Float64bits(float64(x)*inverse + 3<<51)))
		c = min(max(c, -maxCode), maxCode) // a denormal scale is rounded itself
		squares += c * c
		row[i] = byte(codeZero + c)
	}
	for i := len(v); i < n; i++ {
		row[i] = codeZero
	}
	binary.LittleEndian.PutUint32(row[n:], math.Float32bits(scale))
	binary.LittleEndian.PutUint32(row[n+4:], math.Float32bits(float32(float64(squares)*float64(scale)*float64(scale))))
}

// largestOf is the largest number of v, without its sign. Bits without a sign order as the numbers do; four largest do not wait
// for one another.
func largestOf(v []float32) float32 {
	var b0, b1, b2, b3 uint32
	for ; len(v) >= 4; v = v[4:] {
		b0 = max(b0, math.Float32bits(v[0])<<1)
		b1 = max(b1, math.Float32bits(v[1])<<1)
		b2 = max(b2, math.Float32bits(v[2])<<1)
		b3 = max(b3, math.Float32bits(v[3])<<1)
	}
	for _, x := range v {
		b0 = max(b0, math.Float32bits(x)<<1)
	}
	return math.Float32frombits(max(b0, b1, b2, b3) >> 1)
}

// decodeVector is what a row stands for.
func decodeVector(v []float32, row []byte) {
	scale, _ := codeEnd(row)
	for i := range v {
		v[i] = scale * float32(int(row[i])-codeZero)
	}
}

// codeEnd reads what follows the codes of a row.
func codeEnd(row []byte) (scale, norm float32) {
	end := row[len(row)-codeTail:]
	return math.Float32frombits(binary.LittleEndian.Uint32(end)), math.Float32frombits(binary.LittleEndian.Uint32(end[4:]))
}
