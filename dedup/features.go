package dedup

import (
	"math"
)

// Corpus counts in how many texts of a run each word stands. It is not safe for Add beside other calls.
type Corpus struct {
	n     int
	words map[uint64]int32
}

// NewCorpus is a corpus without texts, in which all words weigh the same.
func NewCorpus() *Corpus { return &Corpus{words: map[uint64]int32{}} }

// Add counts a text.
func (c *Corpus) Add(t *Text) {
	c.n++
	for _, w := range t.words {
		c.words[w.hash]++
	}
}

func (c *Corpus) idf(h uint64) float64 {
	return 1 + math.Log(float64(c.n+1)/float64(c.words[h]+1))
}

// Rivals are the best cosine of each of two texts to any text but the other; 0 when it is not known.
type Rivals struct{ A, B float64 }

// Features are a pair in numbers.
type Features struct {
	Cosine  float64  // of the two vectors
	Cross   float64  // the cross-encoder's mean over both directions; NaN when it did not score the pair
	Overlap float64  // tf-idf cosine of the words
	Against []string // what speaks against the pair, in words. Compare finds nothing yet: a size or colour that differs goes unseen
}

// Compare puts a pair into numbers. cosine is that of its vectors.
func (c *Corpus) Compare(a, b *Text, cosine float64, rivals Rivals) Features {
	f := Features{Cosine: cosine, Cross: math.NaN()}
	f.Overlap = c.overlap(a, b)
	return f
}

// overlap is the tf-idf cosine of two texts' words.
func (c *Corpus) overlap(a, b *Text) float64 {
	var dot, na, nb float64
	i, j := 0, 0
	for i < len(a.words) || j < len(b.words) {
		switch {
		case j == len(b.words) || i < len(a.words) && a.words[i].hash < b.words[j].hash:
			x := float64(a.words[i].n) * c.idf(a.words[i].hash)
			na += x * x
			i++
		case i == len(a.words) || b.words[j].hash < a.words[i].hash:
			y := float64(b.words[j].n) * c.idf(b.words[j].hash)
			nb += y * y
			j++
		default:
			idf := c.idf(a.words[i].hash)
			x, y := float64(a.words[i].n)*idf, float64(b.words[j].n)*idf
			dot, na, nb = dot+x*y, na+x*x, nb+y*y
			i, j = i+1, j+1
		}
	}
	if na == 0 || nb == 0 {
		return 0
	}
	return dot / math.Sqrt(na*nb)
}
