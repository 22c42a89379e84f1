// Package attr keeps the attributes of a collection's documents in typed columns in memory: filters, facets and sorting
// read them, so that these three have one meaning in every search mode and never touch a relevance score.
//
// # What a filter means
//
// A document may have no value, one value or several values (an array) of an attribute. null, "" and [] are no value.
//
//   - A test passes when one of the values passes it. So price > 10 AND price < 20 may be met by two values of one array.
//   - = on no value is false, and so is every other test but !=.
//   - != is the exact complement of =, and NOT of what follows it: both pass documents without a value. Write
//     brand EXISTS AND brand != acme to leave them out.
//   - keyword and bool values are equal without regard to case (Unicode case folding over NFC); they know = != IN only.
//     Facets show the spelling that the collection uses most.
//   - Numbers are float64. Beyond 2^53 neighbouring integers are one number: keep such ids as keywords.
//   - Dates are compared to the millisecond. A date without a time stands for the whole UTC day, so added = 2024-05-01
//     passes that day's times and added <= 2024-05-01 includes them. In a document it is the day's first instant.
//
// # Ownership
//
// A Table is safe for any number of readers and writers. A Set is a snapshot of document numbers that no later write
// changes. Strings handed in are kept.
package attr

import (
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Set is an immutable set of document numbers. The zero Set is empty.
type Set struct{ b *roaring64.Bitmap }

// NewSet makes a set of numbers in any order.
func NewSet(numbers ...uint64) Set {
	b := roaring64.New()
	b.AddMany(numbers)
	return Set{b}
}

// Contains says whether number is in the set.
func (s Set) Contains(number uint64) bool { return s.b != nil && s.b.Contains(number) }

// Len counts the numbers.
func (s Set) Len() int {
	if s.b == nil {
		return 0
	}
	return int(s.b.GetCardinality())
}

// All gives the numbers in ascending order.
func (s Set) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for batch := range s.Batches() {
			for _, number := range batch {
				if !yield(number) {
					return
				}
			}
		}
	}
}

// Batches gives the numbers in ascending order, many at a time. Each batch is lent until the next.
func (s Set) Batches() iter.Seq[[]uint64] {
	return func(yield func([]uint64) bool) {
		if s.b == nil {
			return
		}
		var buf [256]uint64
		for it := s.b.ManyIterator(); ; {
			n := it.NextMany(buf[:])
			if n == 0 || !yield(buf[:n]) {
				return
			}
		}
	}
}

// Union gives the numbers that are in s or in t.
func (s Set) Union(t Set) Set {
	switch {
	case s.b == nil:
		return t
	case t.b == nil:
		return s
	}
	return Set{roaring64.Or(s.b, t.b)}
}

// Minus gives the numbers that are in s and not in t.
func (s Set) Minus(t Set) Set {
	if s.b == nil || t.b == nil {
		return s
	}
	return Set{roaring64.AndNot(s.b, t.b)}
}

// Fold gives the form in which keywords are equal.
func Fold(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(s))
		}
	}
	return strings.ToLower(s)
}
