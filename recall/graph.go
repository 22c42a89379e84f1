package recall

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"robin/ann"
	"robin/machine"
	"robin/matrix"
)

// Precisions are the ways in which Robin's graph can hold vectors: as they are; as codes of a byte for each number, with the
// best candidates compared again as they are; and as such codes alone.
var Precisions = []string{Float32, Int8, Int8Alone}

const (
	Float32   = "float32"
	Int8      = "int8"
	Int8Alone = "int8-alone"
)

// subject is an index under measurement.
type subject struct {
	d         *Data
	precision string
	clock     string
	g         *ann.Graph
	found     *Index
}

// newGraph makes an empty graph of a precision.
func newGraph(d *Data, precision string, o Options) (*ann.Graph, error) {
	opt := ann.Options{Dim: d.Vectors.Dim, M: o.M, EfConstruction: o.EfConstruction}
	switch precision {
	case Float32:
	case Int8, Int8Alone:
		opt.Precision = ann.Int8
	default:
		return nil, fmt.Errorf("there is no precision %q; there are %v", precision, Precisions)
	}
	return ann.NewGraph(opt)
}

// search gives what the graph finds.
func (x *subject) search(q []float32, k int, opt ann.SearchOptions) ([]ann.Neighbor, error) {
	if x.precision == Int8 {
		opt.Rescore = lent{x.d.Vectors}
	}
	return x.g.Search(q, k, opt)
}

// lent is what a graph of codes compares the best candidates by: the vectors, where they lie.
type lent struct{ *matrix.Matrix }

// Vectors implements ann.VectorSource.
func (l lent) Vectors(ids []uint64, rows [][]float32) error {
	for i, id := range ids {
		rows[i] = l.Row(int(id))
	}
	return nil
}

// Build is what building took.
type Build struct {
	Seconds   float64 `json:"seconds"`
	CPU       float64 `json:"cpu_seconds"` // processor time of all threads
	VectorsPS float64 `json:"vectors_per_s"`
	Resident  int64   `json:"resident_bytes,omitempty"` // that the process grew by
	PerVector float64 `json:"resident_bytes_per_vector,omitempty"`
	Allocated float64 `json:"allocated_bytes_per_vector,omitempty"` // what the index's own arrays hold of it
}

// allocated is how many bytes Go's heap holds, as of the last collection.
func allocated() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// stepOf vectors are added by one call, so that progress shows and an interrupt is heard.
const stepOf = 4096

// build adds all vectors to a new graph, on o.Threads threads.
func build(ctx context.Context, d *Data, precision string, o Options) (*ann.Graph, *Build, error) {
	before, held := machine.Resident(), allocated()
	g, err := newGraph(d, precision, o)
	if err != nil {
		return nil, nil, err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(o.Threads))
	began, used := time.Now(), machine.CPUTime()
	ids, rows := make([]uint64, 0, stepOf), make([][]float32, 0, stepOf)
	n := d.Vectors.Len()
	for at := 0; at < n; at += stepOf {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		ids, rows = ids[:0], rows[:0]
		for i := at; i < min(at+stepOf, n); i++ {
			ids, rows = append(ids, uint64(i)), append(rows, d.Vectors.Row(i))
		}
		if err := g.AddBatch(ids, rows); err != nil {
			return nil, nil, err
		}
		o.Progress("build "+precision, at+len(ids), n)
	}
	took := time.Since(began)
	b := &Build{Seconds: took.Seconds(), CPU: (machine.CPUTime() - used).Seconds(), VectorsPS: float64(n) / took.Seconds()}
	after := machine.Resident()
	b.Allocated = (allocated() - held) / float64(n)
	if after > 0 {
		b.Resident = after - before
		b.PerVector = float64(b.Resident) / float64(n)
	}
	return g, b, nil
}
