package dedup

import (
	"fmt"
	"math"
)

// difference counts the facts of two texts by what they are about. A kind differs when each text has a fact of it that the
// other lacks: what only one of them mentions is no contradiction.
type difference struct {
	same, oneSided, differ [topics]int
	against                []string
}

// What facts are about, as far as features tell them apart.
const (
	measures = iota
	numbers
	colourings
	variants
	years
	inFields // told by a document's own fields
	topics
)

func topic(k kind) int {
	switch k {
	case brand, partNumber, barcode:
		return inFields
	case colour, material, pattern, colour + ofField, material + ofField, pattern + ofField:
		return colourings
	case year:
		return years
	case numeral:
		return numbers
	}
	if editionGroups[k] {
		return variants
	}
	return measures
}

func differences(a, b []fact) difference {
	var d difference
	for len(a) > 0 || len(b) > 0 {
		var k kind
		if len(b) == 0 || len(a) > 0 && a[0].kind <= b[0].kind {
			k = a[0].kind
		} else {
			k = b[0].kind
		}
		x, y := ofKind(a, k), ofKind(b, k)
		a, b = a[len(x):], b[len(y):]
		onlyX, onlyY, t := without(x, y), without(y, x), topic(k)
		d.same[t] += len(x) - len(onlyX)
		d.oneSided[t] += len(onlyX) + len(onlyY)
		if len(onlyX) > 0 && len(onlyY) > 0 {
			d.differ[t]++
			d.against = append(d.against, fmt.Sprintf("%s %s / %s", k, onlyX[0].written, onlyY[0].written))
		}
	}
	return d
}

// count puts the differences into features. Roots, because the third agreement says less than the first.
func (d *difference) count(m *[features]float64) {
	root := func(n int) float64 { return math.Sqrt(float64(n)) }
	m[measureSame], m[measureDiffers] = root(d.same[measures]), root(d.differ[measures])
	m[numberSame], m[numberDiffers] = root(d.same[numbers]), root(d.differ[numbers])
	m[colourDiffers], m[yearDiffers] = float64(d.differ[colourings]), float64(d.differ[years])
	m[editionSame], m[editionOneSided] = root(d.same[variants]), root(d.oneSided[variants])
	m[editionDiffers] = root(d.differ[variants])
	m[fieldSame], m[fieldDiffers] = float64(d.same[inFields]), float64(d.differ[inFields])
}

// ofKind is the run of facts of kind k at the beginning of a list.
func ofKind(list []fact, k kind) []fact {
	n := 0
	for n < len(list) && list[n].kind == k {
		n++
	}
	return list[:n]
}

// without are the facts of a that b lacks. Both are sorted by key.
func without(a, b []fact) []fact {
	var out []fact
	j := 0
	for _, f := range a {
		for j < len(b) && b[j].key < f.key {
			j++
		}
		if j == len(b) || b[j].key != f.key {
			out = append(out, f)
		}
	}
	return out
}
