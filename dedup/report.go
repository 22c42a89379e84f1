package dedup

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"robin"
	"robin/ann"
)

// Found is everything that Find found. It can be cut into clusters at any threshold from its floor up, under any keep
// rule and any rule, without vectors or models. It does not change and is safe for concurrent use.
//
// Documents that have neither a copy nor a near neighbour are only counted. Documents, nodes and edges are in the order
// of the source.
type Found struct {
	head    head
	corpus  *Corpus
	columns columns // of docs
	docs    []document
	nodes   []node
	edges   []edge // by a, then b; no pair twice
	crossed map[[2]uint32]float32

	// A node with more neighbours than it keeps is full: beyond its list it may be near to other full nodes, and to no
	// others, because a node that is not full knows all of its neighbours. So their vectors are all that a cut needs
	// besides.
	full    []uint32
	vectors [][]float32

	members [][]uint32 // by node: its documents
	around  []uint32   // numbers of edges, those of a node together
	starts  []uint32   // by node: where they begin in around; one more at the end
	beyond  *ann.Flat  // full nodes by number; nil when there are none

	overlaps []topTwo  // by node, over its edges; for rules with weights
	leads    sync.Once // fills overlaps
	once     sync.Once
	texts    []*Text // by node, from the first cut on
	mu       sync.Mutex
	evidence []evidence // by edge: what speaks for and against it, once that is known
}

// head is what a report says whatever the cut.
type head struct {
	Task       string              `json:"task,omitempty"`
	Created    time.Time           `json:"created"`
	Collection string              `json:"collection,omitempty"`
	Seq        uint64              `json:"seq,omitempty"`
	Documents  int                 `json:"documents"`
	Embedded   int                 `json:"embedded"`
	Floor      float64             `json:"floor"`
	Keep       string              `json:"keep"`
	OneToOne   string              `json:"one_to_one,omitempty"`
	Rule       robin.DuplicateRule `json:"rule"`
	Uncrossed  int                 `json:"uncrossed"`

	CrossSkipped string `json:"cross_skipped,omitempty"`

	Models robin.Models `json:"models"`
	TookMS int64        `json:"took_ms"`
}

type document struct {
	id     string
	node   uint32
	source uint32 // number of its value in head.OneToOne
}

// node is one distinct text.
type node struct {
	text       string
	attributes map[string]string // see Attributes
	rival      rival
	last       float32 // the cosine at which its list was cut; -1 when the list is whole
}

func newFound() *Found { return &Found{crossed: map[[2]uint32]float32{}} }

// index builds what follows from docs, edges and vectors.
func (f *Found) index() error {
	f.members = make([][]uint32, len(f.nodes))
	for i, d := range f.docs {
		f.members[d.node] = append(f.members[d.node], uint32(i))
	}
	f.starts = make([]uint32, len(f.nodes)+1)
	for _, e := range f.edges {
		f.starts[e.a+1]++
		f.starts[e.b+1]++
	}
	for i := range f.nodes {
		f.starts[i+1] += f.starts[i]
	}
	f.around = make([]uint32, 2*len(f.edges))
	next := slices.Clone(f.starts)
	for i, e := range f.edges {
		for _, n := range [2]uint32{e.a, e.b} {
			f.around[next[n]] = uint32(i)
			next[n]++
		}
	}
	f.evidence = make([]evidence, len(f.edges))
	if len(f.full) == 0 {
		return nil
	}
	flat, err := ann.NewFlat(ann.Options{Dim: len(f.vectors[0])})
	if err != nil {
		return err
	}
	for i, n := range f.full {
		if err := flat.Add(uint64(n), f.vectors[i]); err != nil {
			return err
		}
	}
	f.beyond = flat
	return nil
}

// edgesOf are the numbers of a node's edges.
func (f *Found) edgesOf(n uint32) []uint32 { return f.around[f.starts[n]:f.starts[n+1]] }

// Documents is how many documents were looked at.
func (f *Found) Documents() int { return f.head.Documents }

// Floor is the least cosine that was looked for.
func (f *Found) Floor() float64 { return f.head.Floor }

// Texts are what was compared, by document. Of copies it is the text of the first.
func (f *Found) Texts() map[string]string {
	texts := make(map[string]string, len(f.docs))
	for _, d := range f.docs {
		texts[d.id] = f.nodes[d.node].text
	}
	return texts
}

// CutOptions say how to cut. The zero value cuts as Find was told.
type CutOptions struct {
	Threshold float64              // in the place of the rule's; 0 keeps it
	Rule      *robin.DuplicateRule // nil: the one of Find
	Keep      string
	Offset    int // clusters to leave out
	Limit     int // clusters to give; 0 means all
}

// rule is the rule of a cut.
func (f *Found) rule(o CutOptions) robin.DuplicateRule {
	r := f.head.Rule
	if o.Rule != nil {
		r = *o.Rule
	}
	if o.Threshold != 0 {
		r.Threshold = o.Threshold
	}
	return r
}

// Check says what is wrong with a cut: a threshold below the floor, a keep rule that does not fit. Cut does what it can
// with such options.
func (f *Found) Check(o CutOptions) error {
	r := f.rule(o)
	if math.IsNaN(r.Threshold) || r.Threshold < 0 || r.Threshold > 1 {
		return robin.Invalid("/threshold", "is %g; it must be above 0 and at most 1", r.Threshold)
	}
	if t := Threshold(r); len(r.Weights) == 0 && t < f.head.Floor {
		return robin.Invalid("/threshold", "is %g, but pairs were looked for from a cosine of %g up; look again with a lower floor", t, f.head.Floor)
	}
	if o.Offset < 0 {
		return robin.Invalid("/offset", "must not be negative")
	}
	if o.Limit < 0 {
		return robin.Invalid("/limit", "must not be negative")
	}
	k, err := parseKeep(f.keep(o))
	if err != nil {
		return err
	}
	return f.columns.fits(k)
}

func (f *Found) keep(o CutOptions) string {
	if o.Keep != "" {
		return o.Keep
	}
	return f.head.Keep
}

// Cut makes clusters. A threshold below the floor counts as the floor, a keep rule that Check refuses as first.
func (f *Found) Cut(o CutOptions) robin.DuplicateReport {
	c := f.cut(o)
	clusters := c.clusters()
	rep := robin.DuplicateReport{
		Task: f.head.Task, Created: f.head.Created, Collection: f.head.Collection, Seq: f.head.Seq,
		Documents: f.head.Documents, Embedded: f.head.Embedded, Threshold: c.judge.threshold, Floor: f.head.Floor,
		Keep: c.keepName, OneToOne: f.head.OneToOne, Rule: c.rule, Pairs: len(f.edges), Saturated: len(f.full),
		Crossed: len(f.crossed), Uncrossed: f.head.Uncrossed, CrossSkipped: f.head.CrossSkipped, Total: len(clusters),
		Models: f.head.Models, TookMS: f.head.TookMS, Clusters: []robin.DuplicateCluster{},
	}
	for _, m := range f.members {
		if len(m) > 1 {
			rep.Exact += len(m)
		}
	}
	for _, same := range c.same {
		if same {
			rep.Same++
		}
	}
	for _, g := range clusters {
		rep.Duplicates += len(g.docs) - 1
	}
	rep.Histogram = c.histogram()
	from := min(max(o.Offset, 0), len(clusters))
	to := len(clusters)
	if o.Limit > 0 {
		to = min(to, from+o.Limit)
	}
	for _, g := range clusters[from:to] {
		rep.Clusters = append(rep.Clusters, c.describe(g))
	}
	return rep
}

// cut is one cut under way.
type cut struct {
	*Found
	rule     robin.DuplicateRule
	judge    Judge
	least    float64 // the least cosine at which the rule can say yes
	keepName string
	keep     keep
	order    []uint32  // documents, those to keep first
	same     []bool    // by edge: duplicates by the rule
	rivals   bool      // whether the rule reads the rivals' overlaps
	partners *partners // nil unless documents are joined one to one
}

func (f *Found) cut(o CutOptions) *cut {
	f.once.Do(f.prepare)
	c := &cut{Found: f, rule: f.rule(o), keepName: f.keep(o)}
	if len(c.rule.Weights) == 0 {
		c.rule.Threshold = max(Threshold(c.rule), f.head.Floor)
	}
	k, err := parseKeep(c.keepName)
	if err != nil || f.columns.fits(k) != nil {
		c.keepName, k = "first", keep{rule: "first"}
	}
	c.keep = k
	c.rivals = len(c.rule.Weights) > 0
	c.judge, c.least = NewJudge(c.rule), PlainThreshold(c.rule)
	c.order = f.columns.order(k, len(f.docs))
	c.same = make([]bool, len(f.edges))
	scores := c.judgeEdges()
	if f.head.OneToOne != "" {
		c.partners = f.match(scores)
		c.same = c.partners.taken
	}
	return c
}

// prepare reads the texts, once, whether they were found or loaded.
func (f *Found) prepare() {
	texts := make([]*Text, len(f.nodes))
	_ = parallel(context.Background(), len(texts), runtime.GOMAXPROCS(0), func(i int) error { // nothing in it fails
		texts[i] = Prepare(f.nodes[i].text).With(f.nodes[i].attributes)
		return nil
	})
	f.texts = texts
}

// judgeEdges fills same and gives the scores of those pairs, NaN for the others. Below the rule's least cosine there is nothing to judge. A rule without weights reads of a pair
// its cosine and its evidence; the latter is remembered, so that a threshold that is dragged costs next to nothing.
func (c *cut) judgeEdges() (scores []float64) {
	scores = make([]float64, len(c.edges))
	c.mu.Lock()
	known := slices.Clone(c.evidence)
	c.mu.Unlock()
	const chunk = 1024
	chunks := (len(c.edges) + chunk - 1) / chunk
	_ = parallel(context.Background(), chunks, runtime.GOMAXPROCS(0), func(n int) error {
		for i := n * chunk; i < min((n+1)*chunk, len(c.edges)); i++ {
			e := c.edges[i]
			scores[i] = math.NaN()
			if float64(e.cosine) < c.least {
				continue
			}
			var ft Features
			if len(c.rule.Weights) > 0 {
				ft = c.features(e, true)
			} else {
				if known[i] == unknown {
					known[i] = c.corpus.evidenceOf(c.texts[e.a], c.texts[e.b])
				}
				ft = Features{Cosine: float64(e.cosine), evidence: known[i]}
			}
			score, same, _ := c.judge.Judge(ft)
			if c.same[i] = same; same {
				scores[i] = score
			}
		}
		return nil
	})
	c.mu.Lock()
	for i, k := range known {
		if k != unknown {
			c.evidence[i] = k
		}
	}
	c.mu.Unlock()
	return scores
}

func (f *Found) crossOf(e edge) float64 {
	if s, ok := f.crossed[[2]uint32{e.a, e.b}]; ok {
		return float64(s)
	}
	return math.NaN()
}

// features puts a pair of nodes into numbers. texts are prepared. With overlaps, which a rule with weights wants, it tells the
// rivals' too; the first time that takes a look at every edge.
func (f *Found) features(e edge, overlaps bool) Features {
	r := Rivals{A: f.rivalTo(e.a, e.b), B: f.rivalTo(e.b, e.a)}
	if overlaps {
		f.leads.Do(f.findOverlaps)
		r.OverlapA, r.OverlapB = f.overlaps[e.a].besides(int(e.b)), f.overlaps[e.b].besides(int(e.a))
	}
	ft := f.corpus.Compare(f.texts[e.a], f.texts[e.b], float64(e.cosine), r)
	ft.Cross = f.crossOf(e)
	return ft
}

// findOverlaps finds each node's best two overlaps among its near pairs.
func (f *Found) findOverlaps() {
	overlaps := make([]float64, len(f.edges))
	const chunk = 1024
	_ = parallel(context.Background(), (len(f.edges)+chunk-1)/chunk, runtime.GOMAXPROCS(0), func(n int) error {
		for i := n * chunk; i < min((n+1)*chunk, len(f.edges)); i++ {
			overlaps[i] = f.corpus.overlap(f.texts[f.edges[i].a], f.texts[f.edges[i].b])
		}
		return nil
	})
	f.overlaps = make([]topTwo, len(f.nodes))
	for i, e := range f.edges {
		f.overlaps[e.a].add(int(e.b), overlaps[i])
		f.overlaps[e.b].add(int(e.a), overlaps[i])
	}
}

// rivalTo is the best cosine of a to anything but b.
func (f *Found) rivalTo(a, b uint32) float64 { return f.nodes[a].rival.but(b) }

// pair judges a pair for a person.
func (c *cut) pair(e edge) robin.DuplicatePair {
	ft := c.features(e, c.rivals)
	p := robin.DuplicatePair{A: c.docs[c.members[e.a][0]].id, B: c.docs[c.members[e.b][0]].id, Cosine: float64(e.cosine)}
	if !math.IsNaN(ft.Cross) {
		p.Cross = &ft.Cross
	}
	p.Score, p.Same, p.Reason = c.judge.Judge(ft)
	c.oneToOne(&p, c.members[e.a], c.members[e.b])
	return p
}
