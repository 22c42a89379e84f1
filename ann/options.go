package ann

import (
	"errors"
	"fmt"
	"iter"
)

// What Add, AddBatch and Search refuse. The index is as it was before the call.
var (
	ErrDimension  = errors.New("vector has the wrong dimension")
	ErrNotFinite  = errors.New("vector holds NaN, an infinity, or numbers too large to compare")
	ErrZeroVector = errors.New("zero vector has no direction, so it has no cosine distance")
	ErrLimit      = errors.New("number of neighbors must be at least 1")
)

// What the constructors refuse.
var ErrOptions = errors.New("invalid options")

// What a Decoder refuses, or is told.
var (
	ErrCorrupt = errors.New("stored graph is damaged")
	ErrVersion = errors.New("stored graph has a version that this program does not read")
	// ErrNoVector says that an id has been deleted since the graph was written.
	ErrNoVector = errors.New("no vector has this id")
)

// Distance says how far two vectors are apart; smaller is nearer. Its scale is the Metric's.
type Distance float32

// Neighbor is one vector that a search found.
type Neighbor struct {
	ID       uint64
	Distance Distance
}

// Set holds the ids that a filter allows. Search calls it under the index's lock: it must not call the index.
// It may be asked from several goroutines at a time when it is given to several searches.
type Set interface {
	Contains(id uint64) bool
	Len() int
	All() iter.Seq[uint64]
}

// BatchSet is a Set that gives its ids many at a time, which costs less than one at a time. Each batch is lent until the next.
type BatchSet interface {
	Set
	Batches() iter.Seq[[]uint64]
}

// Precision says how vectors are kept in memory.
type Precision uint8

const (
	// Float32 keeps them as they came, and codes as of Int8 too, by which insertions choose links and long scans what to compare.
	Float32 Precision = iota
	// Int8 keeps a byte for each number, and compares those: a quarter of the memory, and faster where memory is what a
	// search waits for. Distances are off by about 0.001 (Cosine, 256 dimensions) unless SearchOptions.Rescore has what it
	// takes to compute those of the best anew.
	Int8
)

func (p Precision) String() string {
	switch p {
	case Float32:
		return "float32"
	case Int8:
		return "int8"
	}
	return fmt.Sprintf("Precision(%d)", uint8(p))
}

// VectorSource has the vectors of ids, as they were given to Add.
type VectorSource interface {
	// Vectors sets rows[i] to the vector of ids[i], or to nil if it has none any more. The rows are lent: they stay as they
	// are until the next call for the same search, or its end. Searches that share a source may call it at a time.
	Vectors(ids []uint64, rows [][]float32) error
}

// Options shape an index. Only Dim has no default. Flat reads Dim and Metric.
type Options struct {
	// Dim is the number of components of each vector, 1 to 65,536.
	Dim int
	// Metric is Cosine when left zero.
	Metric Metric
	// M is the number of links a new node asks for on each layer, 4 to 256; 0 means 16. A node holds up to 2*M
	// links on layer 0 and M above it. More gives better recall, and costs memory (8*M bytes a node) and time.
	M int
	// EfConstruction is how many candidates an insertion weighs; 0 means 128. More gives a better graph, built more slowly.
	EfConstruction int
	// EfSearch is how many candidates a search keeps when SearchOptions.Ef is 0; 0 means 192.
	EfSearch int
	// Precision is Float32 when left zero.
	Precision Precision
	// Seed decides the level of each id. Two graphs with one seed and one history are equal.
	Seed uint64
}

const (
	maxDim = 1 << 16
	minM   = 4 // a layer's tree needs room for two links of each node's M/2
	maxM   = 256
	maxEf  = 1 << 20

	defaultM              = 16
	defaultEfConstruction = 128 // recall@10 at ef 96 on product texts is 0.988; 200 gave 0.991, and took 1.4 times as long
	defaultEfSearch       = 192 // recall@10 0.99 on product texts; 128 gave 0.98, 256 0.993
)

func (o Options) withDefaults() (Options, error) {
	if o.M == 0 {
		o.M = defaultM
	}
	if o.EfConstruction == 0 {
		o.EfConstruction = defaultEfConstruction
	}
	if o.EfSearch == 0 {
		o.EfSearch = defaultEfSearch
	}
	switch {
	case o.Dim < 1 || o.Dim > maxDim:
		return o, fmt.Errorf("%w: Dim is %d, want 1 to %d", ErrOptions, o.Dim, maxDim)
	case o.Precision > Int8:
		return o, fmt.Errorf("%w: Precision is %d, want Float32 or Int8", ErrOptions, o.Precision)
	case o.Metric > L2:
		return o, fmt.Errorf("%w: Metric is %d, want Cosine, Dot or L2", ErrOptions, o.Metric)
	case o.M < minM || o.M > maxM:
		return o, fmt.Errorf("%w: M is %d, want %d to %d", ErrOptions, o.M, minM, maxM)
	case o.EfConstruction < 1 || o.EfConstruction > maxEf:
		return o, fmt.Errorf("%w: EfConstruction is %d, want 1 to %d", ErrOptions, o.EfConstruction, maxEf)
	case o.EfSearch < 1 || o.EfSearch > maxEf:
		return o, fmt.Errorf("%w: EfSearch is %d, want 1 to %d", ErrOptions, o.EfSearch, maxEf)
	}
	return o, nil
}

// SearchOptions shape one search; the zero value asks for the default.
type SearchOptions struct {
	// Ef is how many candidates to keep: more finds more of the true neighbours, more slowly. 0 means
	// Options.EfSearch; a value below k counts as k. Flat has no use for it.
	Ef int
	// Allow holds the ids that may be found; nil allows all.
	Allow Set
	// MaxDistance leaves out what is farther; nil sets no bound.
	MaxDistance *Distance
	// Rescore, when not nil, has the float32 vectors by which the best candidates of an index with Int8 are compared again.
	// Others have no use for it.
	Rescore VectorSource
	// RescoreTop is how many are compared again at most, k or 0 for as many as it takes to be sure of all k.
	RescoreTop int
	// Stats, when not nil, is told how the search went.
	Stats *SearchStats

	plan *Plan // for tests: what is to be done, whatever it costs
}

// SearchStats tells how a search went, for those who explain results.
type SearchStats struct {
	Plan    Plan // how it went at last
	Ef      int  // candidates kept, fewer than asked for when a filter allows little near the query; 0 when it was a scan
	Visited int  // distances computed, including those of a traversal that gave way to a scan
}
