package ann

import (
	"fmt"
	"math"
)

// Metric says what near means.
type Metric uint8

const (
	// Cosine is 1 minus the cosine of the angle, 0 to 2. Vectors are brought to length 1 on their way in.
	Cosine Metric = iota
	// Dot is the negative dot product: a larger product is nearer.
	Dot
	// L2 is the square of the Euclidean distance, which orders as the distance does.
	L2
)

func (m Metric) String() string {
	switch m {
	case Cosine:
		return "cosine"
	case Dot:
		return "dot"
	case L2:
		return "l2"
	}
	return fmt.Sprintf("Metric(%d)", uint8(m))
}

// distance compares two vectors that came through prepare.
func (m Metric) distance(a, b []float32) Distance {
	if m == L2 {
		return m.fromKernel(squaredL2(a, b))
	}
	return m.fromKernel(dot(a, b))
}

// fromKernel makes a distance of what the kernels compute: the squared distance for L2, else the dot product.
func (m Metric) fromKernel(x float32) Distance {
	switch m {
	case L2:
		return Distance(x)
	case Dot:
		return Distance(-x)
	}
	if x > 1 { // rounding would put a vector nearer to its copy than 0
		return 0
	}
	return Distance(1 - x)
}

// unitTolerance is how far a squared length may be from 1 for a vector to count as normalised already. Rounding to
// float32 moves the squared length of a unit vector by at most 1.2e-7, so normalising twice changes no bit.
const unitTolerance = 1e-6

// maxSquaredNorm keeps every dot product and squared distance of two accepted vectors below infinity.
const maxSquaredNorm = math.MaxFloat32 / 8

// prepare checks v and returns the form in which it is compared: v itself, or a normalised copy.
func (m Metric) prepare(v []float32, dim int) ([]float32, error) {
	if len(v) != dim {
		return nil, fmt.Errorf("%w: got %d, want %d", ErrDimension, len(v), dim)
	}
	norm := squaredNorm(v)
	if math.IsNaN(norm) || math.IsInf(norm, 0) { // finite float32s cannot overflow a float64 sum of squares
		return nil, ErrNotFinite
	}
	if m != Cosine {
		if norm > maxSquaredNorm {
			return nil, fmt.Errorf("%w: length %.3g", ErrNotFinite, math.Sqrt(norm))
		}
		return v, nil
	}
	if norm == 0 {
		return nil, ErrZeroVector
	}
	if math.Abs(norm-1) <= unitTolerance {
		return v, nil
	}
	unit := make([]float32, len(v))
	scale := 1 / math.Sqrt(norm)
	for i, x := range v {
		unit[i] = float32(float64(x) * scale)
	}
	return unit, nil
}

// squaredNorm is the squared length of v. Four sums break the chain of additions.
func squaredNorm(v []float32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(v) >= 4; v = v[4:] {
		a, b, c, d := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		s0 += a * a
		s1 += b * b
		s2 += c * c
		s3 += d * d
	}
	for _, x := range v {
		s0 += float64(x) * float64(x)
	}
	return (s0 + s1) + (s2 + s3)
}

// dotGo is the plain form of dot, and what faster kernels are tested against. Eight sums break the chain of
// additions that would otherwise wait for one another.
func dotGo(a, b []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	b = b[:len(a)]
	for len(a) >= 8 && len(b) >= 8 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		s4 += a[4] * b[4]
		s5 += a[5] * b[5]
		s6 += a[6] * b[6]
		s7 += a[7] * b[7]
		a, b = a[8:], b[8:]
	}
	b = b[:len(a)]
	for i, x := range a {
		s0 += x * b[i]
	}
	return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
}

// squaredL2Go is the plain form of squaredL2.
func squaredL2Go(a, b []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	b = b[:len(a)]
	for len(a) >= 8 && len(b) >= 8 {
		d0, d1, d2, d3 := a[0]-b[0], a[1]-b[1], a[2]-b[2], a[3]-b[3]
		d4, d5, d6, d7 := a[4]-b[4], a[5]-b[5], a[6]-b[6], a[7]-b[7]
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
		s4 += d4 * d4
		s5 += d5 * d5
		s6 += d6 * d6
		s7 += d7 * d7
		a, b = a[8:], b[8:]
	}
	b = b[:len(a)]
	for i, x := range a {
		d := x - b[i]
		s0 += d * d
	}
	return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
}
