package model

import (
	"crypto/sha256"
	"fmt"

	"robin/model/onnx"
)

// Quantize gives the folder's float32 graph with its matrices in another precision. It reads the graph into memory and needs as
// much again.
func (f *Folder) Quantize(to Precision) (onnx.Quantized, error) {
	if f.Precision != string(FullPrecision) {
		return onnx.Quantized{}, fmt.Errorf("model %s is of %s already: quantize the float32 one", f.Name, f.Precision)
	}
	types := map[Precision]onnx.ElementType{BytePrecision: onnx.Int8, HalfPrecision: onnx.Float16}
	if types[to] == 0 {
		return onnx.Quantized{}, fmt.Errorf("there is no quantization to %q, only to %s and %s", to, BytePrecision, HalfPrecision)
	}
	data, err := readRegular(f.fsys, f.graph.name)
	if err == nil && sha256.Sum256(data) != f.graph.sum {
		err = fmt.Errorf("it changed since the folder was opened")
	}
	var q onnx.Quantized
	if err == nil {
		q, err = onnx.Quantize(data, types[to])
	}
	if err != nil {
		return q, fmt.Errorf("model %s: %s: %w", f.Name, f.graph.name, err)
	}
	return q, nil
}

// GraphFile is the path of the graph in the folder.
func (f *Folder) GraphFile() string { return f.graph.name }
