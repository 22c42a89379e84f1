package dedup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"robin/dedup"
)

// cost is what a search for duplicates took.
type cost struct {
	allocated, live float64       // MiB
	took            time.Duration // of processors: the machine has other work
}

// measure looks for duplicates in a file and wants one cluster of all documents.
func measure(t *testing.T, texts []string, vectors map[string][]float32) cost {
	t.Helper()
	var before, after, live runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := processorTime(t)
	f := dedup.NewFile()
	for i, text := range texts {
		f.Add(dedup.Item{ID: fmt.Sprint("d", i), Text: text})
	}
	err := f.Embed(t.Context(), func(_ context.Context, texts []string) ([][]float32, error) {
		out := make([][]float32, len(texts))
		for i, text := range texts {
			out[i] = vectors[text]
		}
		return out, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := find(t, f, dedup.Options{})
	rep := found.Cut(dedup.CutOptions{Threshold: 0.9})
	c := cost{took: processorTime(t) - start}
	runtime.ReadMemStats(&after)
	runtime.GC()
	runtime.ReadMemStats(&live)
	const mib = 1 << 20
	c.allocated = float64(after.TotalAlloc-before.TotalAlloc) / mib
	c.live = (float64(live.HeapAlloc) - float64(before.HeapAlloc)) / mib
	if rep.Total != 1 || rep.Duplicates != len(texts)-1 {
		t.Errorf("%d documents gave %d clusters with %d duplicates, want one with all", len(texts), rep.Total, rep.Duplicates)
	}
	t.Logf("%d documents: %v, %.0f MiB allocated, %.0f MiB live; %d pairs, %d saturated", len(texts), c.took.Round(time.Millisecond),
		c.allocated, c.live, rep.Pairs, rep.Saturated)
	runtime.KeepAlive(found)
	runtime.KeepAlive(f)
	return c
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// wantLinear compares half of the documents with all. What lives is held tightly. What is allocated on the way counts arrays
// that were outgrown, at steps that fall differently (2.4 times was seen under -race), and time shares its caches with
// others: both are held to less than the 4 times of a quadratic way.
func wantLinear(t *testing.T, half, whole cost) {
	t.Helper()
	if whole.allocated > 3*half.allocated || whole.live > 2.3*half.live {
		t.Errorf("memory grows faster than the file: %.0f and %.0f MiB allocated, %.0f and %.0f MiB live", half.allocated, whole.allocated, half.live, whole.live)
	}
	if whole.took > 3*half.took {
		t.Errorf("time grows faster than the file: %v and %v", half.took, whole.took)
	}
}

func TestTenThousandNearCopiesAreOneClusterInLinearMemory(t *testing.T) {
	const n = manyCopies
	const seed = 31
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	center := randomVector(r, 64)
	vecs := noisy(r, center, 0.12, n) // a cosine of about 0.98 to one another
	texts := make([]string, n)
	vectors := map[string][]float32{}
	for i := range texts {
		if i > 0 && i%5 == 0 { // a fifth are exact copies
			texts[i] = strings.ToUpper(texts[r.IntN(i)])
			continue
		}
		texts[i] = words(r, 5)
		vectors[texts[i]] = vecs[i]
	}
	wantLinear(t, measure(t, texts[:n/2], vectors), measure(t, texts, vectors))
}

func TestTenThousandTextsWithOneVectorAreOneCluster(t *testing.T) {
	const n = manyCopies
	r := rand.New(rand.NewPCG(32, 0))
	v := randomVector(r, 64)
	texts := make([]string, n)
	vectors := map[string][]float32{}
	for i := range texts {
		texts[i] = words(r, 5)
		vectors[texts[i]] = v
	}
	wantLinear(t, measure(t, texts[:n/2], vectors), measure(t, texts, vectors))
}

// TestTenThousandRewordedOffersAreOneCluster has the starter model read 10,000 offers of one product.
func TestTenThousandRewordedOffersAreOneCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("embeds 10,000 texts")
	}
	const n = manyCopies
	seen := map[string]bool{}
	var texts []string
	for r := rand.New(rand.NewPCG(33, 0)); len(texts) < n; {
		text := reworded(r)
		if !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
		if len(texts)%10 == 9 { // and some exact copies
			texts = append(texts, texts[r.IntN(len(texts))])
		}
	}
	texts = texts[:n]
	embed := starter(t)
	vectors := map[string][]float32{}
	for from := 0; from < n; from += 1000 {
		some, err := embed(t.Context(), texts[from:from+1000])
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range some {
			vectors[texts[from+i]] = v
		}
	}
	wantLinear(t, measure(t, texts[:n/2], vectors), measure(t, texts, vectors))
}

// reworded says the same of one garden hose with small changes.
func reworded(r *rand.Rand) string {
	pick := func(ways ...string) string { return ways[r.IntN(len(ways))] }
	s := pick("Flexible", "A flexible", "The flexible") + " garden hose with " + pick("brass fittings", "solid brass fittings", "fittings of brass")
	s += pick(". For", ". Made for", ". Ideal for", ". Perfect for") + " watering " + pick("beds and lawns", "lawns and beds") + ". "
	s += pick("It does not kink", "It never kinks", "It will not kink") + " and " + pick("stands", "withstands", "resists") + " sun and frost. "
	s += pick("Easy", "It is easy") + " to " + pick("coil and store", "roll up and store", "coil up and store")
	return s + pick(".", " after use.", " when done.", " afterwards.", " after watering.")
}
