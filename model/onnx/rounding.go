package onnx

import (
	"encoding/binary"
	"math"
)

// mostColumn is the largest number of a column's weights, in 7 bits: x86 kernels from before VNNI add pairs of products in 16 bits,
// where 2 · 255 · 64 still fits and 2 · 255 · 127 would be cut off without a word.
const mostColumn = 64

// mostRow is that of a row of embeddings, which nothing is multiplied with before it is widened.
const mostRow = 127

// quantizeColumns rounds a matrix, inner × columns or when transposed columns × inner, to int8 as inner × columns, and gives the
// scale of each column, float32.
func quantizeColumns(w *weight, transposed bool) (values, scale []byte, err error) {
	x, err := w.float32s()
	if err != nil {
		return nil, nil, err
	}
	inner, columns := int(w.Dims[0]), int(w.Dims[1])
	stepK, stepN := columns, 1
	if transposed {
		inner, columns = columns, inner
		stepK, stepN = 1, inner
	}
	values = make([]byte, len(x))
	for n := range columns {
		peak := float32(0)
		for k := range inner {
			peak = max(peak, abs(x[k*stepK+n*stepN]))
		}
		by := scaleOf(peak, mostColumn)
		for k := range inner {
			values[k*columns+n] = byte(int8(round(x[k*stepK+n*stepN], by, mostColumn)))
		}
		scale = append(scale, floats(by)...)
	}
	return values, scale, nil
}

// quantizeRows rounds a table to int8, and gives the scale of each row, float32.
func quantizeRows(w *weight) (values, scale []byte, err error) {
	x, err := w.float32s()
	if err != nil {
		return nil, nil, err
	}
	width := int(w.Dims[1])
	values = make([]byte, len(x))
	for start := 0; start < len(x); start += width {
		peak := float32(0)
		for _, v := range x[start : start+width] {
			peak = max(peak, abs(v))
		}
		by := scaleOf(peak, mostRow)
		for i, v := range x[start : start+width] {
			values[start+i] = byte(int8(round(v, by, mostRow)))
		}
		scale = append(scale, floats(by)...)
	}
	return values, scale, nil
}

// scaleOf is the step at which peak becomes most. Numbers so small that it vanishes become 0.
func scaleOf(peak float32, most float32) float32 {
	if by := peak / most; by >= math.SmallestNonzeroFloat32*(1<<23) {
		return by
	}
	return 1
}

func round(x, by, most float32) float32 {
	return min(most, max(-most, float32(math.RoundToEven(float64(x)/float64(by)))))
}

func abs(x float32) float32 { return float32(math.Abs(float64(x))) }

func floats(v ...float32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// halves rounds to float16, to the nearest and of two the even one. fits is false when a number is beyond it.
func halves(v []float32) (b []byte, fits bool) {
	b = make([]byte, 0, 2*len(v))
	for _, x := range v {
		h := half(x)
		if h&0x7fff >= 0x7c00 {
			return nil, false
		}
		b = binary.LittleEndian.AppendUint16(b, h)
	}
	return b, true
}

// half rounds a finite number; what is too large becomes infinity.
func half(x float32) uint16 {
	sign := uint16(math.Float32bits(x) >> 16 & 0x8000)
	size := math.Abs(float64(x))
	if size < 0x1p-14 { // subnormal: multiples of 2^-24
		return sign | uint16(math.RoundToEven(size*0x1p24))
	}
	fraction, exponent := math.Frexp(size)      // fraction is from 1/2 to 1
	kept := math.RoundToEven(fraction * 0x1p11) // 1024 to 2048, with the bit that float16 does not write
	return sign | uint16(min(0x7c00, (exponent+13)<<10+int(kept)))
}
