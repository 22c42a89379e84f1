package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// widen is what float16's format says, number by number.
func widen(h uint16) float64 {
	sign, exponent, fraction := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch exponent {
	case 0:
		return sign * fraction * 0x1p-24
	case 31:
		return sign * math.Inf(1) // or NaN, which is not asked for
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

func TestHalfIsTheNearestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		if h&0x7c00 == 0x7c00 {
			continue
		}
		if got := half(float32(widen(uint16(h)))); got != uint16(h) {
			t.Fatalf("%#04x is %g and becomes %#04x", h, widen(uint16(h)), got)
		}
		up := uint16(h) + 1 // the next in size
		if up&0x7c00 == 0x7c00 {
			continue
		}
		// The middle goes to the even one, and a hair beyond it to that side's.
		even := uint16(h) + uint16(h)&1
		middle := (widen(uint16(h)) + widen(up)) / 2
		for x, want := range map[float64]uint16{middle: even, middle * (1 - 1e-6): uint16(h), middle * (1 + 1e-6): up} {
			if got := half(float32(x)); got != want {
				t.Fatalf("%g, between %#04x and %#04x, becomes %#04x, want %#04x", x, h, up, got, want)
			}
		}
	}
	for _, x := range []float32{65520, 1e30, -1e30} {
		if half(x)&0x7fff != 0x7c00 {
			t.Errorf("%g is within float16", x)
		}
	}
	if half(65519) != 0x7bff {
		t.Error("65519 rounds to the largest float16")
	}
}

// rowsPort is a port of any number of rows.
func rowsPort(name string, t ElementType, columns uint64) []byte {
	shape := message(message(nil, 1, nil), 1, number(nil, 1, columns))
	return message(text(nil, 1, name), 2, message(nil, 1, message(number(nil, 1, uint64(t)), 2, shape)))
}

// graphOf writes a graph from "ids", whole numbers, to "out".
type graphOf struct{ b []byte }

func (g *graphOf) node(kind, out string, in []string, attrs ...attribute) {
	n := node{kind: kind, inputs: in, outputs: []string{out}, attrs: attrs}
	g.b = message(g.b, 1, n.bytes())
}

func (g *graphOf) weight(name string, v []float32, dims ...int64) {
	g.b = message(g.b, 5, tensorOf(name, v, dims...))
}

func tensorOf(name string, v []float32, dims ...int64) []byte {
	var b []byte
	for _, d := range dims {
		b = number(b, 1, uint64(d))
	}
	return message(text(number(b, 2, uint64(Float32)), 8, name), 9, floats(v...))
}

func (g *graphOf) model(opset, inner, columns uint64, inputs ...string) []byte {
	g.b = message(g.b, 11, rowsPort("ids", Int64, inner))
	for _, name := range inputs {
		g.b = message(g.b, 11, portBytes(name, Float32, 1))
	}
	g.b = message(text(g.b, 2, "test"), 12, rowsPort("out", Float32, columns))
	return message(message(number(nil, 1, 8), 7, g.b), 8, number(nil, 2, opset))
}

func runGraph(t *testing.T, data []byte, rows, inner, columns int, ids []int64) []float32 {
	t.Helper()
	if _, err := Inspect(data); err != nil {
		t.Fatal(err)
	}
	s, err := Open(data, SessionOptions{Name: "test", Inputs: []string{"ids"}, Output: "out", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := make([]float32, rows*columns)
	if err := s.Run(rows, inner, [][]int64{ids}, out, int64(rows), int64(columns)); err != nil {
		t.Fatal(err)
	}
	return out
}

func random(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// A product's error, from half a step of each column (the largest weight by 64) and half a step of each row (by 127), over 48
// products that add up at random, is far below a tenth of its own size.
func TestEachFormOfAProductIsQuantizedAndAgreesWithFloat32(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	const rows, inner, columns = 3, 48, 32
	w, bias := random(rng, inner*columns), random(rng, columns)
	ids := make([]int64, rows*inner)
	for i := range ids {
		ids[i] = rng.Int64N(401) - 200
	}
	clear(ids[inner : 2*inner]) // a row of zeros
	perm := attribute{name: "perm", ints: []int64{1, 0}}
	transB := attribute{name: "transB", i: 1}
	forms := map[string]func(g *graphOf){
		"MatMul": func(g *graphOf) {
			g.weight("w", w, inner, columns)
			g.node("MatMul", "out", []string{"x", "w"})
		},
		"MatMul of a Transpose": func(g *graphOf) {
			g.weight("w", w, columns, inner)
			g.node("Transpose", "wt", []string{"w"}, perm)
			g.node("MatMul", "out", []string{"x", "wt"})
		},
		"two of one activation": func(g *graphOf) {
			g.weight("w", w, inner, columns)
			g.weight("v", random(rng, inner*columns), inner, columns)
			g.node("MatMul", "a", []string{"x", "w"})
			g.node("MatMul", "b", []string{"x", "v"})
			g.node("Add", "out", []string{"a", "b"})
		},
		"Gemm": func(g *graphOf) {
			g.weight("w", w, inner, columns)
			g.weight("bias", bias, columns)
			g.node("Gemm", "out", []string{"x", "w", "bias"})
		},
		"Gemm, transB": func(g *graphOf) {
			g.weight("w", w, columns, inner)
			g.weight("bias", bias, columns)
			g.node("Gemm", "out", []string{"x", "w", "bias"}, transB)
		},
		"Gemm, no bias": func(g *graphOf) {
			g.weight("w", w, columns, inner)
			g.node("Gemm", "out", []string{"x", "w"}, transB)
		},
	}
	for name, form := range forms {
		for _, opset := range []uint64{11, 13, 17, 18, 21} {
			g := &graphOf{}
			g.node("Cast", "x", []string{"ids"}, attribute{name: "to", i: int64(Float32)})
			form(g)
			data := g.model(opset, inner, columns)
			want := runGraph(t, data, rows, inner, columns, ids)
			for to, bound := range map[ElementType]float64{Int8: 0.1, Float16: 0.002} {
				q, err := Quantize(data, to)
				if err != nil {
					t.Fatalf("%s, opset %d, %v: %v", name, opset, to, err)
				}
				if q.Left != 0 || q.Matrices == 0 || len(q.Graph) > len(data)*3/4 {
					t.Errorf("%s, opset %d, %v: %d matrices, %d left, %d bytes of %d", name, opset, to, q.Matrices, q.Left, len(q.Graph), len(data))
				}
				got := runGraph(t, q.Graph, rows, inner, columns, ids)
				var gap, size float64
				for i := range got {
					gap += math.Pow(float64(got[i]-want[i]), 2)
					size += math.Pow(float64(want[i]), 2)
				}
				if gap = math.Sqrt(gap / size); !(gap < bound) {
					t.Errorf("%s, opset %d, %v: off by %.4f of its size", name, opset, to, gap)
				}
				if alone := runGraph(t, q.Graph, 1, inner, columns, ids[2*inner:]); fmt.Sprint(alone) != fmt.Sprint(got[2*columns:]) {
					t.Errorf("%s, opset %d, %v: a row depends on those beside it", name, opset, to)
				}
			}
		}
	}
}

// ONNX Runtime's ReduceMax passes over a NaN, and rounding makes some number of it: a text whose numbers are none must not look as
// if it had a vector.
func TestARowThatIsNotFiniteStaysSoInInt8(t *testing.T) {
	const inner, columns = 48, 32
	for _, kind := range []string{"Reciprocal", "Log"} {
		for _, opset := range []uint64{11, 13, 17, 18} {
			g := &graphOf{}
			g.node("Cast", "ids32", []string{"ids"}, attribute{name: "to", i: int64(Float32)})
			g.node(kind, "x", []string{"ids32"})
			g.weight("w", random(rand.New(rand.NewPCG(1, 1)), inner*columns), inner, columns)
			g.node("MatMul", "out", []string{"x", "w"})
			q, err := Quantize(g.model(opset, inner, columns), Int8)
			if err != nil {
				t.Fatal(err)
			}
			for place := range inner { // of a 0, whose reciprocal is infinite, or a -1, which has no logarithm
				ids := make([]int64, 2*inner)
				for i := range ids {
					ids[i] = 1 + int64(i%7)
				}
				if ids[inner+place] = 0; kind == "Log" {
					ids[inner+place] = -1
				}
				out := runGraph(t, q.Graph, 2, inner, columns, ids)
				for i, x := range out {
					if math.IsNaN(float64(x)) != (i >= columns) {
						t.Fatalf("%s, opset %d, at %d: component %d of row %d is %g", kind, opset, place, i%columns, i/columns, x)
					}
				}
			}
		}
	}
}

// The exporters of old list weights among the inputs, and a tensor may be in float_data.
func TestWeightsAmongTheInputsAndInFloatDataAreQuantized(t *testing.T) {
	const inner, columns = 16, 16
	w := random(rand.New(rand.NewPCG(1, 1)), inner*columns)
	g := &graphOf{}
	g.node("Cast", "x", []string{"ids"}, attribute{name: "to", i: int64(Float32)})
	g.node("MatMul", "out", []string{"x", "w"})
	packed := message(text(number(number(number(nil, 1, inner), 1, columns), 2, uint64(Float32)), 8, "w"), 4, floats(w...))
	g.b = message(g.b, 5, packed)
	data := g.model(17, inner, columns, "w")
	for _, to := range []ElementType{Int8, Float16} {
		q, err := Quantize(data, to)
		if err != nil {
			t.Fatal(err)
		}
		g, err := Inspect(q.Graph)
		if err != nil || len(g.Inputs) != 1 || g.Inputs[0].Name != "ids" {
			t.Errorf("%v: inputs %+v, %v", to, g.Inputs, err)
		}
		runGraph(t, q.Graph, 3, inner, columns, make([]int64, 3*inner))
	}
}

func TestWhatCannotBeQuantizedIsRefusedWithAReason(t *testing.T) {
	f := func(data []byte, to ElementType, want string) {
		t.Helper()
		if _, err := Quantize(data, to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(lookupGraph(t), Float16, `weight "table": it holds a number that is not finite`)
	f(lookupGraph(t), Int8, "no float32 matrices to quantize") // its table is a small one
	f(lookupGraph(t), Int64, "only to int8 and float16")
	data, err := os.ReadFile("../../testdata/models/tiny-roberta/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	q, err := Quantize(data, Int8)
	if err != nil {
		t.Fatal(err)
	}
	f(q.Graph, Int8, "no float32 matrices to quantize: it is quantized already")
	g := &graphOf{}
	g.weight("w", make([]float32, 256), 16, 16)
	g.node("MatMul", "out", []string{"x", "w"})
	f(g.model(9, 16, 16), Int8, "opset 9")
}

// Numbers beyond float16 stay as they are.
func TestAMatrixThatFloat16CannotHoldStaysFloat32(t *testing.T) {
	g := &graphOf{}
	w := make([]float32, 256)
	w[0] = 70000
	g.weight("far", w, 16, 16)
	g.weight("near", make([]float32, 256), 16, 16)
	g.node("Cast", "x", []string{"ids"}, attribute{name: "to", i: int64(Float32)})
	g.node("MatMul", "y", []string{"x", "far"})
	g.node("MatMul", "out", []string{"y", "near"})
	q, err := Quantize(g.model(17, 16, 16), Float16)
	if err != nil || q.Matrices != 1 || q.Left != 1 {
		t.Errorf("%d matrices, %d left, %v", q.Matrices, q.Left, err)
	}
}

// Bytes of a graph are exchanged, moved and cut out. What Inspect lets through must end, without a panic, in an error or in a graph
// that Inspect lets through too.
func TestQuantizeOutlivesDamagedGraphs(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	g := &graphOf{}
	g.weight("w", random(rng, 256), 16, 16)
	g.weight("v", random(rng, 16*leastRows), leastRows, 16)
	g.node("Transpose", "wt", []string{"w"}, attribute{name: "perm", ints: []int64{1, 0}})
	g.node("Gather", "x", []string{"v", "ids"}, attribute{name: "axis"})
	g.node("Gemm", "y", []string{"x", "wt", "b"}, attribute{name: "transB", i: 1})
	g.node("MatMul", "out", []string{"y", "w"})
	good := g.model(13, 16, 16, "v")
	structure := make([]int, 0, len(good)) // where no weights are
	for i := range good {
		if i < 40 || i > len(good)-400 || rng.IntN(40) == 0 {
			structure = append(structure, i)
		}
	}
	passed := 0
	for range 1500 {
		data := append([]byte(nil), good...)
		for range 1 + rng.IntN(3) {
			at := structure[rng.IntN(len(structure))]
			if at >= len(data) {
				continue
			}
			switch rng.IntN(3) {
			case 0:
				data[at] = byte(rng.IntN(256))
			case 1:
				data[at] ^= 1 << rng.IntN(8)
			case 2:
				data[at] = data[structure[rng.IntN(len(structure))]%len(data)]
			}
		}
		if _, err := Inspect(data); err != nil {
			continue
		}
		passed++
		for _, to := range []ElementType{Int8, Float16} {
			q, err := Quantize(data, to)
			if err != nil {
				continue
			}
			if _, err := Inspect(q.Graph); err != nil {
				t.Fatalf("%v: what it wrote is refused: %v", to, err)
			}
		}
	}
	if passed < 100 {
		t.Errorf("only %d graphs got past Inspect", passed)
	}
}
