package indexer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	index "github.com/blevesearch/bleve_index_api"
)

// A word that no document has is taken for unfinished, if it is the query's last, or for misspelled. Words that
// documents have are never stretched: what was typed right keeps its meaning and its speed.
const (
	// maxExpansions bounds the terms that stand in for one word in one field.
	maxExpansions = 12
	// maxScanned bounds the terms that are looked at for them, in one field.
	maxScanned = 5000
	// likeWeight is what a stand-in counts: what was typed elsewhere in the query decides first.
	likeWeight = 0.6
	// minPrefix and minFuzzy are the shortest words that may be unfinished and misspelled, in characters; from
	// minFuzzier on, two letters may be wrong: in shorter words that made "maintain" of "mountain".
	minPrefix, minFuzzy, minFuzzier = 2, 4, 10
)

// expand replaces the terms of a word that no document has by terms that begin with it or are spelled like it.
func (s *snapshot) expand(w *queryWord) error {
	var terms []fieldTerm
	like := map[string]bool{}
	for _, ft := range w.terms {
		name := s.t.fields[ft.field].name
		var found []string
		var err error
		if w.last && utf8.RuneCountInString(ft.term) >= minPrefix {
			found, err = s.beginningWith(name, strings.ToLower(w.text), ft.term)
		}
		if err == nil && len(found) == 0 && mayBeMisspelled(ft.term) {
			found, err = s.spelledLike(name, ft.term)
		}
		if err != nil {
			return fmt.Errorf("expand %q in %s: %w", ft.term, name, err)
		}
		for _, term := range found {
			terms = append(terms, fieldTerm{ft.field, term})
			like[term] = true
		}
	}
	w.terms = terms
	w.weight *= likeWeight
	for term := range like {
		w.like = append(w.like, term)
	}
	slices.Sort(w.like)
	return nil
}

// mayBeMisspelled leaves out short words, which are like too many, and words with digits: a model number that is one
// digit off is another product.
func mayBeMisspelled(term string) bool {
	return utf8.RuneCountInString(term) >= minFuzzy && strings.IndexFunc(term, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
}

type similarTerm struct {
	term     string
	distance uint8
	count    uint64
}

// beginningWith gives the most frequent terms that begin with one of the prefixes: the word as it was typed and as its
// field's analyzer made it, since a stem need not begin what it is the stem of.
func (s *snapshot) beginningWith(field string, prefixes ...string) ([]string, error) {
	var found []similarTerm
	slices.Sort(prefixes)
	for _, prefix := range slices.Compact(prefixes) {
		dict, err := s.root.FieldDictPrefix(field, []byte(prefix))
		if err != nil {
			return nil, err
		}
		if found, err = gather(found, dict, func(*index.DictEntry) (uint8, bool) { return 0, true }); err != nil {
			return nil, err
		}
	}
	return mostLike(found), nil
}

// spelledLike gives the terms within an edit or two of term that share its first letter.
func (s *snapshot) spelledLike(field, term string) ([]string, error) {
	edits := 1
	if utf8.RuneCountInString(term) >= minFuzzier {
		edits = 2
	}
	_, first := utf8.DecodeRuneInString(term)
	dict, err := s.root.FieldDictFuzzy(field, term, edits, term[:first])
	if err != nil {
		return nil, err
	}
	found, err := gather(nil, dict, func(e *index.DictEntry) (uint8, bool) {
		d := editDistance(term, e.Term)
		return uint8(d), d <= edits && !strings.ContainsFunc(e.Term, unicode.IsDigit)
	})
	if err != nil {
		return nil, err
	}
	// Only the nearest: with "cofee" one letter from "coffee", what is two letters away was not meant.
	nearest := uint8(255)
	for _, f := range found {
		nearest = min(nearest, f.distance)
	}
	found = slices.DeleteFunc(found, func(f similarTerm) bool { return f.distance > nearest })
	for i := range found {
		if found[i].count, err = s.documentsWith(field, found[i].term); err != nil {
			return nil, err
		}
	}
	return mostLike(found), nil
}

func gather(found []similarTerm, dict index.FieldDict, fits func(*index.DictEntry) (distance uint8, ok bool)) ([]similarTerm, error) {
	defer dict.Close()
	for range maxScanned {
		e, err := dict.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		if strings.HasPrefix(e.Term, "\x00") {
			continue
		}
		if d, ok := fits(e); ok {
			found = append(found, similarTerm{strings.Clone(e.Term), d, e.Count})
		}
	}
	return found, nil
}

func mostLike(found []similarTerm) []string {
	slices.SortFunc(found, func(a, b similarTerm) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(b.count, a.count), cmp.Compare(a.term, b.term))
	})
	var out []string
	for _, f := range found[:min(len(found), maxExpansions)] {
		out = append(out, f.term)
	}
	return out
}

// documentsWith counts the documents that have a term in a field.
func (s *snapshot) documentsWith(field, term string) (n uint64, err error) {
	for _, seg := range s.segments {
		dict, err := seg.Segment().Dictionary(field)
		if err != nil {
			return 0, err
		}
		list, err := dict.PostingsList([]byte(term), seg.Deleted(), nil)
		if err != nil {
			return 0, err
		}
		n += list.Count()
	}
	return n, nil
}

// editDistance counts the letters to insert, delete, replace or swap with their neighbour to make b of a.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
