package indexer

import (
	"math/rand/v2"
	"testing"

	"robin"
	"robin/ann"
)

// BenchmarkNearestOfPassages is a search among 4,000 documents of eight passages, and among as many vectors of one each.
func BenchmarkNearestOfPassages(b *testing.B) {
	for _, c := range []struct {
		name string
		each int
	}{{"one", 1}, {"eight", 8}} {
		b.Run(c.name, func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(1, 1))
			h := &hashEmbedder{dim: 256}
			sc, err := newSchema(1, robin.Settings{EmbedTemplate: "{{a}}"}, h)
			if err != nil {
				b.Fatal(err)
			}
			v := newView(nil, sc)
			if v.graph, err = newGraph(sc); err != nil {
				b.Fatal(err)
			}
			var ids []uint64
			var vecs [][]float32
			var runs []passageRun
			random := func(near []float32) []float32 {
				vec := make([]float32, 256)
				for i := range vec {
					vec[i] = rnd.Float32() - 0.5
					if near != nil {
						vec[i] = near[i] + vec[i]/2
					}
				}
				if why := unit(vec); why != "" {
					b.Fatal(why)
				}
				return vec
			}
			all := random(nil)
			for n := uint64(1); len(ids) < 32000; n += uint64(c.each) {
				of := random(all)
				for i := range c.each {
					ids, vecs = append(ids, n+uint64(i)), append(vecs, random(of))
				}
				if c.each > 1 {
					runs = append(runs, passageRun{n + 1, uint32(c.each) - 1, n})
				}
			}
			v.passages = newPassages(runs)
			if err := v.graph.AddBatch(ids, vecs); err != nil {
				b.Fatal(err)
			}
			query := random(all)
			for b.Loop() {
				if _, err := v.nearest(query, maxNeighbours, nil, ann.SearchOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
