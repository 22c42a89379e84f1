package recall

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"robin/ann"
	"robin/machine"
)

// Engine is an index that takes its turn among others.
type Engine interface {
	// Build makes the index anew.
	Build(ctx context.Context) (*Build, error)
	// Search appends the ids of the K nearest that it finds.
	Search(dst []uint64, q []float32, ef int) ([]uint64, error)
}

// Turn is what one turn found. IDs are those of one query after another.
type Turn struct {
	Build   *Build   `json:"build,omitempty"`
	Seconds float64  `json:"seconds,omitempty"`     // for all queries, on one thread
	CPU     float64  `json:"cpu_seconds,omitempty"` // processor time of the same, the collector's included
	Found   []int    `json:"found,omitempty"`       // by query, how many ids
	IDs     []uint64 `json:"ids,omitempty"`
}

// Turns takes a measurement for each line that it reads, and writes what it found as a line of JSON, so that several
// programs can measure in turns and a machine's noise hits all alike. The lines are "build", and "search EF".
func Turns(ctx context.Context, in io.Reader, out io.Writer, d *Data, e Engine) error {
	enc := json.NewEncoder(out)
	for s := bufio.NewScanner(in); s.Scan(); {
		var t Turn
		var ef int
		line := strings.TrimSpace(s.Text())
		if line == "build" {
			b, err := e.Build(ctx)
			if err != nil {
				return err
			}
			t.Build = b
		} else if _, err := fmt.Sscanf(line, "search %d", &ef); err == nil {
			if t, err = searchTurn(d, e, ef); err != nil {
				return err
			}
		} else {
			return fmt.Errorf(`the line %q is neither "build" nor "search EF"`, line)
		}
		if err := enc.Encode(t); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func searchTurn(d *Data, e Engine, ef int) (t Turn, err error) {
	n := d.Queries.Len()
	t.Found, t.IDs = make([]int, n), make([]uint64, 0, n*K)
	began, used := time.Now(), machine.CPUTime()
	for i := range n {
		before := len(t.IDs)
		if t.IDs, err = e.Search(t.IDs, d.Queries.Row(i), ef); err != nil {
			return t, err
		}
		t.Found[i] = len(t.IDs) - before
	}
	t.Seconds, t.CPU = time.Since(began).Seconds(), (machine.CPUTime() - used).Seconds()
	return t, nil
}

// NewEngine is Robin's graph of a precision.
func NewEngine(d *Data, precision string, o Options) Engine {
	return &engine{subject{d: d, precision: precision}, o.withDefaults()}
}

type engine struct {
	subject
	o Options
}

func (e *engine) Build(ctx context.Context) (b *Build, err error) {
	e.g = nil
	e.g, b, err = build(ctx, e.d, e.precision, e.o)
	return b, err
}

func (e *engine) Search(dst []uint64, q []float32, ef int) ([]uint64, error) {
	if e.g == nil {
		return nil, fmt.Errorf("search before build")
	}
	found, err := e.search(q, K, ann.SearchOptions{Ef: ef})
	for _, f := range found {
		dst = append(dst, f.ID)
	}
	return dst, err
}
