package attr

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"robin"
)

// ScoreKey is the sort field that stands for a hit's relevance.
const ScoreKey = "_score"

// SortKey is one key of an order.
type SortKey struct {
	Field string // an attribute, or ScoreKey
	Desc  bool
}

// SortKeys reads keys such as "price:asc", "rating:desc" and "_score:desc". Without a direction an attribute ascends
// and the score descends. A bad key is a robin.CodeInvalid error for /sort/i.
func (t *Table) SortKeys(keys []string) ([]SortKey, error) {
	out := make([]SortKey, 0, len(keys))
	for i, s := range keys {
		pointer := fmt.Sprintf("/sort/%d", i)
		k := SortKey{Field: s, Desc: s == ScoreKey}
		if at := strings.LastIndexByte(s, ':'); at >= 0 {
			switch direction := s[at+1:]; direction {
			case "asc", "desc":
				k = SortKey{s[:at], direction == "desc"}
			default:
				return nil, robin.Invalid(pointer, "%s is not a direction; write %q or %q", quote(direction), s[:at]+":asc", s[:at]+":desc")
			}
		}
		if _, ok := t.types[k.Field]; !ok && k.Field != ScoreKey {
			return nil, t.unknown(pointer, k.Field)
		}
		out = append(out, k)
	}
	return out, nil
}

// Order gives the indexes of documents in the order of keys. Documents that the keys do not part stay as they came, so
// hand them in by rank; score(i) is the relevance of documents[i] and may be nil when no key is ScoreKey. A document
// without a value
// comes last, ascending and descending. Of several values the smallest counts when ascending and the largest when
// descending. Keywords are ordered without regard to case, by code point; false comes before true.
func (t *Table) Order(documents []uint64, keys []SortKey, score func(i int) float64) []int {
	order := make([]int, len(documents))
	for i := range order {
		order[i] = i
	}
	if len(keys) == 0 {
		return order
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	// One row of comparable keys per document: a number, and for keywords the place of the word among all words here.
	// Descending keys are negated, and no value is +Inf in both directions.
	width := len(keys)
	rows := make([]float64, len(documents)*width)
	for k, key := range keys {
		sign := 1.0
		if key.Desc {
			sign = -1
		}
		if key.Field == ScoreKey {
			for i := range documents {
				rows[i*width+k] = sign * score(i)
			}
			continue
		}
		value := t.sortValueLocked(key, documents)
		for i, number := range documents {
			v := math.Inf(1)
			if slot, ok := t.slots.get(number); ok {
				if x := value(slot); !math.IsNaN(x) {
					v = sign * x
				}
			}
			rows[i*width+k] = v
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		for k := range width {
			if c := cmp.Compare(rows[a*width+k], rows[b*width+k]); c != 0 {
				return c
			}
		}
		return cmp.Compare(a, b)
	})
	return order
}

// sortValueLocked gives the function from a slot to the number that the key orders by, or NaN.
func (t *Table) sortValueLocked(key SortKey, documents []uint64) func(slot uint32) float64 {
	better := func(a, b float64) bool { return a < b != key.Desc && a != b }
	if c, ok := t.nums[key.Field]; ok {
		return func(slot uint32) float64 {
			best := math.NaN()
			c.each(slot, func(v float64) {
				if math.IsNaN(best) || better(v, best) {
					best = v
				}
			})
			return best
		}
	}
	c := t.words[key.Field]
	used := make([]bool, len(c.folds))
	var groups []uint32
	use := func(code uint32) {
		if g := c.groups[code]; code != 0 && !used[g] {
			used[g] = true
			groups = append(groups, g)
		}
	}
	for _, number := range documents {
		if slot, ok := t.slots.get(number); ok {
			use(c.first[slot])
			for _, code := range c.more[slot] {
				use(code)
			}
		}
	}
	slices.SortFunc(groups, func(a, b uint32) int { return strings.Compare(c.folds[a], c.folds[b]) })
	place := make([]float64, len(c.folds))
	for i, g := range groups {
		place[g] = float64(i)
	}
	return func(slot uint32) float64 {
		if c.first[slot] == 0 {
			return math.NaN()
		}
		best := place[c.groups[c.first[slot]]]
		for _, code := range c.more[slot] {
			if v := place[c.groups[code]]; better(v, best) {
				best = v
			}
		}
		return best
	}
}
