package dedup

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"robin"
)

// keep says which document of a cluster stays.
type keep struct {
	rule  string // first, newest, oldest, most_complete, highest or lowest
	field string
}

// keepAliases are short names of common rules.
var keepAliases = map[string]string{"highest_rated": "highest:rating", "cheapest": "lowest:price"}

// KeepRules is how keep rules are written, for help and errors.
const KeepRules = "first, newest:FIELD, oldest:FIELD, most_complete, highest:FIELD, lowest:FIELD, highest_rated or cheapest"

func parseKeep(s string) (keep, error) {
	if full, ok := keepAliases[s]; ok {
		s = full
	}
	if s == "" {
		s = "first"
	}
	rule, field, has := strings.Cut(s, ":")
	field = strings.TrimSpace(field)
	switch rule {
	case "first", "most_complete":
		if !has {
			return keep{rule: rule}, nil
		}
	case "newest", "oldest", "highest", "lowest":
		if field != "" {
			return keep{rule, field}, nil
		}
	}
	return keep{}, robin.Invalid("/keep", "%q is no keep rule; use %s", s, KeepRules)
}

// CheckKeep says what is wrong with a keep rule, before there are documents to keep.
func CheckKeep(s string) error {
	_, err := parseKeep(s)
	return err
}

// columns hold the numbers and dates of documents, for any keep rule that is named later, and how many fields each
// document fills. A row is a document.
type columns struct {
	list   []*column
	byName map[string]*column
	filled []int32
}

// column is a field of the documents. Names below an object are joined by dots. A date is in seconds since 1970.
type column struct {
	name   string
	date   bool
	values []float64 // NaN where there is none; rows behind the last one too
	dates  int       // of values, while they are read
	kinds  []bool    // which values are dates, while they are read
}

const (
	maxColumns  = 64
	maxNesting  = 3
	longestCell = 40 // bytes of a string that may be a number or a date
)

func (c *columns) add(row int, raw json.RawMessage) {
	c.filled = append(c.filled, 0)
	var doc map[string]any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if len(raw) == 0 || dec.Decode(&doc) != nil {
		return // a document without fields: the last under every rule
	}
	for _, v := range doc {
		if filled(v) {
			c.filled[row]++
		}
	}
	c.object(row, "", doc, maxNesting)
}

func filled(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return strings.TrimSpace(v) != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

func (c *columns) object(row int, prefix string, doc map[string]any, depth int) {
	names := make([]string, 0, len(doc))
	for name := range doc {
		names = append(names, name)
	}
	slices.Sort(names) // so that which columns fit does not change from run to run
	for _, name := range names {
		switch v := doc[name].(type) {
		case map[string]any:
			if depth > 1 {
				c.object(row, prefix+name+".", v, depth-1)
			}
		case json.Number:
			if x, err := v.Float64(); err == nil {
				c.set(row, prefix+name, x, false)
			}
		case string:
			if x, date, ok := readCell(v); ok {
				c.set(row, prefix+name, x, date)
			}
		}
	}
}

// readCell reads a string as a date or a number.
func readCell(s string) (x float64, date, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > longestCell {
		return 0, false, false
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339, time.DateTime} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.UnixNano()) / 1e9, true, true
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, false, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

func (c *columns) set(row int, name string, x float64, date bool) {
	col := c.byName[name]
	if col == nil {
		if len(c.list) == maxColumns {
			return
		}
		if c.byName == nil {
			c.byName = map[string]*column{}
		}
		col = &column{name: name}
		c.byName[name] = col
		c.list = append(c.list, col)
	}
	for len(col.values) < row {
		col.values, col.kinds = append(col.values, math.NaN()), append(col.kinds, false)
	}
	col.values, col.kinds = append(col.values, x), append(col.kinds, date)
	if date {
		col.dates++
	}
}

// end settles each column's kind: what most of its values are. The others count as missing.
func (c *columns) end(rows int) {
	for _, col := range c.list {
		present := 0
		for _, x := range col.values {
			if !math.IsNaN(x) {
				present++
			}
		}
		col.date = 2*col.dates > present
		for i, date := range col.kinds {
			if date != col.date {
				col.values[i] = math.NaN()
			}
		}
		col.kinds = nil
		for len(col.values) < rows {
			col.values = append(col.values, math.NaN())
		}
	}
}

// of are the columns of some rows.
func (c *columns) of(rows []int) columns {
	out := columns{byName: map[string]*column{}, filled: make([]int32, len(rows))}
	for i, row := range rows {
		out.filled[i] = c.filled[row]
	}
	for _, col := range c.list {
		part := &column{name: col.name, date: col.date, values: make([]float64, len(rows))}
		for i, row := range rows {
			part.values[i] = col.values[row]
		}
		out.list = append(out.list, part)
		out.byName[part.name] = part
	}
	return out
}

// fits says whether a rule's field is there.
func (c *columns) fits(k keep) error {
	if k.field == "" || c.byName[k.field] != nil {
		return nil
	}
	if len(c.list) == 0 {
		return robin.Invalid("/keep", "names %q, but no document holds a number or a date in any field; use first or most_complete", k.field)
	}
	names := make([]string, len(c.list))
	for i, col := range c.list {
		names[i] = col.name
	}
	slices.Sort(names)
	return robin.Invalid("/keep", "names %q, but no document holds a number or a date there; those fields are %s", k.field, strings.Join(names, ", "))
}

// value is what a rule compares of a document: larger is better, NaN is missing.
func (c *columns) value(k keep, doc int) float64 {
	switch k.rule {
	case "first":
		return 0
	case "most_complete":
		return float64(c.filled[doc])
	}
	col := c.byName[k.field]
	if col == nil {
		return math.NaN()
	}
	if k.rule == "oldest" || k.rule == "lowest" {
		return -col.values[doc]
	}
	return col.values[doc]
}

// order sorts documents: the one to keep first. Missing values come last, ties in the order of the source.
func (c *columns) order(k keep, n int) []uint32 {
	docs := make([]uint32, n)
	values := make([]float64, n)
	for i := range docs {
		docs[i] = uint32(i)
		values[i] = c.value(k, i)
	}
	slices.SortStableFunc(docs, func(a, b uint32) int {
		x, y := values[a], values[b]
		if math.IsNaN(x) || math.IsNaN(y) {
			return cmp.Compare(missing(x), missing(y))
		}
		return cmp.Compare(y, x)
	})
	return docs
}

func missing(x float64) int {
	if math.IsNaN(x) {
		return 1
	}
	return 0
}

var superlatives = map[string]string{"newest": "the newest", "oldest": "the oldest", "highest": "the highest", "lowest": "the lowest", "most_complete": "the most"}

// why tells a person why a document is the kept one of a cluster, given with all its documents.
func (c *columns) why(k keep, kept uint32, cluster []uint32) string {
	best := c.value(k, int(kept))
	tied := 0
	for _, d := range cluster {
		if v := c.value(k, int(d)); v == best || math.IsNaN(v) && math.IsNaN(best) {
			tied++
		}
	}
	if k.rule == "first" {
		return fmt.Sprintf("the first of %d", len(cluster))
	}
	if math.IsNaN(best) {
		return fmt.Sprintf("the first of %d, of which none has %s", len(cluster), k.field)
	}
	what := ""
	if k.rule == "most_complete" {
		what = fmt.Sprintf("%d fields filled", c.filled[kept])
	} else {
		what = k.field + " " + c.byName[k.field].text(int(kept))
	}
	s := fmt.Sprintf("%s, %s of %d", what, superlatives[k.rule], len(cluster))
	if tied > 1 {
		s += fmt.Sprintf(", the first of %d with it", tied)
	}
	return s
}

func (c *column) text(doc int) string {
	x := c.values[doc]
	if !c.date {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	t := time.Unix(0, int64(x*1e9)).UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}
