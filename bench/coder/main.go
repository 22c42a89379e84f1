// Command coder measures github.com/coder/hnsw in turns with other indexes (recall/testdata/rivals.py), on the files that
// `robin bench ann --save` writes. It adds vectors one after another: the library has no other way.
//
//	go build -o coder-hnsw ./coder && ./coder-hnsw vectors.npy queries.npy
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coder/hnsw"

	"robin/machine"
	"robin/matrix"
	"robin/recall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "coder:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("want two files, vectors and queries, got %d", len(os.Args)-1)
	}
	vectors, err := matrix.Read(os.Args[1], 0)
	if err != nil {
		return err
	}
	queries, err := matrix.Read(os.Args[2], 0)
	if err != nil {
		return err
	}
	d, err := recall.NewData(os.Args[1], vectors, queries)
	if err != nil {
		return err
	}
	return recall.Turns(context.Background(), os.Stdin, os.Stdout, d, &engine{vectors: vectors})
}

type engine struct {
	vectors *matrix.Matrix
	graph   *hnsw.Graph[uint64]
}

// Build makes a graph with the library's own M, 16, and width of insertion, for which it has the same setting as for searches.
func (e *engine) Build(ctx context.Context) (*recall.Build, error) {
	before := machine.Resident()
	e.graph = hnsw.NewGraph[uint64]()
	e.graph.M, e.graph.Distance, e.graph.EfSearch = 16, hnsw.CosineDistance, 200
	e.graph.Rng.Seed(1)
	n := e.vectors.Len()
	began, used := time.Now(), machine.CPUTime()
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.graph.Add(hnsw.MakeNode(uint64(i), e.vectors.Row(i)))
	}
	b := &recall.Build{Seconds: time.Since(began).Seconds(), CPU: (machine.CPUTime() - used).Seconds()}
	b.VectorsPS = float64(n) / b.Seconds
	b.PerVector = float64(machine.Resident()-before) / float64(n)
	return b, nil
}

func (e *engine) Search(dst []uint64, q []float32, ef int) ([]uint64, error) {
	e.graph.EfSearch = ef
	for _, node := range e.graph.Search(q, recall.K) {
		dst = append(dst, node.Key)
	}
	return dst, nil
}
