package dedup

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// reader goes through the tokens of one text.
type reader struct {
	s     string
	k     []token
	taken []bool // tokens that are part of a measure, a size or a year
	out   facts
	spelt []word // as they are compared: one each time it stands there
}

func readFacts(s string, tokens []token) (facts, []word) {
	r := &reader{s: s, k: tokens, taken: make([]bool, len(tokens))}
	r.price()
	for i := 0; i < len(tokens) && len(r.out.list) < mostFacts; i++ {
		if r.taken[i] {
			continue
		}
		if tokens[i].number {
			r.number(i)
		} else {
			r.word(i)
		}
	}
	r.words()
	r.codes()
	for i, k := range tokens {
		if k.number && !r.taken[i] && len(r.out.list) < 2*mostFacts {
			r.add(numeral, k.s, k.start, k.end)
		}
	}
	r.out.sort()
	return r.out, r.spelt
}

func (r *reader) add(k kind, key string, start, end int) {
	r.out.list = append(r.out.list, fact{k, clip(key, 64), clip(strings.TrimSpace(r.s[start:end]), 64)})
}

// price takes a text's last number for a price when nothing but a currency sign follows it and it looks like one: it has such a
// sign, two digits after the point, or one and at least two before it. "7.0" is a version.
func (r *reader) price() {
	n := len(r.k) - 1
	if n < 1 || !r.k[n].number || r.k[n].glued {
		return
	}
	k := r.k[n]
	behind := strings.TrimSpace(r.s[k.end:])
	if strings.Trim(behind, currencies) != "" || math.IsInf(k.value, 0) || k.value <= 0 {
		return
	}
	raw := r.s[k.start:k.end]
	point := strings.LastIndexAny(raw, ".,")
	digits := len(raw) - point - 1
	if behind != "" || strings.ContainsRune(currencies, k.before) || point > 0 && digits == 2 || point > 1 && digits == 1 {
		r.out.price, r.taken[n] = k.value, true
	}
}

const currencies = "$€£¥"

// number reads what begins with the number at i: a measure ("150 × 200 cm", "3-pack", "18-55mm"), a year.
func (r *reader) number(i int) {
	values := []float64{r.k[i].value}
	j := i + 1
	for j < len(r.k) && len(values) < 8 {
		next := r.k[j]
		if !next.number && next.s == "x" && j+1 < len(r.k) && r.k[j+1].number {
			j++
		} else if !next.number || next.glued || !strings.ContainsRune("×*-–—/x", next.before) {
			break
		}
		values = append(values, r.k[j].value)
		j++
	}
	if k, ok := r.unit(j); ok {
		r.measure(i, j, k, values)
		return
	}
	if end := r.k[j-1].end; strings.HasPrefix(r.s[end:], `"`) || strings.HasPrefix(r.s[end:], "″") || strings.HasPrefix(r.s[end:], "”") {
		r.measure(i, j-1, units["inch"], values)
		return
	}
	if strings.HasPrefix(strings.TrimLeft(r.s[r.k[j-1].end:], " "), "%") {
		r.measure(i, j-1, unit{kind: percent, factor: 1}, values)
		return
	}
	if len(values) == 1 {
		r.year(i)
	}
}

// unit reads the unit in token j, which follows a number.
func (r *reader) unit(j int) (unit, bool) {
	if j >= len(r.k) || r.k[j].number {
		return unit{}, false
	}
	k := r.k[j]
	if k.s == "fl" && j+1 < len(r.k) && r.k[j+1].s == "oz" {
		return units["floz"], true
	}
	if k.s == "x" && k.glued && (j+1 >= len(r.k) || !r.k[j+1].glued) {
		return unit{kind: zoom, factor: 1}, true
	}
	u, ok := units[k.s]
	if !ok || u.glued && !k.glued || !k.glued && !strings.ContainsRune(" -–×", k.before) {
		return unit{}, false
	}
	if k.glued && j+1 < len(r.k) && r.k[j+1].glued {
		return unit{}, false // "5d4": a model
	}
	if k.s == "g" && k.glued && r.k[j-1].value <= 5 {
		return unit{}, false // a mobile network
	}
	if k.glued && j >= 2 && r.k[j-1].glued {
		return unit{}, false // "w800m": a model
	}
	return u, true
}

func (r *reader) measure(i, j int, u unit, values []float64) {
	for _, v := range values {
		r.add(u.kind, rounded(v*u.factor), r.k[i].start, r.k[min(j, len(r.k)-1)].end)
	}
	if len(values) > 1 {
		keys := make([]string, len(values))
		for x, v := range values {
			keys[x] = rounded(v * u.factor)
		}
		r.add(shape, strings.Join(keys, "×"), r.k[i].start, r.k[min(j, len(r.k)-1)].end)
	}
	for ; i <= j && i < len(r.k); i++ {
		r.taken[i] = true
	}
}

// rounded is a value to three digits: 8 oz and 227 g are the same.
func rounded(v float64) string {
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func (r *reader) year(i int) {
	k := r.k[i]
	raw := r.s[k.start:k.end]
	switch {
	case k.glued || i+1 < len(r.k) && r.k[i+1].glued:
	case len(raw) == 4 && k.value >= 1950 && k.value < 2040 && k.before != '.':
		r.add(year, raw, k.start, k.end)
		r.taken[i] = true
	case len(raw) == 2 && (k.before == '\'' || k.before == '’'):
		y := 1900 + k.value
		if k.value < 40 {
			y += 100
		}
		r.add(year, strconv.Itoa(int(y)), k.start, k.end)
		r.taken[i] = true
	}
}

// word reads what begins with a word: "pack of 6", "twin pack", a colour, an edition, a fitting size.
func (r *reader) word(i int) {
	k := r.k[i]
	if containers[k.s] && i+2 < len(r.k) && r.k[i+1].s == "of" {
		if n, ok := r.count(i + 2); ok {
			r.add(quantity, rounded(n), k.start, r.k[i+2].end)
			r.taken[i], r.taken[i+2] = true, true
			return
		}
	}
	if n, ok := numberWords[k.s]; ok && i+1 < len(r.k) {
		if u, ok := r.unit(i + 1); ok && !r.k[i+1].glued && len(r.k[i+1].s) > 1 {
			r.measure(i, i+1, u, []float64{n})
			return
		}
		switch {
		case k.s == "single":
			r.add(quantity, "1", k.start, k.end)
		case n > 1 && n <= 12 && k.s != "double" && k.before != '-' && r.k[i+1].s != "hundred" && r.k[i+1].s != "thousand":
			r.add(numeral, rounded(n), k.start, k.end)
		}
	}
	if k.glued || i+1 < len(r.k) && r.k[i+1].glued {
		if r.version(i) {
			return
		}
		if _, ok := editions[k.s]; !ok {
			return // part of a code
		}
	}
	r.colour(i)
	if e, ok := editions[k.s]; ok {
		r.add(kind(e.group), e.name, k.start, k.end)
	}
	if materials[k.s] {
		r.add(material, k.s, k.start, k.end)
	}
	if patterns[k.s] {
		r.add(pattern, k.s, k.start, k.end)
	}
	r.fitting(i)
}

// colour reads a colour's name. Two in a row are one: rose gold is not gold.
func (r *reader) colour(i int) {
	k := r.k[i]
	c, ok := colours[k.s]
	if !ok {
		return
	}
	if i+1 < len(r.k) && r.k[i+1].before == ' ' {
		if second, ok := colours[r.k[i+1].s]; ok {
			r.taken[i+1] = true
			r.add(colour, c+" "+second, k.start, r.k[i+1].end)
			return
		}
	}
	r.add(colour, c, k.start, k.end)
}

// version reads "v7" and "ver7.1" as the number, so that "7" and "v7" agree.
func (r *reader) version(i int) bool {
	switch r.k[i].s {
	case "v", "ver", "version":
		if i+1 < len(r.k) && r.k[i+1].number && !r.k[i].glued && (i+2 >= len(r.k) || !r.k[i+2].glued) {
			r.add(numeral, r.k[i+1].s, r.k[i].start, r.k[i+1].end)
			r.taken[i], r.taken[i+1] = true, true
			return true
		}
	}
	return false
}

func (r *reader) count(i int) (float64, bool) {
	if r.k[i].number {
		return r.k[i].value, true
	}
	n, ok := numberWords[r.k[i].s]
	return n, ok
}

// fitting reads sizes of clothes and shoes: a capital S, M or L that stands alone, XL, "EU 44".
func (r *reader) fitting(i int) {
	k := r.k[i]
	switch k.s {
	case "s", "m", "l":
		if k.upper && strings.ContainsRune(" ,(-–|:", k.before) && k.before != 0 && i > 0 {
			if prev := r.k[i-1]; !(k.before == '-' && prev.end+1 == k.start) && !prev.number {
				r.add(fitting, k.s, k.start, k.end)
			}
		}
	case "xs", "xl", "xxl", "xxxl":
		if k.upper {
			r.add(fitting, k.s, k.start, k.end)
		}
	case "eu", "uk", "us", "size":
		if i+1 < len(r.k) && r.k[i+1].number && !r.k[i+1].glued && r.k[i+1].before == ' ' {
			r.add(fitting, k.s+r.k[i+1].s, k.start, r.k[i+1].end)
			r.taken[i+1] = true
		}
	}
}

// words collects the words: what is written together is one ("cs3"), except for measures ("22mm" is 22 and mm).
func (r *reader) words() {
	for i := 0; i < len(r.k); {
		j := i + 1
		measured := r.taken[i]
		for j < len(r.k) && r.k[j].glued {
			measured = measured || r.taken[j]
			j++
		}
		switch {
		case j == i+1:
			r.spelt = append(r.spelt, single(r.k[i]))
		case measured:
			for _, k := range r.k[i:j] {
				r.spelt = append(r.spelt, word{s: k.s})
			}
		default:
			var b strings.Builder
			for _, k := range r.k[i:j] {
				b.WriteString(k.s)
			}
			r.spelt = append(r.spelt, word{s: b.String()})
		}
		i = j
	}
}

func single(k token) word {
	w := word{s: k.s}
	switch k.letter {
	case capital:
		w.caps = 1
	case small:
		w.low = 1
	}
	return w
}

// codes collects model codes: tokens written together or with hyphens that hold letters and digits, and numbers of five
// digits or more.
func (r *reader) codes() {
	for i := 0; i < len(r.k) && len(r.out.codes) < mostFacts; {
		j := i + 1
		for j < len(r.k) && !r.taken[j] && !r.taken[j-1] && (r.k[j].glued || r.k[j].before == '-' && r.k[j-1].end+1 == r.k[j].start) {
			j++
		}
		r.code(i, j)
		i = j
	}
	slices.SortFunc(r.out.codes, func(a, b fact) int { return strings.Compare(a.key, b.key) })
	r.out.codes = slices.CompactFunc(r.out.codes, func(a, b fact) bool { return a.key == b.key })
}

func (r *reader) code(i, j int) {
	if r.taken[i] || r.k[j-1].end-r.k[i].start > 40 {
		return
	}
	var fused strings.Builder
	letters, digits := 0, 0
	for _, k := range r.k[i:j] {
		if k.number {
			digits += len(k.s)
		} else {
			letters += len(k.s)
		}
		fused.WriteString(k.s)
	}
	if digits == 0 || letters == 0 && (digits < 5 || j > i+1) || letters+digits < 3 || letters > 0 && digits == 1 && j == i+2 && !r.k[i+1].glued {
		return
	}
	for x := i; x < j; x++ {
		if r.k[x].number {
			r.taken[x] = true
		}
	}
	r.out.codes = append(r.out.codes, fact{model, fused.String(), strings.Clone(r.s[r.k[i].start:r.k[j-1].end])})
}
