package dedup

import (
	"math"
	"slices"
)

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

// trigrams is the cosine of the two sets of trigrams, each weighted by its idf.
func (c *Corpus) trigrams(a, b *Text) float64 {
	var both, na, nb float64
	j := 0
	for _, g := range a.grams {
		w := c.weight(c.grams[g%gramSlots])
		na += w * w
		for j < len(b.grams) && b.grams[j] < g {
			j++
		}
		if j < len(b.grams) && b.grams[j] == g {
			both += w * w
		}
	}
	for _, g := range b.grams {
		w := c.weight(c.grams[g%gramSlots])
		nb += w * w
	}
	if na == 0 || nb == 0 {
		return 0
	}
	return both / math.Sqrt(na*nb)
}

// cover is the share of a's words, by idf, that b has too, and the weight of the rarest one that it lacks. A word that b
// lacks but whose trigrams stand in b counts by their share.
func (c *Corpus) cover(a, b *Text) (share, missing float64) {
	var has, all float64
	j := 0
	for _, w := range a.words {
		idf := c.idf(w.hash)
		all += idf
		for j < len(b.words) && b.words[j].hash < w.hash {
			j++
		}
		part := 1.0
		if j == len(b.words) || b.words[j].hash != w.hash {
			part = inside(w.s, b.grams)
		}
		has += part * idf
		missing = max(missing, (1-part)*idf)
	}
	if all == 0 {
		return 0, 0
	}
	return has / all, missing / c.rarest()
}

// inside is the share of a word's trigrams that are among grams.
func inside(w string, grams []uint32) float64 {
	run := []rune(w)
	n, found := 0, 0
	for i := 0; i+3 <= len(run); i++ {
		n++
		if _, ok := slices.BinarySearch(grams, trigram(run[i:i+3])); ok {
			found++
		}
	}
	if n == 0 {
		return 0
	}
	return float64(found) / float64(n)
}

// codes compares model codes: the idf of the rarest that both have, and when they share none, that of the rarest on the
// side whose codes are more common.
func (c *Corpus) codes(a, b *Text) (same, differs float64) {
	if len(a.facts.codes) == 0 || len(b.facts.codes) == 0 {
		return 0, 0
	}
	var onlyA, onlyB float64
	for _, x := range a.facts.codes {
		onlyA = max(onlyA, c.idf(codeHash(x.key)))
		for _, y := range b.facts.codes {
			if sameCode(x.key, y.key) {
				same = max(same, min(c.idf(codeHash(x.key)), c.idf(codeHash(y.key))))
			}
		}
	}
	for _, y := range b.facts.codes {
		onlyB = max(onlyB, c.idf(codeHash(y.key)))
	}
	if same > 0 {
		return same / c.rarest(), 0
	}
	return 0, min(onlyA, onlyB) / c.rarest()
}

// naming compares the names in two texts.
type naming struct {
	same         int
	onlyA, onlyB string  // the rarest name that the other lacks
	differs      float64 // when both have one: the idf of the more common of the two
}

func (c *Corpus) names(a, b *Text) naming {
	var n naming
	rarest := func(a, b *Text) (string, float64) {
		j, best, at := 0, 0.0, ""
		for _, w := range a.words {
			for j < len(b.words) && b.words[j].hash < w.hash {
				j++
			}
			if !c.named(w) {
				continue
			}
			if j < len(b.words) && b.words[j].hash == w.hash || inside(w.s, b.grams) > 0.8 {
				n.same++
			} else if idf := c.idf(w.hash); idf > best {
				best, at = idf, w.s
			}
		}
		return at, best
	}
	var x, y float64
	n.onlyA, x = rarest(a, b)
	shared := n.same
	n.onlyB, y = rarest(b, a)
	n.same = min(shared, n.same-shared)
	n.differs = min(x, y) / c.rarest()
	return n
}

// stressed holds when a repeats a word that b lacks, as a title and its description do with what an offer is.
func (c *Corpus) stressed(a, b *Text) bool {
	j := 0
	for _, w := range a.words {
		for j < len(b.words) && b.words[j].hash < w.hash {
			j++
		}
		told := j < len(b.words) && b.words[j].hash == w.hash
		if told || w.n < 2 || len(w.s) < 3 || isDigit(rune(w.s[0])) || units[w.s].kind != "" {
			continue
		}
		common := fewTexts*max(int(c.words[w.hash].texts), 1) > c.n // what every twentieth text has, or not known: "and"
		if !common && inside(w.s, b.grams) < 0.5 {
			return true
		}
	}
	return false
}

func ratio(a, b float64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	return min(a, b) / max(a, b)
}
