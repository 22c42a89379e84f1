package indexer

import (
	"robin"
	"robin/ann"
	"robin/attr"
)

// neighbour is a document that is near, by its nearest passage.
type neighbour struct {
	document uint64
	passage  int // from 0
	distance ann.Distance
}

// nearest gives up to n neighbours but self, nearest first. A document's passages lie close together, so that of the
// vectors asked for some are of the same one: it asks for more until there are enough documents, or no more are near
// enough to become candidates.
func (v *view) nearest(vec []float32, n int, self *uint64, opt ann.SearchOptions) ([]neighbour, error) {
	before, extra := v.passages.now(), v.passages.count()
	ask := n
	if self != nil {
		ask++
	}
	ask += ask * extra / max(1, v.graph.Len()-extra)
	for {
		opt.RescoreTop = rescoredTop * ask / max(1, n) // of as many documents
		found, err := v.searchGraph(vec, ask, opt)
		if err != nil {
			return nil, robin.Errorf(robin.CodeModelFailed, "search the vectors: %w", err)
		}
		list := documentsOf(found, self, before, v.passages.now())
		if extra == 0 || len(list) >= n || len(found) < ask || len(list) > 0 && cosine(found[ask-1].Distance) < nearEnough*cosine(list[0].distance) {
			return list[:min(len(list), n)], nil
		}
		ask *= 2
	}
}

// documentsOf keeps the nearest vector of each document but self. The passages are those known before the vectors were
// found, and after: one of the two knows each vector.
func documentsOf(found []ann.Neighbor, self *uint64, before, after passageRuns) []neighbour {
	list := make([]neighbour, 0, len(found))
	cut := len(after)+len(before) > 0
	var seen map[uint64]bool
	if cut {
		seen = make(map[uint64]bool, len(found))
	}
	for _, f := range found {
		n := neighbour{f.ID, 0, f.Distance}
		if cut {
			document, i, ok := after.document(f.ID)
			if !ok {
				document, i, ok = before.document(f.ID)
			}
			if ok {
				n.document, n.passage = document, i
			}
			if seen[n.document] {
				continue
			}
			seen[n.document] = true
		}
		if self == nil || n.document != *self {
			list = append(list, n)
		}
	}
	return list
}

// allow is what the graph may find when only some documents may be found.
func (v *view) allow(documents attr.Set) ann.Set {
	if v.passages.count() == 0 {
		return documents
	}
	return v.passages.allow(documents, v.attrs.Len())
}

// firstOnly is what the graph may find when documents are compared by their first passages.
func (v *view) firstOnly(documents *attr.Set) ann.Set {
	if documents != nil {
		return *documents
	}
	if v.passages.count() == 0 {
		return nil
	}
	return v.attrs.All()
}
