package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// rewrite is a model taken apart, so that some of its nodes and weights can be exchanged. What it does not know stays byte
// for byte as it was. The parts point into the file's bytes.
type rewrite struct {
	model   [][]byte // the model's fields but for the graph and the operator sets
	opsets  map[string]int64
	rest    [][]byte // the graph's fields but for nodes, weights and inputs
	inputs  [][]byte
	nodes   []*node
	weights map[string]*weight
	order   []string        // of weights
	names   map[string]bool // of all that nodes and weights give
	users   map[string]int  // how many inputs, in subgraphs too, read a name
}

// node is one operator. A new node has no raw.
type node struct {
	raw     []byte
	kind    string
	domain  string
	inputs  []string
	outputs []string
	attrs   []attribute
}

// attribute is a number, a list of integers or a tensor of a node.
type attribute struct {
	name   string
	i      int64
	f      float32
	ints   []int64
	tensor []byte
}

// weight is a constant tensor.
type weight struct {
	Weight
	raw    []byte // the whole TensorProto
	values []byte // raw_data
	floats []byte // float_data, packed: used where raw_data is not
}

// takeApart reads a model that Inspect has accepted.
func takeApart(data []byte) (*rewrite, error) {
	r := &rewrite{opsets: map[string]int64{}, weights: map[string]*weight{}, names: map[string]bool{}, users: map[string]int{}}
	err := fields(data, func(num protowire.Number, v value) error {
		switch num {
		case 7:
			return r.takeGraph(v.bytes)
		case 8:
			domain, version := "", int64(0)
			err := fields(v.bytes, func(num protowire.Number, v value) error {
				switch num {
				case 1:
					domain = string(v.bytes)
				case 2:
					version = int64(v.varint)
				}
				return nil
			})
			r.opsets[standard(domain)] = version
			return err
		default:
			r.model = append(r.model, v.raw)
		}
		return nil
	})
	return r, err
}

func (r *rewrite) takeGraph(b []byte) error {
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			if v.bytes == nil {
				return fmt.Errorf("a node is a number: %w", ErrDamaged)
			}
			n, err := takeNode(v.bytes)
			if err != nil {
				return err
			}
			r.nodes = append(r.nodes, n)
			for _, name := range n.outputs {
				r.names[name] = true
			}
			return r.countUsers(v.bytes)
		case 5:
			w, err := takeWeight(v.bytes)
			if err != nil {
				return err
			}
			if r.weights[w.Name] != nil {
				return fmt.Errorf("there are two weights %q: %w", w.Name, ErrDamaged)
			}
			r.addWeight(w)
		case 11:
			r.inputs = append(r.inputs, v.raw)
		case 12:
			p, err := port(v.bytes)
			if err != nil {
				return err
			}
			r.users[p.Name]++
			r.rest = append(r.rest, v.raw)
		default:
			r.rest = append(r.rest, v.raw)
		}
		return nil
	})
	// Old exporters list every weight among the inputs, where one that was exchanged would be asked for.
	r.inputs = slices.DeleteFunc(r.inputs, func(raw []byte) bool {
		_, _, tag := protowire.ConsumeTag(raw)
		body, _ := protowire.ConsumeBytes(raw[tag:])
		p, err := port(body)
		return err == nil && r.weights[p.Name] != nil
	})
	return err
}

func (r *rewrite) addWeight(w *weight) {
	r.weights[w.Name] = w
	r.order = append(r.order, w.Name)
	r.names[w.Name] = true
}

// countUsers counts what a node and the graphs inside it read.
func (r *rewrite) countUsers(node []byte) error {
	return fields(node, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			r.users[string(v.bytes)]++
		case 5:
			return fields(v.bytes, func(num protowire.Number, v value) error {
				if num != 6 && num != 11 {
					return nil
				}
				return fields(v.bytes, func(num protowire.Number, v value) error {
					switch num {
					case 1:
						return r.countUsers(v.bytes)
					case 12:
						p, err := port(v.bytes)
						r.users[p.Name]++
						return err
					}
					return nil
				})
			})
		}
		return nil
	})
}

func takeNode(b []byte) (*node, error) {
	n := &node{raw: b}
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			n.inputs = append(n.inputs, string(v.bytes))
		case 2:
			n.outputs = append(n.outputs, string(v.bytes))
		case 4:
			n.kind = string(v.bytes)
		case 5:
			a, err := takeAttribute(v.bytes)
			n.attrs = append(n.attrs, a)
			return err
		case 7:
			n.domain = string(v.bytes)
		}
		return nil
	})
	n.domain = standard(n.domain)
	return n, err
}

// standard gives the domain of the standard operators one name.
func standard(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

func takeAttribute(b []byte) (attribute, error) {
	var a attribute
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			a.name = string(v.bytes)
		case 2:
			a.f = math.Float32frombits(v.fixed)
		case 3:
			a.i = int64(v.varint)
		case 5:
			a.tensor = v.bytes
		case 8:
			return appendInts(&a.ints, v)
		}
		return nil
	})
	return a, err
}

// attr finds an attribute, or the zero one.
func (n *node) attr(name string) (attribute, bool) {
	i := slices.IndexFunc(n.attrs, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return attribute{}, false
	}
	return n.attrs[i], true
}

func takeWeight(b []byte) (*weight, error) {
	head, err := tensor(b)
	if err != nil {
		return nil, err
	}
	w := &weight{Weight: head, raw: b}
	err = fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 4:
			if v.bytes == nil { // not packed
				w.floats = binary.LittleEndian.AppendUint32(w.floats, v.fixed)
			} else {
				w.floats = v.bytes
			}
		case 9:
			w.values = v.bytes
		}
		return nil
	})
	return w, err
}

// elements is how many numbers a shape has, or -1 for a shape that no file can hold.
func (w *weight) elements() int64 {
	n := int64(1)
	for _, d := range w.Dims {
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return -1
		}
		n *= d
	}
	return n
}

var errNotFinite = errors.New("it holds a number that is not finite")

// float32s decodes a float32 tensor of finite numbers.
func (w *weight) float32s() ([]float32, error) {
	b := w.values
	if b == nil {
		b = w.floats
	}
	if w.Type != Float32 || int64(len(b)) != 4*w.elements() {
		return nil, fmt.Errorf("weight %q of shape %v has %d bytes: %w", w.Name, w.Dims, len(b), ErrDamaged)
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		if x := out[i]; x-x != 0 {
			return nil, fmt.Errorf("weight %q: %w", w.Name, errNotFinite)
		}
	}
	return out, nil
}

// fresh gives a name that nothing has yet.
func (r *rewrite) fresh(name string) string {
	for i := 0; ; i++ {
		s := fmt.Sprintf("robin_%s_%d", name, i)
		if !r.names[s] {
			r.names[s] = true
			return s
		}
	}
}

// constant adds a weight and gives its name.
func (r *rewrite) constant(name string, t ElementType, values []byte, dims ...int64) string {
	name = r.fresh(name)
	var b []byte
	for _, d := range dims {
		b = number(b, 1, uint64(d))
	}
	b = text(number(b, 2, uint64(t)), 8, name)
	r.addWeight(&weight{Weight: Weight{Name: name, Type: t, Dims: dims}, raw: message(b, 9, values)})
	return name
}

// letGo says that one input less reads a name. A weight, or a node that only passes one on, goes with its last reader.
func (r *rewrite) letGo(name string) {
	if r.users[name]--; r.users[name] > 0 {
		return
	}
	if r.weights[name] != nil {
		delete(r.weights, name)
		r.order = slices.DeleteFunc(r.order, func(s string) bool { return s == name })
		return
	}
	i := slices.IndexFunc(r.nodes, func(n *node) bool { return n.passesOn() && slices.Contains(n.outputs, name) })
	if i < 0 {
		return
	}
	inputs := r.nodes[i].inputs
	r.nodes = slices.Delete(r.nodes, i, i+1)
	for _, in := range inputs {
		r.letGo(in)
	}
}

// passesOn says whether a node only gives a constant, or what it reads in another order.
func (n *node) passesOn() bool {
	return n.domain == "" && (n.kind == "Constant" || n.kind == "Identity" || n.kind == "Transpose")
}

// bytes puts the model together. Free dimensions, names and all else that was not exchanged are as they were.
func (r *rewrite) bytes() []byte {
	size := 0
	for _, w := range r.weights {
		size += len(w.raw) + 16
	}
	graph := make([]byte, 0, size+size/16+1<<16)
	for _, n := range r.nodes {
		graph = message(graph, 1, n.bytes())
	}
	for _, name := range r.order {
		graph = message(graph, 5, r.weights[name].raw)
	}
	for _, f := range r.rest {
		graph = append(graph, f...)
	}
	for _, f := range r.inputs {
		graph = append(graph, f...)
	}
	out := make([]byte, 0, len(graph)+1<<12)
	for _, f := range r.model {
		out = append(out, f...)
	}
	for _, domain := range slices.Sorted(maps.Keys(r.opsets)) {
		out = message(out, 8, number(text(nil, 1, domain), 2, uint64(r.opsets[domain])))
	}
	return message(out, 7, graph)
}

func (n *node) bytes() []byte {
	if n.raw != nil {
		return n.raw
	}
	var b []byte
	for _, s := range n.inputs {
		b = text(b, 1, s)
	}
	for _, s := range n.outputs {
		b = text(b, 2, s)
	}
	b = text(text(b, 3, n.outputs[0]), 4, n.kind)
	for _, a := range n.attrs {
		b = message(b, 5, a.bytes())
	}
	if n.domain != "" {
		b = text(b, 7, n.domain)
	}
	return b
}

func (a *attribute) bytes() []byte {
	const isInt, isInts = 2, 7
	b := text(nil, 1, a.name)
	if a.ints == nil {
		return number(number(b, 3, uint64(a.i)), 20, isInt)
	}
	for _, i := range a.ints {
		b = number(b, 8, uint64(i))
	}
	return number(b, 20, isInts)
}
