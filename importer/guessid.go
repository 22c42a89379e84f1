package importer

import (
	"fmt"
	"slices"
	"strings"

	"robin"
)

func preference(names []string, name string) int { return slices.Index(names, plainName(name)) }

// idCandidates are the fields that are named like an id, the likeliest first.
func idCandidates(fields []*field) []*field {
	better := func(a, b *field) int {
		rank := func(f *field) int {
			switch i := preference(idNames, f.name); {
			case f.name == "id":
				return -1
			case i >= 0:
				return i
			}
			return len(idNames)
		}
		return rank(a) - rank(b)
	}
	candidates := slices.DeleteFunc(slices.Clone(fields), func(f *field) bool {
		return f.role != roleID && preference(idNames, f.name) < 0
	})
	slices.SortStableFunc(candidates, better)
	return candidates
}

// guessID finds the field that names each of n documents.
func guessID(fields []*field, n int) (string, error) {
	var why []string
	for _, f := range idCandidates(fields) {
		switch {
		case f.present < n:
			why = append(why, fmt.Sprintf("%q is missing or empty in %d of %d", f.name, n-f.present, n))
		case f.longest > robin.MaxIDBytes:
			why = append(why, fmt.Sprintf("%q is longer than %d bytes", f.name, robin.MaxIDBytes))
		case f.ids < n:
			why = append(why, fmt.Sprintf("%q is not always a string or an integer", f.name))
		case len(f.counts) < n:
			value, times := f.mostFrequent()
			why = append(why, fmt.Sprintf("%q holds %q %d times", f.name, value, times))
		default:
			return f.name, nil
		}
	}
	reason := "no field is named like an id (id, _id, product_id, sku, …)"
	if len(why) > 0 {
		reason = strings.Join(why, ", ")
	}
	return "", &robin.Error{
		Code:    robin.CodeInvalid,
		Message: "no field can be the documents' id: " + reason + "; create the collection first with settings that name the id_field",
		Fields:  []robin.FieldError{{Pointer: "/id_field", Detail: reason}},
	}
}

// guessIDOfMost is guessID, but when no field names each document, the first that names most of them will do: the import
// refuses those that it does not name, one by one, and says which replace an earlier one. A single fault is forgiven
// among few documents too.
func guessIDOfMost(fields []*field, n int) (string, error) {
	id, err := guessID(fields, n)
	if err == nil {
		return id, nil
	}
	for _, f := range idCandidates(fields) {
		named := min(f.ids, len(f.counts))
		if most(named, n) || n > 2 && named == n-1 {
			return f.name, nil
		}
	}
	return "", err
}

func (f *field) mostFrequent() (value string, times int) {
	for v, n := range f.counts {
		if n > times || n == times && v < value {
			value, times = v, n
		}
	}
	return value, times
}
