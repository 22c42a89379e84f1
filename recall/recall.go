// Package recall measures an index of vectors: how much of the exact answer it finds and at what speed, how long it takes to
// build, what memory it fills, and whether that still holds under filters, after changes and after a restart. What is found
// is judged by the vectors themselves and never by the distances that the index reports.
package recall

import (
	"cmp"
	"fmt"
	"slices"

	"robin/machine"
	"robin/matrix"
)

// K is how many neighbours are asked for.
const K = 10

// Data is what is measured with: vectors to search among, and queries that are not among them. Rows have length 1; a row's
// number is its id.
type Data struct {
	Name    string
	Vectors *matrix.Matrix
	Queries *matrix.Matrix
}

// NewData brings the rows to length 1.
func NewData(name string, vectors, queries *matrix.Matrix) (*Data, error) {
	if vectors.Dim != queries.Dim {
		return nil, fmt.Errorf("the vectors have %d numbers, the queries %d", vectors.Dim, queries.Dim)
	}
	if err := vectors.Normalize(); err != nil {
		return nil, fmt.Errorf("vectors: %w", err)
	}
	if err := queries.Normalize(); err != nil {
		return nil, fmt.Errorf("queries: %w", err)
	}
	return &Data{name, vectors, queries}, nil
}

// Parts are what can be measured, in their order.
var Parts = []string{"build", "search", "filter", "restart", "churn"}

// Clocks by which searches are measured. CPU counts processor time, which other work on the machine disturbs less: for queries
// per second that of the whole process, the collector's included, and for the time of a query that of its thread.
var Clocks = []string{Wall, CPU}

const (
	Wall = "wall"
	CPU  = "cpu"
)

// Options say what to measure and how. The zero value works.
type Options struct {
	Parts          []string // of Parts; default: all
	Precisions     []string // of Precisions; default: the first
	Threads        int      // that build; default: one per core. One thread searches.
	M              int      // default 16
	EfConstruction int      // default 200
	Ef             []int    // default DefaultEf
	Rounds         int      // of searching, of which the median counts; default 3
	Clock          string   // of Clocks, for searches; default Wall
	Seed           uint64   // of filters and of the order of changes
	// Progress is told how much is done of what. It may be nil.
	Progress func(what string, done, total int)
}

// DefaultEf is close enough that interpolation between two of them hides nothing.
var DefaultEf = []int{10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512}

func (o Options) withDefaults() Options {
	if len(o.Parts) == 0 {
		o.Parts = Parts
	}
	if len(o.Precisions) == 0 {
		o.Precisions = Precisions[:1]
	}
	o.Threads = cmp.Or(o.Threads, machine.Here().Cores)
	o.M = cmp.Or(o.M, 16)
	o.EfConstruction = cmp.Or(o.EfConstruction, 200)
	o.Rounds = cmp.Or(o.Rounds, 3)
	o.Clock = cmp.Or(o.Clock, Wall)
	if len(o.Ef) == 0 {
		o.Ef = DefaultEf
	}
	o.Ef = slices.Compact(slices.Sorted(slices.Values(o.Ef)))
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return o
}

// Report is what was found.
type Report struct {
	Machine        machine.Machine `json:"machine"`
	Commit         string          `json:"commit,omitempty"`
	Vectors        string          `json:"vectors"` // what they are
	N              int             `json:"n"`
	Queries        int             `json:"queries"`
	Dim            int             `json:"dimension"`
	M              int             `json:"m"`
	EfConstruction int             `json:"ef_construction"`
	Threads        int             `json:"threads"` // that built
	Rounds         int             `json:"rounds"`
	Clock          string          `json:"clock"`
	Indexes        []*Index        `json:"indexes"`
}

// Index is what was found of one index: Robin's with one precision, or in a joint report another library's.
type Index struct {
	Name    string     `json:"name"`
	Build   *Build     `json:"build,omitempty"`
	Search  []Point    `json:"search,omitempty"`
	At      []Crossing `json:"at,omitempty"`
	Filter  []Filtered `json:"filter,omitempty"`
	Restart *Restart   `json:"restart,omitempty"`
	Churn   []Churned  `json:"churn,omitempty"`
}
