// Package bench measures the two libraries that Robin went without, against what it has in their place: a module of its
// own, so that they are in nobody's build. Each replaces ours on the day it is better here.
package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/coder/hnsw"
	"github.com/sugarme/tokenizer/pretrained"

	"robin/ann"
	"robin/model/tokenizer"
	"robin/testdata/catalogue"
)

// lines are the titles and descriptions of the demo catalogue.
func lines(b *testing.B) (texts []string) {
	b.Helper()
	z, err := gzip.NewReader(bytes.NewReader(catalogue.Products()))
	if err != nil {
		b.Fatal(err)
	}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var p struct{ Title, Description string }
		if err := json.Unmarshal(s.Bytes(), &p); err != nil {
			b.Fatal(err)
		}
		texts = append(texts, p.Title+" "+p.Description)
	}
	if err := s.Err(); err != nil || len(texts) == 0 {
		b.Fatalf("%d texts, %v", len(texts), err)
	}
	return texts
}

// reference reads the texts, awkward ones among them, for which Hugging Face's own ids are known.
func reference(b *testing.B) (rows []row) {
	b.Helper()
	f, err := os.Open("../model/tokenizer/testdata/starter.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); dec.More(); {
		var r row
		if err := dec.Decode(&r); err != nil {
			b.Fatal(err)
		}
		if r.Pair == nil {
			rows = append(rows, r)
		}
	}
	return rows
}

type row struct {
	Text string `json:"t"`
	IDs  []int  `json:"ids"`
	Pair any    `json:"p"` // rows of two texts, or cut to a length, are left out
}

// BenchmarkTokenizer encodes product texts with the starter's tokenizer. lines-off counts the reference texts whose ids are
// not Hugging Face's, or that make the library panic.
func BenchmarkTokenizer(b *testing.B) {
	const file = "../embedder/starter/tokenizer.json"
	texts, known := lines(b), reference(b)
	ours, err := tokenizer.Load(os.DirFS(filepath.Dir(file)))
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := pretrained.FromFile(file)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, encode func(text string) []int) {
		b.Run(name, func(b *testing.B) {
			off := 0
			for _, r := range known {
				if !slices.Equal(tried(encode, r.Text), r.IDs) {
					off++
				}
			}
			tokens, i := 0, 0
			for b.Loop() {
				tokens += len(encode(texts[i%len(texts)]))
				i++
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64(off), "lines-off")
			b.ReportMetric(float64(len(known)), "lines")
		})
	}
	run("robin", func(text string) []int {
		ids := ours.Encode(text, 0).IDs
		out := make([]int, len(ids))
		for i, id := range ids {
			out[i] = int(id)
		}
		return out
	})
	run("sugarme", func(text string) []int {
		e, err := theirs.EncodeSingle(text, true)
		if err != nil {
			b.Fatal(err)
		}
		return e.Ids
	})
}

// tried is nil when encode panics.
func tried(encode func(string) []int, text string) (ids []int) {
	defer func() {
		if recover() != nil {
			ids = nil
		}
	}()
	return encode(text)
}

// clustered draws vectors around n/200 centres, the first of which are the largest, as a catalogue's are.
func clustered(seed uint64, n, queries, dim int) (vecs, qs [][]float32) {
	r := rand.New(rand.NewPCG(seed, 1))
	centres := make([][]float32, n/200)
	for i := range centres {
		centres[i] = make([]float32, dim)
		for j := range centres[i] {
			centres[i][j] = float32(r.NormFloat64())
		}
	}
	draw := func() []float32 {
		x := r.Float64()
		c, v := centres[int(x*x*float64(len(centres)))], make([]float32, dim)
		for i := range v {
			v[i] = c[i] + 0.5*float32(r.NormFloat64())
		}
		return v
	}
	for range n {
		vecs = append(vecs, draw())
	}
	for range queries {
		qs = append(qs, draw())
	}
	return vecs, qs
}

// BenchmarkGraph asks for the ten nearest of 10,000 clustered vectors by cosine, M = 16; recall is against ann.Flat.
func BenchmarkGraph(b *testing.B) {
	const n, dim, k = 10_000, 256, 10
	vecs, qs := clustered(7, n, 200, dim)
	flat, err := ann.NewFlat(ann.Options{Dim: dim})
	if err != nil {
		b.Fatal(err)
	}
	ours, err := ann.NewGraph(ann.Options{Dim: dim, M: 16})
	if err != nil {
		b.Fatal(err)
	}
	theirs := hnsw.NewGraph[uint64]()
	theirs.M, theirs.Distance = 16, hnsw.CosineDistance
	theirs.Rng.Seed(7)
	for i, v := range vecs {
		id := uint64(i)
		if err := flat.Add(id, v); err != nil {
			b.Fatal(err)
		}
		if err := ours.Add(id, v); err != nil {
			b.Fatal(err)
		}
		theirs.Add(hnsw.MakeNode(id, v))
	}
	nearest := func(search func([]float32, int, ann.SearchOptions) ([]ann.Neighbor, error), q []float32, ef int) (ids []uint64) {
		found, err := search(q, k, ann.SearchOptions{Ef: ef})
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range found {
			ids = append(ids, f.ID)
		}
		return ids
	}
	run := func(name string, search func(q []float32) []uint64) {
		b.Run(name, func(b *testing.B) {
			right := 0
			for _, q := range qs {
				truth := nearest(flat.Search, q, 0)
				for _, id := range search(q) {
					if slices.Contains(truth, id) {
						right++
					}
				}
			}
			i := 0
			for b.Loop() {
				search(qs[i%len(qs)])
				i++
			}
			b.ReportMetric(float64(right)/float64(k*len(qs)), "recall@10")
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "queries/s")
		})
	}
	for _, ef := range []int{20, 64, 200} {
		run(fmt.Sprintf("robin/ef=%d", ef), func(q []float32) []uint64 { return nearest(ours.Search, q, ef) })
	}
	for _, ef := range []int{20, 64, 200} {
		run(fmt.Sprintf("coder/ef=%d", ef), func(q []float32) (ids []uint64) {
			theirs.EfSearch = ef
			for _, node := range theirs.Search(q, k) {
				ids = append(ids, node.Key)
			}
			return ids
		})
	}
}
