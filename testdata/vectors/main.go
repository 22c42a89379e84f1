// Command vectors writes documents that bring their own vectors, for measuring imports of many: JSONL with an id, a title
// of a few words, a price and a vector. The vectors lie in clusters, as those of a model do. One seed gives one file.
//
//	go run ./testdata/vectors -n 1000000 -dim 256 > million.jsonl
//
// With -robin it does not write them but imports them through that program, and prints for each tenth the documents a
// second, the processor time, and the memory beside what vectors and graph alone take. With -restart too it takes the data
// of an earlier run and measures how long the program takes to come back, and what a checkpoint writes.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"

	"robin/matrix"
)

func main() {
	n := flag.Int("n", 100_000, "documents")
	dim := flag.Int("dim", 256, "numbers of each vector")
	centres := flag.Int("centres", 2000, "clusters")
	noise := flag.Float64("noise", 0.6, "how far a document is from its cluster's centre, which has length 1")
	seed := flag.Uint64("seed", 1, "of all that is random")
	robin := flag.String("robin", "", "program to measure")
	data := flag.String("data", "", "folder for the program's data; it should be empty")
	again := flag.Bool("restart", false, "measure restarts, with the data of an earlier run")
	flag.Parse()
	rows := func(w io.Writer) error { return write(w, *n, *dim, *centres, *noise, *seed) }
	run := func() error { return rows(os.Stdout) }
	switch {
	case *again:
		run = func() error {
			return restart(*robin, *data, *dim, func(w io.Writer, n int, other uint64) error {
				return write(w, n, *dim, *centres, *noise, *seed+other)
			})
		}
	case *robin != "":
		run = func() error { return measure(*robin, *data, *n, *dim, rows) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "vectors:", err)
		os.Exit(1)
	}
}

var (
	qualities = []string{"steel", "wooden", "light", "folding", "small", "large", "blue", "red", "insulated", "soft", "padded", "quiet", "cordless", "woven"}
	things    = []string{"lamp", "chair", "mug", "rucksack", "kettle", "jacket", "drill", "tent", "blanket", "bottle", "shelf", "clock", "bicycle", "scarf"}
	uses      = []string{"kitchen", "garden", "office", "travel", "winter", "children", "camping", "workshop", "bathroom", "hall"}
)

func write(out io.Writer, n, dim, centres int, noise float64, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	clusters := matrix.NewClusters(dim, centres, noise, seed)
	vector := make([]float32, dim)
	w := bufio.NewWriterSize(out, 1<<20)
	var line []byte
	for i := range n {
		c := clusters.Row(i, vector)
		line = fmt.Appendf(line[:0], `{"id":"v%07d","title":"%s %s for the %s, model %d","price":%d.%02d,"vector":[`,
			i, pick(r, qualities), pick(r, things), pick(r, uses), c, 1+r.IntN(500), r.IntN(100))
		for j, x := range vector {
			if j > 0 {
				line = append(line, ',')
			}
			line = strconv.AppendFloat(line, float64(x), 'g', 5, 32)
		}
		if _, err := w.Write(append(line, "]}\n"...)); err != nil {
			return err
		}
	}
	return w.Flush()
}

func pick(r *rand.Rand, words []string) string { return words[r.IntN(len(words))] }
