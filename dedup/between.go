package dedup

import "math"

// Side is a list of texts with their vectors.
type Side struct {
	Texts   []*Text
	Vectors [][]float32
}

// Between compares two lists of texts, all with all, and knows of each text its best two partners on the other side. It is
// exact and takes time with the product of the lists' lengths: for a shop against a shop, and for measuring.
type Between struct {
	corpus   *Corpus
	a, b     Side
	cosineA  []topTwo
	cosineB  []topTwo
	overlapA []topTwo
	overlapB []topTwo
}

// topTwo are the two best similarities of a text, and whose the best one is.
type topTwo struct {
	at           int32
	best, second float64
}

func (t *topTwo) add(i int, s float64) {
	switch {
	case s > t.best:
		t.at, t.best, t.second = int32(i), s, t.best
	case s > t.second:
		t.second = s
	}
}

// besides is the best one but i's.
func (t *topTwo) besides(i int) float64 {
	if int(t.at) == i {
		return t.second
	}
	return t.best
}

// Between puts a against b. near, which may be nil, is told every pair's cosine. A text that is on both sides, the same
// pointer, is no rival of itself.
func (c *Corpus) Between(a, b Side, near func(i, j int, cosine float64)) *Between {
	w := &Between{corpus: c, a: a, b: b, cosineA: make([]topTwo, len(a.Texts)), cosineB: make([]topTwo, len(b.Texts)),
		overlapA: make([]topTwo, len(a.Texts)), overlapB: make([]topTwo, len(b.Texts))}
	type posting struct {
		j int
		w float64
	}
	index := map[uint64][]posting{}
	for j, t := range b.Texts {
		norm := c.norm(t)
		for _, x := range t.words {
			index[x.hash] = append(index[x.hash], posting{j, float64(x.n) * c.idf(x.hash) / norm})
		}
	}
	overlaps := make([]float64, len(b.Texts))
	for i, t := range a.Texts {
		clear(overlaps)
		norm := c.norm(t)
		for _, x := range t.words {
			weight := float64(x.n) * c.idf(x.hash) / norm
			for _, p := range index[x.hash] {
				overlaps[p.j] += weight * p.w
			}
		}
		for j := range b.Texts {
			if b.Texts[j] == t {
				continue
			}
			cosine := dot(a.Vectors[i], b.Vectors[j])
			w.cosineA[i].add(j, cosine)
			w.cosineB[j].add(i, cosine)
			w.overlapA[i].add(j, overlaps[j])
			w.overlapB[j].add(i, overlaps[j])
			if near != nil {
				near(i, j, cosine)
			}
		}
	}
	return w
}

// Compare puts text i of a and text j of b into numbers.
func (w *Between) Compare(i, j int) Features {
	return w.corpus.Compare(w.a.Texts[i], w.b.Texts[j], dot(w.a.Vectors[i], w.b.Vectors[j]), Rivals{
		A: w.cosineA[i].besides(j), B: w.cosineB[j].besides(i),
		OverlapA: w.overlapA[i].besides(j), OverlapB: w.overlapB[j].besides(i),
	})
}

// norm is the length of a text's tf-idf vector.
func (c *Corpus) norm(t *Text) float64 {
	var sum float64
	for _, x := range t.words {
		v := float64(x.n) * c.idf(x.hash)
		sum += v * v
	}
	return math.Sqrt(sum)
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range min(len(a), len(b)) {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
