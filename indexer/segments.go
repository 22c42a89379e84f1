package indexer

import (
	"fmt"
	"math"
	"sync"

	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"robin"
)

// segmentFacts is what a search needs to know of every document of a segment. Segments never change, so it is read once.
type segmentFacts struct {
	numbers []uint64  // place in the segment → document number
	lengths []float32 // place → length of its text in weighted words
	total   float64   // sum of lengths
}

// segmentCache keeps the facts of the segments in use.
type segmentCache struct {
	mu   sync.Mutex
	byID map[uint64]*segmentFacts // by scorch's number of the segment, which it never gives twice
}

// snapshot is the text index as one search sees it.
type snapshot struct {
	t        *textIndex
	root     *scorch.IndexSnapshot
	segments []*scorch.SegmentSnapshot
	facts    []*segmentFacts
	live     int     // documents
	average  float64 // length
}

// snapshot opens the index for a search. The caller closes it.
func (t *textIndex) snapshot() (*snapshot, error) {
	r, err := t.reader()
	if err != nil {
		return nil, err
	}
	root, ok := r.(*scorch.IndexSnapshot)
	if !ok {
		r.Close()
		return nil, fmt.Errorf("text index: a reader of the unknown type %T", r)
	}
	s := &snapshot{t: t, root: root, segments: root.Segments()}
	if err := s.load(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *snapshot) close() { s.root.Close() }

func (s *snapshot) load() error {
	cache := &s.t.segments
	cache.mu.Lock()
	defer cache.mu.Unlock()
	s.facts = make([]*segmentFacts, len(s.segments))
	var missing []int
	for i, seg := range s.segments {
		if s.facts[i] = cache.byID[seg.Id()]; s.facts[i] == nil {
			missing = append(missing, i)
		}
	}
	err := inParts(len(missing), func(from, to int) (err error) {
		for _, i := range missing[from:to] {
			if s.facts[i], err = s.t.readFacts(s.segments[i].Segment()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var total float64
	used := make(map[uint64]*segmentFacts, len(s.segments))
	for i, seg := range s.segments {
		facts := s.facts[i]
		used[seg.Id()] = facts
		s.live += len(facts.numbers)
		total += facts.total
		if gone := seg.Deleted(); gone != nil {
			for it := gone.Iterator(); it.HasNext(); {
				total -= float64(facts.lengths[it.Next()])
				s.live--
			}
		}
	}
	// A search that began earlier may still hold segments that are dropped here; it has their facts, and one that began
	// between the two reads them again.
	cache.byID = used
	if s.live > 0 {
		s.average = total / float64(s.live)
	}
	return nil
}

func (t *textIndex) readFacts(seg segment.Segment) (*segmentFacts, error) {
	n := int(seg.Count())
	f := &segmentFacts{numbers: make([]uint64, n), lengths: make([]float32, n)}
	for i := range n {
		id, err := seg.DocID(uint64(i))
		if err != nil {
			return nil, err
		}
		if f.numbers[i], err = textNumber(id); err != nil {
			return nil, err
		}
	}
	for i := range t.fields {
		weight := t.weights[i]
		err := eachPosting(seg, t.fields[i].name, markLength, func(p segment.Posting) {
			f.lengths[p.Number()] += float32(weight * float64(fieldLength(p)-1)) // without the mark itself
		})
		if err != nil {
			return nil, err
		}
	}
	for _, l := range f.lengths {
		f.total += float64(l)
	}
	return f, nil
}

// eachPosting calls f for every document of a segment that has a term in a field, deleted ones too.
func eachPosting(seg segment.Segment, field, term string, f func(segment.Posting)) error {
	dict, err := seg.Dictionary(field)
	if err != nil {
		return err
	}
	list, err := dict.PostingsList([]byte(term), nil, nil)
	if err != nil {
		return err
	}
	it := list.Iterator(true, true, false, nil)
	for {
		p, err := it.Next()
		if err != nil {
			return err
		}
		if p == nil {
			return nil
		}
		f(p)
	}
}

// fieldLength is the number of terms in the field of a posting. The index keeps it whole and shows it as 1/√length.
func fieldLength(p segment.Posting) int {
	if whole, ok := p.(interface{ NormUint64() uint64 }); ok {
		return int(whole.NormUint64())
	}
	norm := p.Norm()
	return int(math.Round(1 / (norm * norm)))
}

// fieldWeights scales the weights of text fields so that the smallest is 1: a term in that field counts once, elsewhere
// as often as the field is heavier. Only the ratio of weights matters.
func fieldWeights(s robin.Settings) []float64 {
	weights := make([]float64, len(s.Text))
	smallest := math.Inf(1)
	for i, f := range s.Text {
		weights[i] = f.Weight
		if f.Weight <= 0 {
			weights[i] = 1
		}
		smallest = min(smallest, weights[i])
	}
	for i := range weights {
		weights[i] /= smallest
	}
	return weights
}
