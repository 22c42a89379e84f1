package recall

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"robin/ann"
)

// Restart is what writing the graph to a file, synced, and reading it again took. Vectors come from memory: what reading them
// from a store takes is not in it.
type Restart struct {
	Bytes       int64   `json:"bytes"` // of the whole graph, without vectors
	WriteS      float64 `json:"write_s"`
	ChangeBytes int64   `json:"change_bytes"` // of what changedRows changes left to be written
	ChangeS     float64 `json:"change_write_s"`
	ReadS       float64 `json:"read_s"`          // of both
	FirstMS     float64 `json:"first_answer_ms"` // of the first search after that
	Recall      float64 `json:"recall"`
	SameAnswers bool    `json:"same_answers"` // as before, to every query
}

// changedRows is how many changes a checkpoint is made of: half of them are deletes, and half add the same vectors again.
const changedRows = 1000

// restart writes the graph, and what some changes left to be written, and reads it again.
func (x *subject) restart(ctx context.Context, t *truth, o Options) (rs *Restart, err error) {
	f, err := os.CreateTemp("", "robin-graph-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	rs = &Restart{}
	k := &keeper{file: f, w: bufio.NewWriterSize(f, 1<<20)}
	o.Progress("restart", 0, 3)
	began := time.Now()
	if err := errors.Join(x.g.EncodeAll(k.put), k.sync()); err != nil {
		return nil, err
	}
	if err := errors.Join(k.change(x.g.EncodeChanges()), k.sync()); err != nil {
		return nil, err
	}
	rs.WriteS, rs.Bytes = time.Since(began).Seconds(), k.size

	o.Progress("restart", 1, 3)
	changed := rand.New(rand.NewPCG(o.Seed, 4)).Perm(x.d.Vectors.Len())
	changed = changed[:min(changedRows/2, len(changed))]
	for _, id := range changed {
		x.g.Delete(uint64(id))
	}
	if err := x.add(changed); err != nil {
		return nil, err
	}
	began = time.Now()
	if err := errors.Join(k.change(x.g.EncodeChanges()), k.sync()); err != nil {
		return nil, err
	}
	rs.ChangeS, rs.ChangeBytes = time.Since(began).Seconds(), k.size-rs.Bytes

	o.Progress("restart", 2, 3)
	began = time.Now()
	g, err := k.read(x.d, o.Threads)
	if err != nil {
		return nil, err
	}
	rs.ReadS = time.Since(began).Seconds()
	again := &subject{d: x.d, precision: x.precision, clock: x.clock, g: g}
	began = time.Now()
	if _, err := again.search(x.d.Queries.Row(0), K, ann.SearchOptions{}); err != nil {
		return nil, err
	}
	rs.FirstMS = float64(time.Since(began).Microseconds()) / 1000
	if rs.SameAnswers, err = sameAnswers(x, again); err != nil {
		return nil, err
	}
	p, _, err := again.pass(ctx, t, ann.SearchOptions{})
	rs.Recall = p.Recall
	return rs, err
}

// keeper keeps a base and the changes after it in a file, each block after its length.
type keeper struct {
	file  *os.File
	w     *bufio.Writer
	size  int64
	parts []int // blocks of the base and of each of the changes
}

// put is of the base.
func (k *keeper) put(blocks [][]byte) error {
	if len(k.parts) == 0 {
		k.parts = []int{0}
	}
	k.parts[0] += len(blocks)
	return k.write(blocks)
}

func (k *keeper) change(blocks [][]byte) error {
	k.parts = append(k.parts, len(blocks))
	return k.write(blocks)
}

func (k *keeper) write(blocks [][]byte) error {
	for _, b := range blocks {
		_, err := k.w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(b))))
		_, err2 := k.w.Write(b)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		k.size += 4 + int64(len(b))
	}
	return nil
}

func (k *keeper) sync() error { return errors.Join(k.w.Flush(), k.file.Sync()) }

// read makes a graph of the file and of the vectors, in so many goroutines.
func (k *keeper) read(d *Data, workers int) (*ann.Graph, error) {
	if _, err := k.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(k.file, 1<<20)
	var parts [][][]byte
	for _, n := range k.parts {
		part := make([][]byte, n)
		for i := range part {
			var length [4]byte
			if _, err := io.ReadFull(r, length[:]); err != nil {
				return nil, err
			}
			part[i] = make([]byte, binary.LittleEndian.Uint32(length[:]))
			if _, err := io.ReadFull(r, part[i]); err != nil {
				return nil, err
			}
		}
		parts = append(parts, part)
	}
	slices.Reverse(parts)
	dec, err := ann.NewDecoder(parts[0][0], k.size)
	if err != nil {
		return nil, err
	}
	for i, part := range parts {
		if i < len(parts)-1 {
			part = part[1:] // a head
		}
		if err := inParts(len(part), workers, func(from, to int) error {
			for _, b := range part[from:to] {
				if err := dec.Rows(b); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	vector := func(id uint64) ([]float32, error) {
		if id >= uint64(d.Vectors.Len()) {
			return nil, fmt.Errorf("id %d was never added", id)
		}
		return d.Vectors.Row(int(id)), nil
	}
	if dec.Precision() == ann.Int8 { // codes are stored with the graph
		return dec.Graph()
	}
	if err := inParts(int(dec.Slots()), workers, func(from, to int) error {
		return dec.SetVectors(uint32(from), uint32(to), vector)
	}); err != nil {
		return nil, err
	}
	return dec.Graph()
}

// inParts does n things in some goroutines, each a part of them one after another.
func inParts(n, workers int, do func(from, to int) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = do(n*w/workers, n*(w+1)/workers) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func sameAnswers(a, b *subject) (bool, error) {
	for i := range a.d.Queries.Len() {
		one, err := a.search(a.d.Queries.Row(i), K, ann.SearchOptions{})
		if err != nil {
			return false, err
		}
		two, err := b.search(a.d.Queries.Row(i), K, ann.SearchOptions{})
		if err != nil {
			return false, err
		}
		if len(one) != len(two) {
			return false, nil
		}
		for j := range one {
			if one[j] != two[j] {
				return false, nil
			}
		}
	}
	return true, nil
}
