package model

import "math"

// pool makes dst, of the model's dimension, from the first tokens rows of hidden. Padding rows come after them and are
// not looked at, which is what masking does.
func pool(dst, hidden []float32, tokens int, p Pooling) {
	dim := len(dst)
	copy(dst, hidden[:dim])
	switch p {
	case Mean:
		for t := 1; t < tokens; t++ {
			for j, x := range hidden[t*dim : (t+1)*dim] {
				dst[j] += x
			}
		}
		scale := 1 / float32(tokens)
		for j := range dst {
			dst[j] *= scale
		}
	case Max:
		for t := 1; t < tokens; t++ {
			for j, x := range hidden[t*dim : (t+1)*dim] {
				// A NaN stays: it must be seen by usable, not lost in a comparison.
				if x > dst[j] || x != x {
					dst[j] = x
				}
			}
		}
	}
}

// minNorm is the length below which a vector has no direction that float32 could tell from noise.
const minNorm = 1e-6

// usable gives v's length, or 0 when v is of no use, and scales it to length 1 when unit is set.
func usable(v []float32, unit bool) float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	norm := math.Sqrt(sum)
	if math.IsNaN(norm) || math.IsInf(norm, 0) || norm < minNorm {
		return 0
	}
	if unit {
		scale := 1 / norm
		for i, x := range v {
			v[i] = float32(float64(x) * scale)
		}
	}
	return float32(norm)
}
