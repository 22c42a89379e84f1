package onnx

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits on what a graph file may hold. Deep nesting and long chains of local functions have crashed ONNX Runtime at
// load, before it reports any error.
const (
	maxGraphDepth = 32
	maxFunctions  = 128
)

// Graph is what a look at an ONNX file shows without running it.
type Graph struct {
	Producer string
	Opset    int64 // of the default domain
	Inputs   []Port
	Outputs  []Port
	Weights  []Weight
	Nodes    int
}

// Port is an input or output of the graph. A dimension of -1 is free.
type Port struct {
	Name string
	Type ElementType
	Dims []int64
}

// Weight is a constant tensor of the graph.
type Weight struct {
	Name string
	Type ElementType
	Dims []int64
}

// ElementType is ONNX's TensorProto.DataType.
type ElementType int32

// The element types that matter here.
const (
	Float32 ElementType = 1
	Uint8   ElementType = 2
	Int8    ElementType = 3
	Int32   ElementType = 6
	Int64   ElementType = 7
	Float16 ElementType = 10
)

// String names the type as ONNX does.
func (t ElementType) String() string {
	switch t {
	case Float32:
		return "float32"
	case Uint8:
		return "uint8"
	case Int8:
		return "int8"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Float16:
		return "float16"
	}
	return fmt.Sprintf("element type %d", int32(t))
}

// elementBytes is the width in raw_data, for the types whose width is certain.
var elementBytes = map[ElementType]int64{
	Float32: 4, Uint8: 1, Int8: 1, 4: 2, 5: 2, Int32: 4, Int64: 8, 9: 1, Float16: 2, 11: 8, 12: 4, 13: 8, 16: 2,
}

// ErrDamaged is wrapped by Inspect's errors about files that are cut short or are no ONNX files.
var ErrDamaged = errors.New("the file is damaged or not an ONNX file; fetch it again")

// ErrExternalData is wrapped by Inspect's errors about weights kept in other files.
var ErrExternalData = errors.New("only single-file ONNX models are read, because external data can name any file of this machine; export the model with its weights inside")

// Inspect reads the structure of an ONNX file and refuses what must not reach ONNX Runtime: files cut short, weights
// outside the file, weights whose declared shape exceeds their bytes, and graphs nested so deep that loading crashes.
func Inspect(data []byte) (*Graph, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("the file is empty: %w", ErrDamaged)
	}
	g := &Graph{Opset: -1}
	sawGraph := false
	functions := 0
	err := fields(data, func(num protowire.Number, v value) error {
		switch num {
		case 2:
			g.Producer = string(v.bytes)
		case 7:
			sawGraph = true
			return g.graph(v.bytes, 0)
		case 8:
			return g.opset(v.bytes)
		case 25:
			if functions++; functions > maxFunctions {
				return fmt.Errorf("the graph declares more than %d local functions, which can crash the loader", maxFunctions)
			}
			return fields(v.bytes, func(num protowire.Number, v value) error {
				if num == 7 {
					return g.node(v.bytes, 1)
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !sawGraph || len(g.Inputs) == 0 || len(g.Outputs) == 0 {
		return nil, fmt.Errorf("the file has no graph with inputs and outputs: %w", ErrDamaged)
	}
	return g, nil
}

func (g *Graph) opset(b []byte) error {
	domain, version := "", int64(0)
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			domain = string(v.bytes)
		case 2:
			version = int64(v.varint)
		}
		return nil
	})
	if domain == "" || domain == "ai.onnx" {
		g.Opset = version
	}
	return err
}

// graph reads a GraphProto. Only the outermost one fills Inputs, Outputs and Weights.
func (g *Graph) graph(b []byte, depth int) error {
	if depth > maxGraphDepth {
		return fmt.Errorf("the graph is nested more than %d deep, which can crash the loader", maxGraphDepth)
	}
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			return g.node(v.bytes, depth)
		case 5:
			w, err := tensor(v.bytes)
			if err == nil && depth == 0 {
				g.Weights = append(g.Weights, w)
			}
			return err
		case 15:
			return g.sparse(v.bytes)
		case 11, 12:
			if depth > 0 {
				return nil
			}
			p, err := port(v.bytes)
			if num == 11 {
				g.Inputs = append(g.Inputs, p)
			} else {
				g.Outputs = append(g.Outputs, p)
			}
			return err
		}
		return nil
	})
	if err != nil || depth > 0 {
		return err
	}
	// Old exporters list every weight among the inputs.
	weights := make(map[string]bool, len(g.Weights))
	for _, w := range g.Weights {
		weights[w.Name] = true
	}
	free := g.Inputs[:0]
	for _, p := range g.Inputs {
		if !weights[p.Name] {
			free = append(free, p)
		}
	}
	g.Inputs = free
	return nil
}

func (g *Graph) node(b []byte, depth int) error {
	g.Nodes++
	return fields(b, func(num protowire.Number, v value) error {
		if num != 5 {
			return nil
		}
		return fields(v.bytes, func(num protowire.Number, v value) error {
			switch num {
			case 5, 10: // t, tensors
				_, err := tensor(v.bytes)
				return err
			case 6, 11: // g, graphs
				return g.graph(v.bytes, depth+1)
			case 22, 23: // sparse_tensor, sparse_tensors
				return g.sparse(v.bytes)
			}
			return nil
		})
	})
}

func (g *Graph) sparse(b []byte) error {
	return fields(b, func(num protowire.Number, v value) error {
		if num == 1 || num == 2 {
			_, err := tensor(v.bytes)
			return err
		}
		return nil
	})
}

// tensor reads a TensorProto's header and checks that its bytes are inside the file.
func tensor(b []byte) (Weight, error) {
	var w Weight
	raw := int64(-1)
	var location string
	external := false
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			return appendInts(&w.Dims, v)
		case 2:
			w.Type = ElementType(v.varint)
		case 8:
			w.Name = string(v.bytes)
		case 9:
			raw = int64(len(v.bytes))
		case 13:
			external = true
			key, val := "", ""
			err := fields(v.bytes, func(num protowire.Number, v value) error {
				switch num {
				case 1:
					key = string(v.bytes)
				case 2:
					val = string(v.bytes)
				}
				return nil
			})
			if key == "location" {
				location = val
			}
			return err
		case 14:
			external = external || v.varint == 1
		}
		return nil
	})
	if err != nil {
		return w, err
	}
	if external {
		return w, fmt.Errorf("weight %q keeps its data in another file (%q): %w", w.Name, location, ErrExternalData)
	}
	if width, known := elementBytes[w.Type]; known && raw >= 0 {
		elements := int64(1)
		for _, d := range w.Dims {
			if d < 0 || (d > 0 && elements > math.MaxInt64/16/d) {
				return w, fmt.Errorf("weight %q has an impossible shape %v: %w", w.Name, w.Dims, ErrDamaged)
			}
			elements *= d
		}
		if elements*width != raw {
			return w, fmt.Errorf("weight %q of shape %v needs %d bytes but carries %d: %w", w.Name, w.Dims, elements*width, raw, ErrDamaged)
		}
	}
	return w, nil
}

// port reads a ValueInfoProto.
func port(b []byte) (Port, error) {
	var p Port
	dim := func(b []byte) error {
		size := int64(-1)
		err := fields(b, func(num protowire.Number, v value) error {
			if num == 1 {
				size = int64(v.varint)
			}
			return nil
		})
		p.Dims = append(p.Dims, size)
		return err
	}
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			p.Name = string(v.bytes)
		case 2:
			return within(v.bytes, 1, func(num protowire.Number, v value) error { // TypeProto.tensor_type
				switch num {
				case 1:
					p.Type = ElementType(v.varint)
				case 2:
					return fields(v.bytes, func(num protowire.Number, v value) error {
						if num == 1 {
							return dim(v.bytes)
						}
						return nil
					})
				}
				return nil
			})
		}
		return nil
	})
	return p, err
}

// value is one field: a varint, the bits of a number of 4 bytes, or bytes for everything that carries a length. raw is the
// whole of it, with its tag.
type value struct {
	varint uint64
	fixed  uint32
	bytes  []byte
	raw    []byte
}

// within calls f for the fields of each embedded message with number num.
func within(b []byte, num protowire.Number, f func(protowire.Number, value) error) error {
	return fields(b, func(n protowire.Number, v value) error {
		if n == num {
			return fields(v.bytes, f)
		}
		return nil
	})
}

// appendInts appends the varints of a repeated field to dst, whether they are packed or come one by one.
func appendInts(dst *[]int64, v value) error {
	if v.bytes == nil {
		*dst = append(*dst, int64(v.varint))
		return nil
	}
	for rest := v.bytes; len(rest) > 0; {
		x, n := protowire.ConsumeVarint(rest)
		if n < 0 {
			return ErrDamaged
		}
		*dst, rest = append(*dst, int64(x)), rest[n:]
	}
	return nil
}

// fields walks the fields of one protobuf message.
func fields(b []byte, f func(protowire.Number, value) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("bad field tag: %w", ErrDamaged)
		}
		v := value{raw: b}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			v.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
		case protowire.Fixed32Type:
			v.fixed, n = protowire.ConsumeFixed32(b)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("field %d ends after the file does: %w", num, ErrDamaged)
		}
		b = b[n:]
		v.raw = v.raw[:len(v.raw)-len(b)]
		if err := f(num, v); err != nil {
			return err
		}
	}
	return nil
}

// Find gives the first weight whose name ends with one of the suffixes.
func (g *Graph) Find(suffixes ...string) (Weight, bool) {
	for _, w := range g.Weights {
		for _, s := range suffixes {
			if strings.HasSuffix(w.Name, s) {
				return w, true
			}
		}
	}
	return Weight{}, false
}
