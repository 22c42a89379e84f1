package ann

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
)

// benchSet is the file of ROBIN_VECTORS when there is one, else 20,000 clustered vectors of 256 components.
func benchSet(b *testing.B) (vecs, qs [][]float32, dim int) {
	if os.Getenv("ROBIN_VECTORS") != "" {
		return realVectors(b)
	}
	vecs, qs = clustered(51, 20000, 300, 256)
	return vecs, qs, 256
}

func BenchmarkSearch(b *testing.B) {
	vecs, qs, dim := benchSet(b)
	g, f := newPair(b, Options{Dim: dim})
	addAll(b, g, f, seqIDs(0, len(vecs)), vecs)
	run := func(name string, search func([]float32, int, SearchOptions) ([]Neighbor, error), opt SearchOptions) {
		b.Run(name, func(b *testing.B) {
			recall := recallOf(b, f, search, qs, 10, opt)
			var stats SearchStats
			opt.Stats = &stats
			visited, i := 0, 0
			for b.Loop() {
				if _, err := search(qs[i%len(qs)], 10, opt); err != nil {
					b.Fatal(err)
				}
				visited += stats.Visited
				i++
			}
			b.ReportMetric(recall, "recall@10")
			b.ReportMetric(float64(visited)/float64(i), "visited/op")
		})
	}
	run("flat", f.Search, SearchOptions{})
	for _, ef := range []int{16, 32, 64, 128, 192, 256, 512} {
		run(fmt.Sprintf("graph/ef=%d", ef), g.Search, SearchOptions{Ef: ef})
	}
}

// BenchmarkPlans measures each plan under filters that allow vectors at random: their costs are what choose and again go by.
func BenchmarkPlans(b *testing.B) {
	vecs, qs, dim := benchSet(b)
	g, f := newPair(b, Options{Dim: dim})
	addAll(b, g, f, seqIDs(0, len(vecs)), vecs)
	for _, percent := range []float64{100, 70, 50, 30, 20, 10, 5, 1} {
		allow := inBatches(randomSet(52, len(vecs), percent/100))
		for _, plan := range []Plan{Walk, WalkAllowed, Scan} {
			b.Run(fmt.Sprintf("allowed=%v%%/%v", percent, plan), func(b *testing.B) {
				var stats SearchStats
				opt := SearchOptions{Allow: allow, plan: &plan}
				recall := recallOf(b, f, g.Search, qs, 10, opt)
				opt.Stats = &stats
				visited, i := 0, 0
				for b.Loop() {
					if _, err := g.Search(qs[i%len(qs)], 10, opt); err != nil {
						b.Fatal(err)
					}
					visited += stats.Visited
					i++
				}
				b.ReportMetric(recall, "recall@10")
				b.ReportMetric(float64(visited)/float64(i), "visited/op")
			})
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	vecs, _, dim := benchSet(b)
	build := func(b *testing.B, add func(g *Graph) error) {
		for b.Loop() {
			g, err := NewGraph(Options{Dim: dim})
			if err != nil {
				b.Fatal(err)
			}
			if err := add(g); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(vecs)*b.N)/b.Elapsed().Seconds(), "vectors/s")
	}
	b.Run("one", func(b *testing.B) {
		build(b, func(g *Graph) error {
			for i, v := range vecs {
				if err := g.Add(uint64(i), v); err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("batch", func(b *testing.B) {
		build(b, func(g *Graph) error { return g.AddBatch(seqIDs(0, len(vecs)), vecs) })
	})
}

func BenchmarkDeleteAndAddAgain(b *testing.B) {
	vecs, qs, dim := benchSet(b)
	g, f := newPair(b, Options{Dim: dim})
	addAll(b, g, f, seqIDs(0, len(vecs)), vecs)
	r := rand.New(rand.NewPCG(53, 0))
	for b.Loop() {
		i := r.IntN(len(vecs))
		g.Delete(uint64(i))
		if err := g.Add(uint64(i), vecs[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(recallOf(b, f, g.Search, qs, 10, SearchOptions{}), "recall@10")
}

// BenchmarkCodec writes a graph whole, writes what 1,000 changes leave to be written, and reads it.
func BenchmarkCodec(b *testing.B) {
	vecs, _, dim := benchSet(b)
	g, _ := newPair(b, Options{Dim: dim})
	if err := g.AddBatch(seqIDs(0, len(vecs)), vecs); err != nil {
		b.Fatal(err)
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			store(b, g)
		}
		b.ReportMetric(float64(store(b, g).size())/float64(len(vecs)), "bytes/vector")
	})
	b.Run("changes", func(b *testing.B) {
		r := rand.New(rand.NewPCG(54, 0))
		bytes := int64(0)
		for b.Loop() {
			b.StopTimer()
			for range 500 {
				i := r.IntN(len(vecs))
				g.Delete(uint64(i))
				if err := g.Add(uint64(i), vecs[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
			bytes += (&stored{changes: [][][]byte{g.EncodeChanges()}}).size()
		}
		b.ReportMetric(float64(bytes)/float64(b.N), "bytes/op")
	})
	s := store(b, g)
	b.Run("read", func(b *testing.B) {
		vector := func(id uint64) ([]float32, error) { return vecs[id], nil }
		for b.Loop() {
			if _, err := s.load(vector); err != nil {
				b.Fatal(err)
			}
		}
	})
}
