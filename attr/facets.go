package attr

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"robin"
)

const (
	defaultFacetValues = 10
	// autoRanges is how many ranges a number facet gets when the request names none: what fits a sidebar at a glance.
	autoRanges = 5
	// rangeSample bounds the values that automatic ranges are fitted to. The counts in them are exact all the same.
	rangeSample = 10_000
)

// Facets counts the values of attributes over the documents of set. A document counts once for each different value
// that it has, and once for each range that one of its values lies in. Values come most frequent first, then in the
// order of their text; bools as bools; dates as years in UTC. Min and Max of dates, and their ranges, are milliseconds
// since 1970. A field that is no attribute or comes twice, and a range whose ends
// are the wrong way round, is a robin.CodeInvalid error for /facets/i.
func (t *Table) Facets(set Set, requests []robin.FacetRequest) (map[string]robin.Facet, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	asked := make(map[string]bool, len(requests))
	for i, r := range requests {
		pointer := fmt.Sprintf("/facets/%d", i)
		if asked[r.Field] { // the answer has room for one
			return nil, robin.Invalid(pointer, "%s is asked for twice; put all its ranges into one entry", quote(r.Field))
		}
		asked[r.Field] = true
		typ, ok := t.types[r.Field]
		if !ok {
			return nil, t.unknown(pointer, r.Field)
		}
		if len(r.Ranges) > 0 && t.nums[r.Field] == nil {
			return nil, robin.Invalid(pointer+"/ranges", "%s is a %s; only number and date attributes have ranges", r.Field, typ)
		}
		for j, span := range r.Ranges {
			if span.From != nil && span.To != nil && *span.From > *span.To {
				return nil, robin.Invalid(fmt.Sprintf("%s/ranges/%d", pointer, j), "goes from %v to %v; from must not be above to", *span.From, *span.To)
			}
		}
	}
	slots := make([]uint32, 0, set.Len())
	for number := range set.All() {
		if slot, ok := t.slots.get(number); ok { // deleted since the set was made otherwise
			slots = append(slots, slot)
		}
	}
	out := make(map[string]robin.Facet, len(requests))
	for _, r := range requests {
		limit := r.Limit
		if limit == 0 {
			limit = defaultFacetValues
		}
		switch typ := t.types[r.Field]; typ {
		case robin.Keyword, robin.Bool:
			out[r.Field] = t.words[r.Field].facet(slots, limit, typ == robin.Bool)
		case robin.Date:
			out[r.Field] = t.nums[r.Field].facet(slots, r.Ranges, limit)
		default:
			ranges := r.Ranges
			if len(ranges) == 0 {
				ranges = t.nums[r.Field].fitRanges(slots)
			}
			out[r.Field] = t.nums[r.Field].facet(slots, ranges, 0)
		}
	}
	return out, nil
}

func (c *words) facet(slots []uint32, limit int, isBool bool) robin.Facet {
	counts := make([]int, len(c.folds))
	for _, slot := range slots {
		code := c.first[slot]
		if code == 0 {
			continue
		}
		counts[c.groups[code]]++
		if len(c.more) > 0 {
			for _, code := range c.more[slot] { // other groups: Extract gives each folded word once
				counts[c.groups[code]]++
			}
		}
	}
	type entry struct {
		label string
		count int
	}
	var entries []entry
	for group, n := range counts {
		if n > 0 {
			entries = append(entries, entry{c.label(uint32(group)), n})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.label, b.label))
	})
	var f robin.Facet
	for i, e := range entries {
		if i >= limit {
			f.Other += e.count
			continue
		}
		var value any = e.label
		if isBool {
			value = e.label == "true"
		}
		f.Values = append(f.Values, robin.FacetValue{Value: value, Count: e.count})
	}
	return f
}

// facet counts in ranges, and by year when years is above 0: that many of them.
func (c *numbers) facet(slots []uint32, ranges []robin.FacetRange, years int) robin.Facet {
	var f robin.Facet
	low, high := math.Inf(1), math.Inf(-1)
	f.Ranges = make([]robin.RangeCount, len(ranges))
	for i, r := range ranges {
		f.Ranges[i].FacetRange = r
	}
	byYear := map[int]int{}
	var values []float64
	var seen []int
	for _, slot := range slots {
		values = values[:0]
		c.each(slot, func(v float64) { values = append(values, v) })
		for _, v := range values {
			low, high = min(low, v), max(high, v)
		}
		for i := range f.Ranges {
			r := f.Ranges[i].FacetRange
			if slices.ContainsFunc(values, func(v float64) bool { return (r.From == nil || v >= *r.From) && (r.To == nil || v < *r.To) }) {
				f.Ranges[i].Count++
			}
		}
		if years > 0 {
			seen = seen[:0]
			for _, v := range values {
				if y := time.UnixMilli(int64(v)).UTC().Year(); !slices.Contains(seen, y) {
					seen = append(seen, y)
					byYear[y]++
				}
			}
		}
	}
	if low <= high {
		f.Min, f.Max = &low, &high
	}
	if len(ranges) == 0 {
		f.Ranges = nil
	}
	for y, n := range byYear {
		f.Values = append(f.Values, robin.FacetValue{Value: fmt.Sprintf("%04d", y), Count: n})
	}
	slices.SortFunc(f.Values, func(a, b robin.FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value.(string), b.Value.(string)))
	})
	if len(f.Values) > years {
		for _, v := range f.Values[years:] {
			f.Other += v.Count
		}
		f.Values = f.Values[:years]
	}
	return f
}

// fitRanges chooses ranges that meet, are open at both ends, begin at round numbers and hold about as many values each.
func (c *numbers) fitRanges(slots []uint32) []robin.FacetRange {
	stride := len(slots)/rangeSample + 1
	var values []float64
	for i := 0; i < len(slots); i += stride {
		c.each(slots[i], func(v float64) { values = append(values, v) })
	}
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	low, high := values[0], values[len(values)-1]
	var cuts []float64
	for i := 1; i < autoRanges; i++ {
		at := values[len(values)*i/autoRanges]
		cut := roundCut(at, low, high)
		if cut > low && cut <= high && !slices.Contains(cuts, cut) {
			cuts = append(cuts, cut)
		}
	}
	slices.Sort(cuts)
	if len(cuts) == 0 { // one value, or nearly all the same
		return []robin.FacetRange{{}}
	}
	ranges := make([]robin.FacetRange, 0, len(cuts)+1)
	for i := 0; i <= len(cuts); i++ {
		var r robin.FacetRange
		if i > 0 {
			r.From = &cuts[i-1]
		}
		if i < len(cuts) {
			r.To = &cuts[i]
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// roundCut gives a number near v with as few digits as still tell it from the ends: 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times
// a power of ten, or a multiple of a round step where all values lie close together far from zero (years, say).
func roundCut(v, low, high float64) float64 {
	if v == 0 {
		return 0
	}
	size := math.Pow(10, math.Floor(math.Log10(math.Abs(v))))
	if width := high - low; width > 0 && width < size { // far from zero: step by the width instead
		step := math.Pow(10, math.Floor(math.Log10(width/autoRanges)))
		for _, m := range []float64{5, 2, 1} {
			if step*m*autoRanges <= width {
				step *= m
				break
			}
		}
		return tidy(math.Round(v/step) * step)
	}
	lead := math.Abs(v) / size
	best := 1.0
	for _, m := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10} {
		if math.Abs(m-lead) < math.Abs(best-lead) {
			best = m
		}
	}
	return tidy(math.Copysign(best*size, v))
}

// tidy removes the last digits that powers of ten below 1 leave behind, as in 0.30000000000000004.
func tidy(v float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v
	}
	return out
}
