package ann

import (
	"math"
	"sync"
)

// Bands are the shares of vectors that filters allow, by which recall is counted and ef is chosen: a graph that is walked for
// one query in three is another graph for a filter that allows one in a hundred.
var Bands = [...]string{"50-100%", "10-50%", "1-10%", "0.1-1%", "0-0.1%"}

// BandOf is the band, an index of Bands, of a filter that allows so many of n.
func BandOf(allowed, n int) int {
	for band, least := range [...]float64{0.5, 0.1, 0.01, 0.001} {
		if float64(allowed) >= least*float64(n) {
			return band
		}
	}
	return len(Bands) - 1
}

// Tuner chooses ef for a target recall by what searches turn out to have found, band by band. It is safe for concurrent use.
type Tuner struct {
	target float64
	least  float64 // ef that is not gone below

	mu    sync.Mutex
	bands [len(Bands)]tuned
}

// tuned is what is known of a band.
type tuned struct {
	ef     float64
	recall float64 // mean of recent searches; later ones count more
	seen   int     // since ef changed
	all    int
}

const (
	// tunedMemory is how many searches the mean goes back, and how many are seen before ef changes.
	tunedMemory = 32
	maxTunedEf  = 8192
)

// NewTuner begins with the least ef in all bands. target is a share of the true neighbours, 0 to 1.
func NewTuner(target float64, least int) *Tuner {
	t := &Tuner{target: target, least: float64(least)}
	for i := range t.bands {
		t.bands[i] = tuned{ef: t.least, recall: 1}
	}
	return t
}

// Ef is what a search in a band should keep.
func (t *Tuner) Ef(band int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(math.Ceil(t.bands[band].ef))
}

// Observe takes in the recall of a search with the ef of its band, a share of the true neighbours. When recent ones are below
// the target ef grows by a quarter, and when they are above by more than half of what the target leaves it shrinks by a tenth.
func (t *Tuner) Observe(band int, recall float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &t.bands[band]
	b.seen++
	b.all++
	b.recall += (recall - b.recall) / float64(min(b.seen, tunedMemory))
	if b.seen < tunedMemory {
		return
	}
	switch {
	case b.recall < t.target:
		b.ef = min(b.ef*1.25, max(t.least, maxTunedEf))
		b.seen = 0
	case b.recall > t.target+(1-t.target)/2:
		b.ef = max(b.ef*0.9, t.least)
		b.seen = 0
	}
}

// Band is what is known of the searches of a band.
type Band struct {
	Name    string
	Ef      int
	Recall  float64 // mean of recent searches
	Samples int
}

// Bands tells of the bands in which searches were observed.
func (t *Tuner) Bands() []Band {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Band
	for i, b := range t.bands {
		if b.all > 0 {
			out = append(out, Band{Bands[i], int(math.Ceil(b.ef)), b.recall, b.all})
		}
	}
	return out
}

// Recall is the share of the k nearest allowed vectors that Search finds with these options: what is as near as the
// farthest of them counts. It compares every allowed vector, so it is for a sample of searches. NaN when there is nothing
// to find.
func (g *Graph) Recall(q []float32, k int, opt SearchOptions) (float64, error) {
	opt.Stats = nil
	got, err := g.Search(q, k, opt)
	if err != nil {
		return 0, err
	}
	scan := Scan
	opt.plan = &scan
	want, err := g.Search(q, k, opt)
	if err != nil {
		return 0, err
	}
	if len(want) == 0 {
		return math.NaN(), nil
	}
	bound := want[len(want)-1].Distance
	bound += Distance(1e-6 * max(1, math.Abs(float64(bound))))
	found := 0
	for _, n := range got {
		if n.Distance <= bound {
			found++
		}
	}
	return min(1, float64(found)/float64(len(want))), nil
}
