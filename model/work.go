package model

import "robin/model/onnx"

// work is what config.json says about the size of a transformer.
type work struct {
	layers, width, inner int
	integer              bool // the graph holds int8 matrices
}

// Operations is how many additions and multiplications a transformer of this size needs for a text of so many tokens: two
// for each weight of its matrices and each token, and those of attention. 0 when config.json does not say the size. A graph
// that leaves a part out, as a cross-encoder may that carries only the first token through its last layer, does less.
func (f *Folder) Operations(tokens int) float64 {
	w := f.work
	matrices := 4*w.width*w.width + 2*w.width*w.inner
	attention := 2 * w.width * tokens
	return 2 * float64(w.layers) * float64(tokens) * float64(matrices+attention)
}

// Integer says whether the model's matrices are int8, so that its peak is another.
func (f *Folder) Integer() bool { return f.work.integer }

// integer looks for the most weights among the large matrices, without the embedding tables, which are only looked up.
func integer(g *onnx.Graph, width int) bool {
	var whole, all int64
	for _, w := range g.Weights {
		if len(w.Dims) != 2 || w.Dims[0]*w.Dims[1] < int64(width)*int64(width) || max(w.Dims[0], w.Dims[1]) > int64(8*width) {
			continue
		}
		n := w.Dims[0] * w.Dims[1]
		all += n
		if w.Type == onnx.Int8 || w.Type == onnx.Uint8 {
			whole += n
		}
	}
	return 2*whole > all
}
