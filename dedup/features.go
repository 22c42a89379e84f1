package dedup

import (
	"fmt"
	"math"
)

// Corpus counts in how many texts of a run each word, trigram and model code stands, and how words are capitalised there.
// Add must not run beside other calls.
type Corpus struct {
	n         int
	words     map[uint64]count
	grams     []int32 // by hash, folded: a collision makes a trigram look a little more common
	caps, low int     // words with a capital, and in lower case, where a sentence goes on
}

// count is what a corpus knows of a word.
type count struct{ texts, caps, low int32 }

const gramSlots = 1 << 16

// NewCorpus is a corpus without texts, in which all words weigh the same.
func NewCorpus() *Corpus { return &Corpus{words: map[uint64]count{}, grams: make([]int32, gramSlots)} }

// Add counts a text.
func (c *Corpus) Add(t *Text) {
	c.n++
	for _, w := range t.words {
		k := c.words[w.hash]
		c.words[w.hash] = count{k.texts + 1, k.caps + w.caps, k.low + w.low}
		c.caps, c.low = c.caps+int(w.caps), c.low+int(w.low)
	}
	for _, f := range t.facts.codes {
		k := c.words[codeHash(f.key)]
		k.texts++
		c.words[codeHash(f.key)] = k
	}
	for _, g := range t.grams {
		c.grams[g%gramSlots]++
	}
}

// named holds for a word that is a name in its text, in a corpus that writes most words without a capital: it always has one
// there, or where it begins a sentence, it has one elsewhere. In a corpus of capitalised titles, or in German, a capital says
// nothing.
func (c *Corpus) named(w word) bool {
	k := c.words[w.hash]
	sure := w.caps > 0 && 4*k.caps >= k.low || k.caps >= 2 && k.caps >= 4*k.low
	return len(w.s) >= 3 && w.low == 0 && sure && 4*c.caps < c.caps+c.low && 5*int(k.texts) < c.n
}

// codeHash keeps codes apart from words.
func codeHash(key string) uint64 { return hash(key) ^ 0x9e3779b97f4a7c15 }

// weight is the idf of what stands in so many of the texts: 1 + ln((n+1)/(texts+1)).
func (c *Corpus) weight(texts int32) float64 {
	return 1 + logNext(c.n) - logNext(min(int(texts), c.n))
}

// logs hold ln(k+1), because comparisons would spend half of their time on logarithms.
var logs = func() (out [1 << 14]float64) {
	for k := range out {
		out[k] = math.Log(float64(k + 1))
	}
	return out
}()

func logNext(k int) float64 {
	if k < len(logs) {
		return logs[k]
	}
	return math.Log(float64(k + 1))
}

func (c *Corpus) idf(h uint64) float64 { return c.weight(c.words[h].texts) }

// rarest is the idf of what stands in one text only, the most there is.
func (c *Corpus) rarest() float64 { return c.weight(1) }

// Rivals are the best similarities of each of two texts to any text but the other; 0 when they are not known.
type Rivals struct {
	A, B               float64 // cosine
	OverlapA, OverlapB float64 // tf-idf cosine of the words
}

// Features are a pair in numbers. A share or a similarity is between 0 and 1; NaN is what is not known.
type Features struct {
	Cosine  float64  // of the two vectors
	Cross   float64  // the cross-encoder's mean over both directions; NaN when it did not score the pair
	Overlap float64  // tf-idf cosine of the words
	Against []string // the facts that differ, in words: "size 500 ml / 590 ml"

	more     [features]float64
	evidence evidence
}

// The features besides Cosine, Cross and Overlap. "Most" and "least" are of the two sides.
const (
	gramOverlap      = iota // tf-idf cosine of the character trigrams
	coverMost               // share of a text's words that the other has
	coverLeast              //
	missingMost             // idf of the rarest word that the other lacks
	missingLeast            //
	lengths                 // of the shorter to the longer
	modelSame               // idf of a model code that both have
	modelDiffers            // both have one and share none
	nameSame                // names that both have, at most 3
	nameDiffers             // each has a name that the other lacks
	measureSame             // root of the measures that both have
	measureDiffers          // root of the kinds of measure that differ
	numberSame              // the same for numbers without a unit
	numberDiffers           //
	colourDiffers           // kinds of colour, material and pattern that differ
	editionSame             // root of the edition words that both have
	editionOneSided         // root of those that one has
	editionDiffers          // root of the kinds of edition that differ
	yearDiffers             //
	fieldSame               // brand, part number or barcode, from the documents' fields
	fieldDiffers            //
	priceNear               // 1 for the same price, 0 from a factor of e
	priceKnown              // both have one
	leadMost                // cosine less that of the better rival of a side
	leadLeast               //
	leadOverlapMost         // overlap less that of the better rival of a side
	leadOverlapLeast        //
	features
)

// featureNames are the names of Cosine, Cross, Overlap and the rest, in the order of values. Rules store their weights by name.
var featureNames = append([]string{"cosine", "cross", "overlap"}, moreNames[:]...)

var moreNames = [features]string{
	"trigrams", "cover_most", "cover_least", "missing_most", "missing_least", "length",
	"model_same", "model_differs", "name_same", "name_differs", "measure_same", "measure_differs", "number_same", "number_differs",
	"colour_differs", "edition_same", "edition_one_sided", "edition_differs", "year_differs", "field_same", "field_differs",
	"price_near", "price_known", "lead_most", "lead_least", "lead_overlap_most", "lead_overlap_least",
}

// signs say which way a feature can speak: +1 only for a duplicate, -1 only against, 0 either way. What is known beforehand
// need not be learnt, so that few labels go further.
var signs = map[string]int{
	"cosine": 1, "cross": 1, "overlap": 1, "trigrams": 1, "cover_most": 1, "cover_least": 1, "missing_most": -1, "missing_least": -1,
	"model_same": 1, "model_differs": -1, "name_same": 1, "name_differs": -1, "measure_same": 1, "measure_differs": -1,
	"number_same": 1, "number_differs": -1, "colour_differs": -1, "edition_same": 1, "edition_one_sided": -1, "edition_differs": -1,
	"year_differs": -1, "field_same": 1, "field_differs": -1, "price_near": 1,
	"lead_most": 1, "lead_least": 1, "lead_overlap_most": 1, "lead_overlap_least": 1,
}

// values are the features in the order of featureNames.
func (f *Features) values() []float64 {
	return append([]float64{f.Cosine, f.Cross, f.Overlap}, f.more[:]...)
}

// evidence is what a rule without weights reads of a pair besides its cosine.
type evidence uint8

const (
	unknown   evidence = iota // not looked at
	against                   // a fact differs
	contested                 // each text repeats a word that the other lacks, as a title and a text do with what an offer is
	neutral
	agreeing // both name the same things, or nearly every word of one is in the other
)

// Compare puts a pair into numbers. cosine is that of its vectors.
func (c *Corpus) Compare(a, b *Text, cosine float64, rivals Rivals) Features {
	f := c.compareFacts(a, b, cosine)
	f.Overlap = c.overlap(a, b)
	m := &f.more
	m[gramOverlap] = c.trigrams(a, b)
	m[lengths] = ratio(float64(a.runes), float64(b.runes))
	if a.facts.price > 0 && b.facts.price > 0 {
		m[priceNear], m[priceKnown] = near(a.facts.price, b.facts.price), 1
	}
	m[leadMost], m[leadLeast] = leads(cosine, rivals.A, rivals.B, rivals.A > 0 && rivals.B > 0)
	m[leadOverlapMost], m[leadOverlapLeast] = leads(f.Overlap, rivals.OverlapA, rivals.OverlapB, rivals != Rivals{})
	return f
}

// leads say by how much a pair is more similar than each side and its rival; NaN when the rivals are not known.
func leads(similar, a, b float64, known bool) (most, least float64) {
	if !known {
		return math.NaN(), math.NaN()
	}
	return similar - min(a, b), similar - max(a, b)
}

// compareFacts is the part of Compare that looks at single words and facts.
func (c *Corpus) compareFacts(a, b *Text, cosine float64) Features {
	f := Features{Cosine: cosine, Cross: math.NaN()}
	m := &f.more
	ab, missA := c.cover(a, b)
	ba, missB := c.cover(b, a)
	m[coverMost], m[coverLeast] = max(ab, ba), min(ab, ba)
	m[missingMost], m[missingLeast] = max(missA, missB), min(missA, missB)
	s := c.says(a, b)
	m[modelSame], m[modelDiffers] = s.modelSame, s.modelDiffers
	m[nameSame], m[nameDiffers] = float64(min(s.names.same, 3)), s.names.differs
	s.count(m)
	f.Against = s.against
	if s.names.differs > 0 {
		f.Against = append(f.Against, fmt.Sprintf("name %s / %s", s.names.onlyA, s.names.onlyB))
	}
	if s.modelDiffers > 0 {
		f.Against = append(f.Against, fmt.Sprintf("model %s / %s", a.facts.codes[0].written, b.facts.codes[0].written))
	}
	f.evidence = c.evidence(a, b, s, func() float64 { return m[coverLeast] })
	return f
}

// saying is what two texts name and tell, side by side.
type saying struct {
	difference
	names                   naming
	modelSame, modelDiffers float64
}

func (c *Corpus) says(a, b *Text) saying {
	s := saying{difference: differences(a.facts.list, b.facts.list), names: c.names(a, b)}
	s.modelSame, s.modelDiffers = c.codes(a, b)
	return s
}

// evidenceOf is all that a rule without weights reads of two texts. It takes a fifth of Compare's time, because it mostly ends before it
// looks at how far each covers the other.
func (c *Corpus) evidenceOf(a, b *Text) evidence {
	return c.evidence(a, b, c.says(a, b), func() float64 {
		ab, _ := c.cover(a, b)
		ba, _ := c.cover(b, a)
		return min(ab, ba)
	})
}

// fewTexts are too few to tell common words from rare ones.
const fewTexts = 20

// evidence weighs what two texts say. covered is the share of the one's words that the other has, of the lesser side.
func (c *Corpus) evidence(a, b *Text, s saying, covered func() float64) evidence {
	astray := s.same[measures] == 0 && s.oneSided[measures] > 0 // measures are told, and none is in both
	switch {
	case len(s.against) > 0 || s.names.differs > 0 || s.modelDiffers > 0:
		return against
	case c.stressed(a, b) && c.stressed(b, a):
		return contested
	case astray:
		return neutral
	case s.names.same+s.same[inFields] >= 2 || s.modelSame > 0.5:
		return agreeing
	case c.n >= fewTexts && covered() >= 0.8: // where it is known which words are common to all
		return agreeing
	}
	return neutral
}
