package ann

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// realVectors reads the file that ROBIN_VECTORS names, little-endian float32s of ROBIN_VECTORS_DIM components, and
// holds out one in twenty as queries, 1,000 at most.
func realVectors(t testing.TB) (vecs, qs [][]float32, dim int) {
	t.Helper()
	path := os.Getenv("ROBIN_VECTORS")
	if path == "" {
		t.Skip("ROBIN_VECTORS names no file of real vectors")
	}
	dim, err := strconv.Atoi(os.Getenv("ROBIN_VECTORS_DIM"))
	if err != nil || dim < 1 {
		t.Fatalf("ROBIN_VECTORS_DIM is %q, want the number of components of a vector", os.Getenv("ROBIN_VECTORS_DIM"))
	}
	vecs = readVectors(t, path, dim)
	r := rand.New(rand.NewPCG(41, 0))
	r.Shuffle(len(vecs), func(i, j int) { vecs[i], vecs[j] = vecs[j], vecs[i] })
	held := min(1000, len(vecs)/20)
	return vecs[held:], vecs[:held], dim
}

func TestRecallOnRealVectorsHoldsThroughRestartAndDeletes(t *testing.T) {
	vecs, qs, dim := realVectors(t)
	g, f := newPair(t, Options{Dim: dim})
	start := time.Now()
	addAll(t, g, f, seqIDs(0, len(vecs)), vecs)
	t.Logf("%d vectors of %d components added in %v", len(vecs), dim, time.Since(start))
	mustCheck(t, g, f)
	wantRecall(t, "fresh", g, f, qs, SearchOptions{}, 0.98)

	was := store(t, g)
	start = time.Now()
	again, err := was.load(vectorsOf(g))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes read in %v", was.size(), time.Since(start))
	g = again
	wantRecall(t, "after restart", g, f, qs, SearchOptions{}, 0.98)

	perm := rand.New(rand.NewPCG(42, 0)).Perm(len(vecs))
	for _, i := range perm[:len(perm)*3/10] {
		g.Delete(uint64(i))
		f.Delete(uint64(i))
	}
	mustCheck(t, g, f)
	wantRecall(t, "30 % deleted", g, f, qs, SearchOptions{}, 0.98)
	g = reopen(t, g)
	wantRecall(t, "30 % deleted, after restart", g, f, qs, SearchOptions{}, 0.98)
}
