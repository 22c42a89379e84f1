package dedup

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// reading is what Find keeps of a source: all that it needs but the vectors, so that it is read once.
type reading struct {
	ids      []string
	nodeOf   []uint32 // by item; none for an item with neither text nor vector
	nodes    []reads
	embedded int
	columns  columns
	sources  sources
}

// reads is one distinct text: a node of the join.
type reads struct {
	text       string            // of the first item, at most longest bytes
	attributes map[string]string // of the first item
	first      int               // item whose vector stands for the text; -1 when none has one
	vector     sum               // of first's vector
	items      int
}

func read(ctx context.Context, src Source, oneToOne string) (*reading, error) {
	r := &reading{sources: sources{field: oneToOne}}
	byText := map[sum]uint32{}
	err := src.Each(ctx, func(i int, it Item) error {
		if i != len(r.ids) {
			return fmt.Errorf("the source gave document %d in the place of %d", i, len(r.ids))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r.ids = append(r.ids, it.ID)
		r.columns.add(i, it.Raw)
		r.sources.add(it.Raw)
		if it.Vector != nil {
			r.embedded++
		}
		r.nodeOf = append(r.nodeOf, r.place(i, it, byText))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the documents: %w", err)
	}
	r.columns.end(len(r.ids))
	return r, nil
}

// place finds or makes an item's node.
func (r *reading) place(i int, it Item, byText map[sum]uint32) uint32 {
	h, said := textSum(it.Text)
	if !said && it.Vector == nil {
		return none
	}
	node, known := byText[h]
	if !said || !known {
		node = uint32(len(r.nodes))
		r.nodes = append(r.nodes, reads{text: cutText(it.Text, longest), attributes: Attributes(it.Raw), first: -1})
		if said {
			byText[h] = node
		}
	}
	n := &r.nodes[node]
	n.items++
	if n.first < 0 && it.Vector != nil {
		n.first, n.vector = i, vectorSum(it.Vector)
	}
	return node
}

// prepared is the text with its fields, ready to be compared.
func (n *reads) prepared() *Text { return Prepare(n.text).With(n.attributes) }

// corpus counts the words of all texts.
func (r *reading) corpus(ctx context.Context, workers int) (*Corpus, error) {
	c := NewCorpus()
	const some = 4096 // texts that are prepared at a time: they are larger than the strings
	for from := 0; from < len(r.nodes); from += some {
		part := r.nodes[from:min(from+some, len(r.nodes))]
		texts := make([]*Text, len(part))
		if err := parallel(ctx, len(part), workers, func(i int) error {
			texts[i] = part[i].prepared()
			return nil
		}); err != nil {
			return nil, err
		}
		for _, t := range texts {
			c.Add(t)
		}
	}
	return c, nil
}

// byVector groups the nodes that have a vector by it: texts that differ only behind what the model reads share one, and
// one search serves them all.
func (r *reading) byVector() [][]uint32 {
	var groups [][]uint32
	at := map[sum]int{}
	for i, n := range r.nodes {
		if n.first < 0 {
			continue
		}
		g, ok := at[n.vector]
		if !ok {
			g = len(groups)
			at[n.vector] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], uint32(i))
	}
	return groups
}

// cutText is s, or a copy of its first n bytes, so that what is kept of a long text does not keep the rest of it.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

// titleBytes is how much of a text a report shows.
const titleBytes = 120

// title is the beginning of a text on one line.
func title(text string) string {
	short := cutText(text, titleBytes)
	t := strings.Join(strings.Fields(short), " ")
	if len(short) < len(text) {
		t += "…"
	}
	return t
}

// found keeps what the join found: the documents that have a copy or a near neighbour, and of the others only their number.
func (r *reading) found(ctx context.Context, src Source, j *join) (*Found, error) {
	f := newFound()
	var err error
	if f.corpus, err = r.corpus(ctx, j.o.Workers); err != nil {
		return nil, err
	}
	involved := make([]bool, len(r.nodes))
	for i, n := range r.nodes {
		involved[i] = n.items > 1
	}
	for _, e := range j.edges {
		involved[e.a], involved[e.b] = true, true
	}
	number := make([]uint32, len(r.nodes))
	for i, in := range involved {
		number[i] = none
		if in {
			number[i] = uint32(len(f.nodes))
			f.nodes = append(f.nodes, node{text: r.nodes[i].text, attributes: r.nodes[i].attributes, last: j.last[i]})
		}
	}
	for i, in := range involved {
		if !in {
			continue
		}
		n := &f.nodes[number[i]]
		n.rival = j.rivals[i]
		if n.rival.node != none {
			n.rival.node = number[n.rival.node] // none when it is below the floor
		}
		if n.last >= 0 {
			v, err := src.Vector(r.nodes[i].first)
			if err != nil {
				return nil, fmt.Errorf("read the vector of document %s: %w", r.ids[r.nodes[i].first], err)
			}
			f.full = append(f.full, number[i])
			f.vectors = append(f.vectors, v)
		}
	}
	f.edges = make([]edge, len(j.edges))
	for i, e := range j.edges {
		f.edges[i] = edge{number[e.a], number[e.b], e.cosine} // number keeps the order
	}
	var rows []int
	for i, id := range r.ids {
		if r.nodeOf[i] == none || !involved[r.nodeOf[i]] {
			continue
		}
		rows = append(rows, i)
		f.docs = append(f.docs, document{id, number[r.nodeOf[i]], r.sources.at(i)})
	}
	f.columns = r.columns.of(rows)
	f.head = head{Documents: len(r.ids), Embedded: r.embedded, Floor: j.floor, Keep: j.o.Keep, OneToOne: j.o.OneToOne, Rule: j.o.Rule, Created: j.start.UTC(),
		Task: j.o.Task, Collection: j.o.Collection, Seq: j.o.Seq, Models: j.o.Models}
	return f, f.index()
}
