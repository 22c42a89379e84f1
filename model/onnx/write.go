package onnx

import "google.golang.org/protobuf/encoding/protowire"

// The parts of the graphs that are made here, by the fields of ONNX's messages.

// modelBytes is a model of a graph.
func modelBytes(graph []byte) []byte {
	const ir, opset = 8, 17
	return message(message(number(nil, 1, ir), 7, graph), 8, number(nil, 2, opset))
}

func portBytes(name string, t ElementType, dims ...uint64) []byte {
	var shape []byte
	for _, d := range dims {
		shape = message(shape, 1, number(nil, 1, d))
	}
	return message(text(nil, 1, name), 2, message(nil, 1, message(number(nil, 1, uint64(t)), 2, shape)))
}

func number(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func text(b []byte, field protowire.Number, s string) []byte { return message(b, field, []byte(s)) }

func message(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}
