package dedup

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"robin"
)

// Item is one document.
type Item struct {
	ID     string
	Text   string          // what is embedded
	Vector []float32       // of unit length; nil when the document has none
	Raw    json.RawMessage // the document, for keep rules and the facts in its fields
}

// Near is an item near a vector.
type Near struct {
	I      int // position in the source
	Cosine float64
}

// Source is a set of documents that does not change while Find reads it. Nearest and Vector are called from several
// goroutines at a time.
type Source interface {
	Len() int
	// Each yields every item with its position, from 0, in a stable order.
	Each(ctx context.Context, yield func(i int, it Item) error) error
	// Nearest gives about the k items nearest to a vector, the best first, the vector's own item included. It may leave
	// out exact copies but for the first.
	Nearest(vec []float32, k int) ([]Near, error)
	// Vector gives the vector of an item for which Each gave one.
	Vector(i int) ([]float32, error)
}

// Cross is a cross-encoder: it reads two texts together. It is called from several goroutines at a time.
type Cross interface {
	Score(ctx context.Context, query string, passages []string) ([]float32, error)
}

// Options of Find. The zero value works.
type Options struct {
	Rule robin.DuplicateRule // decides where the cross-encoder looks, and is the default of Cut
	// Floor is the least cosine that is looked for; 0 means DefaultFloor. It is lowered to what Rule can say yes to, and
	// raised, to that at most, when there would be more than MaxPairs.
	Floor    float64
	Keep     string // the default of Cut; "" means first
	Cross    Cross  // nil: none. It is asked when Rule reads its score
	CrossAll bool   // or in any case: so that labels of the pairs teach what a score is worth
	MaxCross int    // pairs that the cross-encoder scores; 0 means 5,000
	OneToOne string // a field that tells two catalogues apart: each document gets one partner at most, of another value; "" does not
	MaxPairs int    // 0 means 16 times the documents, and 4 million at least
	Workers  int    // 0 means one per processor
	Progress func(robin.Progress)

	// What the report says besides.
	Task       string
	Collection string
	Seq        uint64
	Models     robin.Models
}

// DefaultFloor is the least cosine that is looked for when nothing else was said.
const DefaultFloor = 0.80

// leastFloor: below it nearly everything is near to something, and no text's 256 neighbours say anything about it.
const leastFloor = 0.5

const (
	maxNear         = 256 // near pairs that one text keeps
	leastMaxPairs   = 4 << 20
	pairsADocument  = 16
	defaultMaxCross = 5000
	blockSize       = 2048 // texts between two looks at the number of pairs and at the context
	progressEvery   = 250 * time.Millisecond
)

func (o Options) defaulted(n int) Options {
	if o.Floor == 0 {
		o.Floor = DefaultFloor
	}
	o.Floor = max(0, min(o.Floor, max(PlainThreshold(o.Rule), leastFloor)))
	if o.MaxCross == 0 {
		o.MaxCross = defaultMaxCross
	}
	if o.MaxPairs == 0 {
		o.MaxPairs = max(leastMaxPairs, pairsADocument*n)
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Keep == "" {
		o.Keep = "first"
	}
	return o
}

// Find looks for documents that say the same: exact copies by their text, then near pairs among the distinct texts by
// a search for each, then the cross-encoder on the pairs that the rule is least sure of.
func Find(ctx context.Context, src Source, o Options) (*Found, error) {
	start := time.Now()
	o = o.defaulted(src.Len())
	if _, err := parseKeep(o.Keep); err != nil {
		return nil, err
	}
	all, err := read(ctx, src, o.OneToOne)
	if err != nil {
		return nil, err
	}
	if err := all.sources.check(); err != nil {
		return nil, err
	}
	j := &join{src: src, o: o, texts: all, floor: o.Floor, start: start}
	if err := j.run(ctx); err != nil {
		return nil, err
	}
	f, err := all.found(ctx, src, j)
	if err != nil {
		return nil, err
	}
	if err := f.cross(ctx, o); err != nil {
		return nil, err
	}
	f.head.TookMS = time.Since(start).Milliseconds()
	return f, nil
}

// edge is a near pair of two texts, a below b.
type edge struct {
	a, b   uint32
	cosine float32
}

// rival is what is nearest to a text.
type rival struct {
	node         uint32 // none when there is nothing near
	best, second float32
}

// but is the best cosine to anything but one text.
func (r rival) but(node uint32) float64 {
	if r.node == node {
		return float64(r.second)
	}
	return float64(r.best)
}

// join searches for each distinct vector. Workers take texts of a block; between blocks one goroutine owns everything,
// so that the outcome does not depend on the workers.
type join struct {
	src   Source
	o     Options
	texts *reading
	floor float64
	start time.Time

	edges  []edge
	rivals []rival   // by node
	last   []float32 // by node: the cosine at which its list was cut; -1 when it is whole
	done   int
}

// hits is the outcome for one node of a block.
type hits struct {
	near  []edge
	rival rival
	last  float32
}

func (j *join) run(ctx context.Context) error {
	n := len(j.texts.nodes)
	j.rivals = make([]rival, n)
	j.last = make([]float32, n)
	shared := j.texts.byVector()
	reported := time.Now()
	for from := 0; from < len(shared); from += blockSize {
		block := shared[from:min(from+blockSize, len(shared))]
		out := make([][]hits, len(block))
		err := parallel(ctx, len(block), j.o.Workers, func(i int) (err error) {
			out[i], err = j.search(block[i])
			return err
		})
		if err != nil {
			return err
		}
		for i, nodes := range block {
			for k, node := range nodes {
				h := out[i][k]
				j.edges = append(j.edges, h.near...)
				j.rivals[node], j.last[node] = h.rival, h.last
			}
			j.done += len(nodes)
		}
		if len(j.edges) > 2*j.o.MaxPairs {
			j.compact()
		}
		if last := from+blockSize >= len(shared); last || time.Since(reported) > progressEvery {
			reported = time.Now()
			j.progress(n)
		}
	}
	j.compact()
	for i, c := range j.last {
		if float64(c) < j.floor {
			j.last[i] = -1
		}
	}
	return nil
}

func (j *join) progress(n int) {
	if j.o.Progress == nil {
		return
	}
	p := robin.Progress{Done: j.done, Total: n}
	if s := time.Since(j.start).Seconds(); s > 0 {
		p.PerS = float64(j.done) / s
		p.EtaS = float64(n-j.done) / p.PerS
	}
	j.o.Progress(p)
}

// search looks for what is near the vector that some texts share. k grows until the last hit is below the floor: most
// texts have few neighbours, and a search for 256 costs ten times one for 16.
func (j *join) search(nodes []uint32) ([]hits, error) {
	item := j.texts.nodes[nodes[0]].first
	vec, err := j.src.Vector(item)
	if err != nil {
		return nil, fmt.Errorf("read the vector of document %s: %w", j.texts.ids[item], err)
	}
	var near []Near
	cut := false
	for _, k := range []int{16, 64, maxNear + 1} {
		if near, err = j.src.Nearest(vec, k); err != nil {
			return nil, fmt.Errorf("search near document %s: %w", j.texts.ids[item], err)
		}
		cut = len(near) >= k && near[len(near)-1].Cosine >= j.floor
		if !cut {
			break
		}
	}
	out := make([]hits, len(nodes))
	for i, node := range nodes {
		out[i] = j.hits(node, near, cut)
	}
	return out, nil
}

// hits reads what a search found as one node's neighbours.
func (j *join) hits(node uint32, near []Near, cut bool) hits {
	h := hits{rival: rival{node: none}, last: -1}
	if cut {
		h.last = float32(near[len(near)-1].Cosine)
	}
	for _, x := range near {
		other := j.texts.nodeOf[x.I]
		c := float32(x.Cosine)
		switch {
		case other == node || other == none:
			continue
		case h.rival.node == none:
			h.rival.node, h.rival.best = other, c
		case h.rival.second == 0 && other != h.rival.node:
			h.rival.second = c
		}
		if float64(c) >= j.floor && len(h.near) < maxNear {
			h.near = append(h.near, edge{min(node, other), max(node, other), c})
		}
	}
	return h
}

// compact removes repeats, for a pair is often found from both sides, and raises the floor when there are still too
// many pairs: step by step, and never above what the rule says yes to by itself.
func (j *join) compact() {
	slices.SortFunc(j.edges, compareEdges)
	j.edges = slices.CompactFunc(j.edges, func(x, y edge) bool { return x.a == y.a && x.b == y.b })
	ceiling := Threshold(j.o.Rule)
	if len(j.o.Rule.Weights) > 0 {
		ceiling = max(j.o.Rule.Floor, DefaultFloor) // a learnt rule has no sharp end
	}
	for len(j.edges) > j.o.MaxPairs && j.floor < ceiling {
		j.floor = min(j.floor+bandWidth, ceiling)
		j.edges = slices.DeleteFunc(j.edges, func(e edge) bool { return float64(e.cosine) < j.floor })
	}
}

func compareEdges(x, y edge) int {
	if x.a != y.a {
		return int(x.a) - int(y.a)
	}
	return int(x.b) - int(y.b)
}

// parallel calls f for 0 to n-1 from so many goroutines, and waits for them. The first error ends it.
func parallel(ctx context.Context, n, workers int, f func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	fail := func(err error) { once.Do(func() { failed = err }); next.Store(int64(n)) }
	for range min(max(workers, 1), n) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				err := ctx.Err()
				if err == nil {
					err = f(i)
				}
				if err != nil {
					fail(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}
