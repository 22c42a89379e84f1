package onnx

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Quantized is a graph whose matrices Quantize has made smaller.
type Quantized struct {
	Graph    []byte
	Matrices int // that are now in the new type, tables of embeddings among them
	Left     int // matrices of float32 that stayed: those too small to matter, and those of operators that are not known
}

// The bounds of what is quantized. Smaller matrices, and those with few columns such as the one that makes a score, take
// no time and decide much.
const (
	leastSide = 16  // of a matrix
	leastRows = 256 // of a table of embeddings
)

// Opsets whose operators are those that are written here.
const (
	leastOpset = 11
	mostOpset  = 24
)

// Quantize stores a float32 graph's matrices as Int8 or Float16. data must have passed Inspect.
//
// Int8 makes each product one of integers. The matrix is rounded once, each column by a scale of its own, and the rows that it
// multiplies at run time, each by its own largest number: so a text's vector does not depend on what else is in its batch,
// as it does with DynamicQuantizeLinear, which exporters write and which takes one scale for a whole batch, and it is as fast. Tables
// of embeddings keep a scale for each row.
//
// Float16 halves the file and nothing else: the numbers are widened as the graph is loaded.
func Quantize(data []byte, to ElementType) (Quantized, error) {
	r, err := takeApart(data)
	if err != nil {
		return Quantized{}, err
	}
	if v := r.opsets[""]; v < leastOpset || v > mostOpset {
		return Quantized{}, fmt.Errorf("the graph is of opset %d, Robin quantizes %d to %d: export the model again", v, leastOpset, mostOpset)
	}
	q := &quantizer{rewrite: r, rows: map[string]quantizedRows{}, tables: map[string]table{}}
	switch to {
	case Int8:
		err = q.toInt8()
	case Float16:
		err = q.toFloat16()
	default:
		err = fmt.Errorf("there is no quantization to %v, only to int8 and float16", to)
	}
	if err != nil {
		return Quantized{}, err
	}
	out := Quantized{Matrices: q.done}
	for _, w := range r.weights {
		if w.Type == Float32 && len(w.Dims) == 2 && min(w.Dims[0], w.Dims[1]) > 1 {
			out.Left++
		}
	}
	if out.Matrices == 0 {
		return Quantized{}, errors.New("the graph has no float32 matrices to quantize: it is quantized already, or its operators are fused ones; take the plain float32 export")
	}
	out.Graph = r.bytes()
	return out, nil
}

type quantizer struct {
	*rewrite
	out    []*node                  // the nodes so far
	rows   map[string]quantizedRows // by the name of what was rounded
	tables map[string]table         // by the name of the table
	shared map[string]string        // constants by what they are
	done   int
}

// quantizedRows are the uint8 rows and their steps.
type quantizedRows struct{ rows, step string }

type table struct{ rows, scale string }

// matrix finds the constant float32 matrix that an input is, perhaps through a Transpose.
func (q *quantizer) matrix(name string) (w *weight, transposed bool) {
	for range 4 { // longer chains are not written
		if w := q.weights[name]; w != nil {
			if w.Type != Float32 || len(w.Dims) != 2 {
				return nil, false
			}
			return w, transposed
		}
		n := q.producer(name)
		if n == nil || !n.passesOn() || n.kind != "Constant" && len(n.inputs) != 1 {
			return nil, false
		}
		switch a, _ := n.attr("perm"); {
		case n.kind == "Constant":
			return constantWeight(n), transposed
		case n.kind == "Transpose" && len(a.ints) == 2 && a.ints[0] == 1:
			transposed = !transposed
		case n.kind == "Transpose":
			return nil, false
		}
		name = n.inputs[0]
	}
	return nil, false
}

func (q *quantizer) producer(name string) *node {
	for _, n := range q.nodes {
		if slices.Contains(n.outputs, name) {
			return n
		}
	}
	return nil
}

func constantWeight(n *node) *weight {
	a, ok := n.attr("value")
	if !ok || a.tensor == nil {
		return nil
	}
	w, err := takeWeight(a.tensor)
	if err != nil || w.Type != Float32 || len(w.Dims) != 2 {
		return nil
	}
	return w
}

func (q *quantizer) add(kind, domain, out string, inputs []string, attrs ...attribute) string {
	out = cmp.Or(out, q.fresh(kind))
	for _, in := range inputs {
		q.users[in]++
	}
	q.out = append(q.out, &node{kind: kind, domain: domain, inputs: inputs, outputs: []string{out}, attrs: attrs})
	return out
}

// share gives a constant that is wanted more than once.
func (q *quantizer) share(name string, t ElementType, values []byte, dims ...int64) string {
	if q.shared == nil {
		q.shared = map[string]string{}
	}
	if q.shared[name] == "" {
		q.shared[name] = q.constant(name, t, values, dims...)
	}
	return q.shared[name]
}

const microsoft = "com.microsoft"

func (q *quantizer) toInt8() error {
	q.opsets[microsoft] = max(1, q.opsets[microsoft])
	for _, n := range slices.Clone(q.nodes) {
		var changed bool
		var err error
		if n.domain == "" && len(n.outputs) == 1 {
			switch n.kind {
			case "MatMul":
				changed, err = q.product(n, false, "")
			case "Gemm":
				changed, err = q.gemm(n)
			case "Gather":
				changed, err = q.gather(n)
			}
		}
		if err != nil {
			return err
		}
		if changed {
			q.done++
		} else {
			q.out = append(q.out, n)
		}
	}
	// What only passed weights on to products is gone from nodes, and so are the products.
	left := make(map[*node]bool, len(q.nodes))
	for _, n := range q.nodes {
		left[n] = true
	}
	kept := q.out[:0]
	for _, n := range q.out {
		if n.raw == nil || left[n] {
			kept = append(kept, n)
		}
	}
	q.nodes = kept
	return nil
}

// gemm makes a product and a sum of x · w + bias.
func (q *quantizer) gemm(n *node) (bool, error) {
	real := func(name string) float32 {
		if a, ok := n.attr(name); ok {
			return a.f
		}
		return 1
	}
	transA, _ := n.attr("transA")
	transB, _ := n.attr("transB")
	if real("alpha") != 1 || real("beta") != 1 || transA.i != 0 {
		return false, nil
	}
	bias := ""
	if len(n.inputs) > 2 {
		bias = n.inputs[2]
	}
	return q.product(n, transB.i != 0, bias)
}

// product writes x · w of a node whose second input is a constant matrix, transposed or not.
func (q *quantizer) product(n *node, transposed bool, bias string) (bool, error) {
	if len(n.inputs) < 2 {
		return false, nil
	}
	w, turned := q.matrix(n.inputs[1])
	if w == nil || min(w.Dims[0], w.Dims[1]) < leastSide {
		return false, nil
	}
	transposed = transposed != turned
	values, scale, err := quantizeColumns(w, transposed)
	if err != nil {
		return false, err
	}
	inner, columns := w.Dims[0], w.Dims[1]
	if transposed {
		inner, columns = columns, inner
	}
	in := q.roundRows(n.inputs[0])
	product := q.add("MatMulIntegerToFloat", microsoft, "", []string{
		in.rows, q.constant("matrix", Int8, values, inner, columns), q.one(), q.constant("scale", Float32, scale, columns), q.middle(),
	})
	if bias == "" {
		q.add("Mul", "", n.outputs[0], []string{product, in.step})
	} else {
		q.add("Add", "", n.outputs[0], []string{q.add("Mul", "", "", []string{product, in.step}), bias})
		q.letGo(bias) // it was counted again
	}
	q.letGo(n.inputs[0])
	q.letGo(n.inputs[1])
	return true, nil
}

// roundRows rounds each row of an activation to uint8 around 128, by its own largest number. It is done once for all products of
// the same rows. (int8 rows would be ten times as slow on x86, which has no instruction for two signed sides.)
func (q *quantizer) roundRows(x string) quantizedRows {
	if in, ok := q.rows[x]; ok {
		return in
	}
	sizes := q.add("Abs", "", "", []string{x})
	// ReduceMax passes over NaN. Zero times the sum is NaN where a number is not finite, and so is the whole row then.
	odd := q.add("Mul", "", "", []string{q.reduce("ReduceSum", 13, sizes), q.share("zero", Float32, floats(0))})
	peak := q.add("Add", "", "", []string{q.reduce("ReduceMax", 18, sizes), odd})
	step := q.add("Mul", "", "", []string{peak, q.share("step", Float32, floats(1.0/127))})
	step = q.add("Add", "", "", []string{step, q.share("tiny", Float32, floats(1e-12))}) // a row of zeros has a step too
	wide := q.add("Mul", "", "", []string{x, q.add("Reciprocal", "", "", []string{step})})
	in := quantizedRows{q.add("QuantizeLinear", "", "", []string{wide, q.one(), q.middle()}), step}
	q.rows[x] = in
	return in
}

// reduce makes one number of each row. since is the opset from which on the operator reads its axes and has them no more as an
// attribute.
func (q *quantizer) reduce(kind string, since int64, x string) string {
	inputs, attrs := []string{x}, []attribute{{name: "keepdims", i: 1}}
	if q.opsets[""] < since {
		attrs = append(attrs, attribute{name: "axes", ints: []int64{-1}})
	} else {
		inputs = append(inputs, q.share("last", Int64, binary.LittleEndian.AppendUint64(nil, math.MaxUint64), 1))
	}
	return q.add(kind, "", "", inputs, attrs...)
}

func (q *quantizer) one() string    { return q.share("one", Float32, floats(1)) }
func (q *quantizer) middle() string { return q.share("middle", Uint8, []byte{128}) }

// gather takes rows of a table of embeddings, whose scales are those of its rows.
func (q *quantizer) gather(n *node) (bool, error) {
	axis, _ := n.attr("axis")
	if axis.i != 0 || len(n.inputs) != 2 {
		return false, nil
	}
	w := q.weights[n.inputs[0]]
	if w == nil || w.Type != Float32 || len(w.Dims) != 2 || w.Dims[0] < leastRows || w.Dims[1] < leastSide {
		return false, nil
	}
	t, ok := q.tables[w.Name]
	if !ok {
		values, scale, err := quantizeRows(w)
		if err != nil {
			return false, err
		}
		t = table{q.constant("table", Int8, values, w.Dims...), q.constant("scales", Float32, scale, w.Dims[0], 1)}
		q.tables[w.Name] = t
	}
	rows := q.add("Gather", "", "", []string{t.rows, n.inputs[1]})
	wide := q.add("Cast", "", "", []string{rows}, attribute{name: "to", i: int64(Float32)})
	q.add("Mul", "", n.outputs[0], []string{wide, q.add("Gather", "", "", []string{t.scale, n.inputs[1]})})
	q.letGo(n.inputs[0])
	q.letGo(n.inputs[1])
	return true, nil
}

// toFloat16 stores matrices in half the bytes, and widens them first of all.
func (q *quantizer) toFloat16() error {
	for _, name := range slices.Clone(q.order) {
		w := q.weights[name]
		if w.Type != Float32 || len(w.Dims) != 2 || min(w.Dims[0], w.Dims[1]) < 2 {
			continue
		}
		values, err := w.float32s()
		if err != nil {
			return err
		}
		half, fits := halves(values)
		if !fits {
			continue // it holds numbers beyond float16
		}
		stored := q.constant("half", Float16, half, w.Dims...)
		delete(q.weights, name)
		q.add("Cast", "", name, []string{stored}, attribute{name: "to", i: int64(Float32)})
		q.done++
	}
	q.order = slices.DeleteFunc(q.order, func(name string) bool { return q.weights[name] == nil })
	q.nodes = append(q.out, q.nodes...)
	return nil
}
