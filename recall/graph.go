package recall

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"robin/ann"
	"robin/machine"
)

// Precisions are the ways in which Robin's graph can hold vectors.
var Precisions = []string{"float32"}

// newGraph makes an empty graph of a precision.
func newGraph(d *Data, precision string, o Options) (*ann.Graph, error) {
	opt := ann.Options{Dim: d.Vectors.Dim, M: o.M, EfConstruction: o.EfConstruction}
	if precision != Precisions[0] {
		return nil, fmt.Errorf("there is no precision %q", precision)
	}
	return ann.NewGraph(opt)
}

// Build is what building took.
type Build struct {
	Seconds   float64 `json:"seconds"`
	CPU       float64 `json:"cpu_seconds"` // processor time of all threads
	VectorsPS float64 `json:"vectors_per_s"`
	Resident  int64   `json:"resident_bytes,omitempty"` // that the process grew by
	PerVector float64 `json:"resident_bytes_per_vector,omitempty"`
	ByArrays  float64 `json:"array_bytes_per_vector,omitempty"` // that the index itself counts
}

// stepOf vectors are added by one call, so that progress shows and an interrupt is heard.
const stepOf = 4096

// build adds all vectors to a new graph, on o.Threads threads.
func build(ctx context.Context, d *Data, precision string, o Options) (*ann.Graph, *Build, error) {
	before := machine.Resident()
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
	if after := machine.Resident(); after > 0 {
		b.Resident = after - before
		b.PerVector = float64(b.Resident) / float64(n)
	}
	return g, b, nil
}

// idsOf appends what a search of the graph finds.
func idsOf(dst []uint64, g *ann.Graph, q []float32, opt ann.SearchOptions) ([]uint64, error) {
	found, err := g.Search(q, K, opt)
	for _, f := range found {
		dst = append(dst, f.ID)
	}
	return dst, err
}
