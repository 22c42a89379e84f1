package recall

import (
	"context"
	"fmt"
	"slices"

	"robin/machine"
)

// Measure measures Robin's graph with each precision. All are built before the first is searched, so that their searches can
// take turns.
func Measure(ctx context.Context, d *Data, o Options) (*Report, error) {
	o = o.withDefaults()
	for _, part := range o.Parts {
		if !slices.Contains(Parts, part) {
			return nil, fmt.Errorf("there is no part %q to measure; there are %v", part, Parts)
		}
	}
	r := &Report{
		Machine: machine.Here(), Commit: machine.Commit(), Vectors: d.Name, N: d.Vectors.Len(), Queries: d.Queries.Len(), Dim: d.Vectors.Dim,
		M: o.M, EfConstruction: o.EfConstruction, Threads: o.Threads, Rounds: o.Rounds, Clock: o.Clock,
	}
	if !slices.Contains(Clocks, o.Clock) {
		return nil, fmt.Errorf("there is no clock %q; there are %v", o.Clock, Clocks)
	}
	has := func(part string) bool { return slices.Contains(o.Parts, part) }
	var subjects []*subject
	for _, precision := range o.Precisions {
		x := &subject{d: d, precision: precision, clock: o.Clock, found: &Index{Name: "robin " + precision}}
		g, b, err := build(ctx, d, precision, o)
		if err != nil {
			return nil, err
		}
		x.g = g
		if has("build") {
			x.found.Build = b
		}
		subjects = append(subjects, x)
		r.Indexes = append(r.Indexes, x.found)
	}
	if len(o.Parts) == 1 && has("build") {
		return r, nil
	}
	truths, err := exact(ctx, d.Vectors, d.Queries, []*subset{nil}, o)
	if err != nil {
		return nil, err
	}
	all := truths[0]
	if has("search") {
		if err := searches(ctx, subjects, all, o); err != nil {
			return nil, err
		}
	}
	if has("filter") {
		if err := filters(ctx, subjects, o); err != nil {
			return nil, err
		}
	}
	for _, x := range subjects {
		if has("restart") {
			if x.found.Restart, err = x.restart(ctx, all, o); err != nil {
				return nil, err
			}
		}
		if has("churn") {
			if x.found.Churn, err = x.churn(ctx, all, o); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}
