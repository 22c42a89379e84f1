package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

// Peak multiplies large matrices in ONNX Runtime and does nothing else: no graph whose work is such products can run
// faster on this machine. Run may be called from several goroutines.
type Peak struct {
	session *Session
	ones    []int64
}

// The products are peakRows × peakInner by peakInner × peakRows: an inner side so long that all else that a product
// costs, growing with the rows alone, vanishes beside it.
const (
	peakRows     = 512
	peakInner    = 2048
	peakProducts = 8
)

// OpenPeak builds the products: of float32, or of uint8 with int8 as quantized models have them (Int8). threads work on
// one Run.
func OpenPeak(t ElementType, threads int) (*Peak, error) {
	if t != Float32 && t != Int8 {
		return nil, fmt.Errorf("there is no peak of %v, only of float32 and of int8", t)
	}
	s, err := Open(peakGraph(t), SessionOptions{Name: "peak of " + t.String(), Inputs: []string{"ones"}, Output: "out", Threads: threads})
	if err != nil {
		return nil, err
	}
	p := &Peak{session: s, ones: make([]int64, peakRows*peakInner)}
	for i := range p.ones {
		p.ones[i] = 1
	}
	return p, nil
}

// Run does the products once and gives the number of their operations, a multiplication and an addition being two.
func (p *Peak) Run() (operations float64, err error) {
	var out [1]float32
	if err := p.session.Run(peakRows, peakInner, [][]int64{p.ones}, out[:], 1, 1); err != nil {
		return 0, err
	}
	return 2 * peakProducts * peakRows * peakRows * peakInner, nil
}

// Close waits for running products and frees the matrices.
func (p *Peak) Close() error { return p.session.Close() }

// peakGraph writes the graph. Each product has a matrix of its own, lest ONNX Runtime see that all are one.
func peakGraph(t ElementType) []byte {
	var graph []byte
	node := func(kind, out string, to ElementType, in ...string) {
		var n []byte
		for _, name := range in {
			n = text(n, 1, name)
		}
		n = text(text(n, 2, out), 4, kind)
		if to != 0 {
			const isInt = 2
			n = message(n, 5, number(number(text(nil, 1, "to"), 3, uint64(to)), 20, isInt))
		}
		graph = message(graph, 1, n)
	}
	rows, product := Float32, "MatMul"
	if t == Int8 {
		rows, product = Uint8, "MatMulInteger"
	}
	random := rand.New(rand.NewPCG(1, 2))
	node("Cast", "rows", rows, "ones")
	var largest []string
	for i := range peakProducts {
		weight, y, most, name := fmt.Sprint("w", i), fmt.Sprint("y", i), fmt.Sprint("m", i), fmt.Sprint("f", i)
		w := number(number(number(nil, 1, peakInner), 1, peakRows), 2, uint64(t))
		graph = message(graph, 5, message(text(w, 8, weight), 9, peakWeights(t, random)))
		node(product, y, 0, "rows", weight)
		node("ReduceMax", most, 0, y)
		node("Cast", name, Float32, most)
		largest = append(largest, name)
	}
	node("Max", "out", 0, largest...)
	graph = text(graph, 2, "peak")
	graph = message(graph, 11, portBytes("ones", Int64, peakRows, peakInner))
	graph = message(graph, 12, portBytes("out", Float32, 1, 1))
	return modelBytes(graph)
}

// peakWeights are small random numbers, because kernels may skip zeros.
func peakWeights(t ElementType, random *rand.Rand) []byte {
	raw := make([]byte, 0, peakInner*peakRows*elementBytes[t])
	for range peakInner * peakRows {
		if t == Int8 {
			raw = append(raw, byte(random.IntN(128)-64))
			continue
		}
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(random.Float32()-0.5))
	}
	return raw
}
