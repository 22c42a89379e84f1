package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"robin"
	"robin/matrix"
	"robin/recall"
)

// Run measures the vector index.
func (c *benchAnnCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	p := &phases{w: e.stderr}
	defer p.done()
	d, err := c.data(e, p)
	if err != nil {
		return err
	}
	if c.Save != "" {
		return c.save(e, d)
	}
	o := recall.Options{
		Parts: c.Only, Precisions: c.Precision, Threads: c.Threads, M: c.M, EfConstruction: c.EfConstruction,
		Ef: c.Ef, Rounds: c.Rounds, Clock: c.Clock, Seed: c.Seed, Progress: p.show,
	}
	if c.Turns {
		return recall.Turns(e.ctx, e.stdin, e.stdout, d, recall.NewEngine(d, c.Precision[0], o))
	}
	rep, err := recall.Measure(e.ctx, d, o)
	if err != nil {
		return err
	}
	p.done()
	if c.Plot != "" {
		if err := c.plot(rep); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(e.stdout, rep)
	}
	return rep.Print(e.stdout)
}

// check refuses what no measurement can be made with.
func (c *benchAnnCmd) check() error {
	sources := 0
	for _, given := range []bool{c.Vectors != "", c.Demo != 0, c.Generate != 0} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		return usagef("say what to measure with, by one of --vectors FILE, --demo N and --generate N")
	}
	for flag, value := range map[string]int{"demo": c.Demo, "generate": c.Generate, "threads": c.Threads, "held-out": c.HeldOut - 1, "dim": c.Dim - 1, "rounds": c.Rounds - 1} {
		if value < 0 {
			return usagef("--%s is too small", flag)
		}
	}
	for _, part := range c.Only {
		if !slices.Contains(recall.Parts, part) {
			return usagef("--only: there is no part %q; there are %v", part, recall.Parts)
		}
	}
	for _, precision := range c.Precision {
		if !slices.Contains(recall.Precisions, precision) {
			return usagef("--precision: there is no %q; there are %v", precision, recall.Precisions)
		}
	}
	for _, ef := range c.Ef {
		if ef < recall.K {
			return usagef("--ef is %d; to find %d it must be at least that", ef, recall.K)
		}
	}
	if c.Turns && len(c.Precision) != 1 {
		return usagef("--turns measures one --precision")
	}
	if c.Plot != "" && len(c.Only) > 0 && !slices.Contains(c.Only, "search") {
		return usagef("--plot shows the part search, which --only leaves out")
	}
	return nil
}

func (c *benchAnnCmd) plot(rep *recall.Report) error {
	f, err := os.Create(c.Plot)
	if err != nil {
		return err
	}
	return errors.Join(rep.Plot(f), f.Close())
}

func (c *benchAnnCmd) save(e *env, d *recall.Data) error {
	if err := os.MkdirAll(c.Save, 0o755); err != nil {
		return err
	}
	for name, m := range map[string]*matrix.Matrix{"vectors.npy": d.Vectors, "queries.npy": d.Queries} {
		if err := m.Write(filepath.Join(c.Save, name)); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.stderr, "%d vectors and %d queries of %s are in %s\n", d.Vectors.Len(), d.Queries.Len(), d.Name, c.Save)
	return nil
}

// clusters are those of --generate.
const (
	clusterCentres = 2000
	clusterNoise   = 0.6
)

// data is what to measure with.
func (c *benchAnnCmd) data(e *env, p *phases) (*recall.Data, error) {
	var m *matrix.Matrix
	var name string
	var err error
	extra := c.HeldOut
	if c.Queries != "" {
		extra = 0
	}
	switch {
	case c.Vectors != "":
		name = filepath.Base(c.Vectors)
		m, err = matrix.Read(c.Vectors, c.Dim)
	case c.Generate > 0:
		name = fmt.Sprintf("drawn around %d centres, noise %v, seed %d", clusterCentres, clusterNoise, c.Seed)
		m = matrix.NewClusters(c.Dim, clusterCentres, clusterNoise, c.Seed).Matrix(c.Generate + extra)
	default:
		name = fmt.Sprintf("products made of the demo catalogue's, seed %d", c.Seed)
		m, err = c.demo(e, c.Demo+extra, p)
	}
	if err != nil {
		return nil, err
	}
	var queries *matrix.Matrix
	if c.Queries != "" {
		queries, err = matrix.Read(c.Queries, c.Dim)
	} else {
		m, queries, err = m.HoldOut(c.HeldOut, c.Seed)
	}
	if err != nil {
		return nil, err
	}
	return recall.NewData(name, m, queries)
}

// phases shows the progress of one thing after another.
type phases struct {
	w io.Writer

	mu   sync.Mutex // several goroutines tell
	what string
	m    *meter
}

func (p *phases) show(what string, done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what != p.what {
		p.end()
		p.what, p.m = what, newMeter(p.w, what)
	}
	p.m.show(robin.Progress{Done: done, Total: total})
}

// done takes the bar away. More may be shown after it.
func (p *phases) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

func (p *phases) end() {
	if p.m != nil {
		p.m.done()
	}
	p.what, p.m = "", nil
}
