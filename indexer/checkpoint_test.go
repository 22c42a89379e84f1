package indexer

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"robin"
	"robin/ann"
	"robin/store"
)

var update = flag.Bool("update", false, "write golden files anew")

// keptGraph is a file of checkpoints without a collection around it.
type keptGraph struct {
	*checkpoints
	g    *ann.Graph
	want wanted
	vecs map[uint64][]float32
}

func newKeptGraph(t testing.TB, dir string) *keptGraph {
	t.Helper()
	cp, bad, err := openCheckpoints(dir)
	if err != nil || bad != nil {
		t.Fatal(err, bad)
	}
	t.Cleanup(func() { cp.close() })
	cp.db.NoSync = true
	g, err := ann.NewGraph(ann.Options{Dim: 8, M: 4, EfConstruction: 20})
	if err != nil {
		t.Fatal(err)
	}
	return &keptGraph{cp, g, wanted{store.UUID{1, 2, 3}, "model", 1 << 40, 8, ann.Float32}, map[uint64][]float32{}}
}

func (k *keptGraph) add(t testing.TB, from, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(from), 1))
	for i := from; i < from+n; i++ {
		v := make([]float32, 8)
		for j := range v {
			v[j] = float32(r.NormFloat64())
		}
		k.vecs[uint64(i)] = v
		if err := k.g.Add(uint64(i), v); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *keptGraph) save(applied uint64) error {
	if err := k.prepare(k.g); err != nil {
		return err
	}
	return k.addChanges(k.g.EncodeChanges(), manifest{uuid: k.want.uuid, fingerprint: k.want.fingerprint, applied: applied})
}

func (k *keptGraph) load(gen uint64, part uint32) (*ann.Graph, uint64, error) {
	return k.read(gen, part, k.want, false, func(d *ann.Decoder, _ uint64) error {
		return d.SetVectors(0, d.Slots(), func(id uint64) ([]float32, error) {
			if v, ok := k.vecs[id]; ok {
				return v, nil
			}
			return nil, ann.ErrNoVector
		})
	})
}

// history makes a generation of a base and two parts of changes.
func (k *keptGraph) history(t testing.TB) {
	t.Helper()
	for part := range 3 {
		k.add(t, 1+20*part, 20)
		if err := k.save(uint64(20 * (part + 1))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEachPartOfAGenerationIsAState(t *testing.T) {
	k := newKeptGraph(t, t.TempDir())
	k.history(t)
	gens, err := k.generations()
	if err != nil || len(gens) != 1 || gens[0].parts != 3 {
		t.Fatalf("%+v, %v", gens, err)
	}
	for part := uint32(1); part <= 3; part++ {
		g, applied, err := k.load(gens[0].number, part)
		if err != nil {
			t.Fatal(err)
		}
		if g.Len() != int(20*part) || applied != uint64(20*part) {
			t.Errorf("part %d: %d vectors, applied %d", part, g.Len(), applied)
		}
		if err := g.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestEveryDamagedByteIsSeen damages each byte of each value in turn: the state that needs it is refused with the name of
// the part, and the state before that part is as it was.
func TestEveryDamagedByteIsSeen(t *testing.T) {
	k := newKeptGraph(t, t.TempDir())
	k.history(t)
	rnd := seeded(t)
	values := map[string][]byte{}
	bucket := func(f func(b *bolt.Bucket) error) {
		t.Helper()
		if err := k.db.Update(func(tx *bolt.Tx) error { return f(tx.Bucket(generationKey(1))) }); err != nil {
			t.Fatal(err)
		}
	}
	bucket(func(b *bolt.Bucket) error {
		return b.ForEach(func(key, v []byte) error { values[string(key)] = bytes.Clone(v); return nil })
	})
	seen := 0
	for key, value := range values {
		part := uint32(key[3])
		for i := range value {
			damaged := bytes.Clone(value)
			damaged[i] ^= 1 << rnd.IntN(8)
			bucket(func(b *bolt.Bucket) error { return b.Put([]byte(key), damaged) })
			_, _, err := k.load(1, 3)
			var d *damagedPart
			if !errors.As(err, &d) || d.part != part || !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrFormat) {
				t.Fatalf("byte %d of %x: got %v", i, key, err)
			}
			if part > 1 && i%16 == 0 {
				if g, _, err := k.load(1, part-1); err != nil || g.Len() != int(20*(part-1)) {
					t.Fatalf("byte %d of %x: the state before: %v", i, key, err)
				}
			}
			seen++
		}
		bucket(func(b *bolt.Bucket) error { return b.Put([]byte(key), value) })
	}
	if seen < 4000 {
		t.Errorf("only %d bytes", seen)
	}
	if p := k.verify(); len(p) != 0 {
		t.Error(p)
	}
}

// TestABlockInAnothersPlaceIsSeen exchanges values of equal kind.
func TestABlockInAnothersPlaceIsSeen(t *testing.T) {
	k := newKeptGraph(t, t.TempDir())
	k.history(t)
	for _, keys := range [][2][]byte{{blockKey(2, 1), blockKey(3, 1)}, {manifestKey(2), manifestKey(3)}, {blockKey(0, 0), blockKey(1, 1)}} {
		err := k.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(generationKey(1))
			x, y := bytes.Clone(b.Get(keys[0])), bytes.Clone(b.Get(keys[1]))
			return errors.Join(b.Put(keys[0], y), b.Put(keys[1], x))
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.load(1, 3); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%x and %x: got %v", keys[0], keys[1], err)
		}
	}
}

// TestWritingIsBoundedAndSoIsTheFile makes many small changes: what is written stays near to what changed, and the file
// does not grow for ever.
func TestWritingIsBoundedAndSoIsTheFile(t *testing.T) {
	dir := t.TempDir()
	k := newKeptGraph(t, dir)
	k.add(t, 1, 3000)
	if err := k.save(1); err != nil {
		t.Fatal(err)
	}
	base := k.tail.size.base
	gens := map[uint64]bool{}
	for i := range 3 * maxParts {
		k.add(t, 1+i%3000, 2)
		k.g.Delete(uint64(1 + i*7%3000))
		if err := k.save(uint64(2 + i)); err != nil {
			t.Fatal(err)
		}
		gens[k.tail.gen] = true
		if k.tail.parts > maxParts || k.tail.size.changes > max(base/2, checkpointTx) {
			t.Fatalf("%d parts with %d bytes follow a base of %d", k.tail.parts, k.tail.size.changes, base)
		}
	}
	if len(gens) != 3 && len(gens) != 4 {
		t.Errorf("%d generations in %d checkpoints", len(gens), 3*maxParts)
	}
	if left, err := k.generations(); err != nil || len(left) != keptGenerations {
		t.Errorf("%d generations are left, %v", len(left), err)
	}
	info, err := os.Stat(filepath.Join(dir, graphFile))
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(16<<20 + 8*base); info.Size() > most {
		t.Errorf("the file has %d bytes, want at most %d", info.Size(), most)
	}
}

// TestAfterAFailedWriteTheNextIsWhole fills the file up to what it may have, at the base and at the changes.
func TestAfterAFailedWriteTheNextIsWhole(t *testing.T) {
	k := newKeptGraph(t, t.TempDir())
	k.db.AllocSize = 64 << 10
	k.add(t, 1, 100)
	full := func(f func() error) {
		t.Helper()
		info, err := os.Stat(k.path)
		if err != nil {
			t.Fatal(err)
		}
		k.db.MaxSize = int(info.Size())
		err = f()
		k.db.MaxSize = 0
		if err == nil {
			t.Error("a full file takes more")
		}
	}
	k.add(t, 101, 1500)
	full(func() error { return k.save(1) })
	if err := k.save(2); err != nil {
		t.Fatal(err)
	}
	k.add(t, 6000, 2000)
	if err := k.prepare(k.g); err != nil {
		t.Fatal(err)
	}
	k.add(t, 26_000, 1500)
	changes := k.g.EncodeChanges()
	full(func() error {
		return k.addChanges(changes, manifest{uuid: k.want.uuid, fingerprint: k.want.fingerprint, applied: 3})
	})
	k.add(t, 40_000, 10)
	if err := k.save(4); err != nil {
		t.Fatal(err)
	}
	gens, err := k.generations()
	if err != nil {
		t.Fatal(err)
	}
	g, applied, err := k.load(gens[0].number, gens[0].parts)
	if err != nil || applied != 4 || g.Len() != k.g.Len() || g.Changed() != 0 {
		t.Errorf("%+v: applied %d, %v", gens, applied, err)
	}
}

const goldenCheckpoint = "testdata/graph-v2.golden"

// TestGoldenCheckpointOfVersion2 reads what a program of this version stored: lines of key and value in hexadecimal digits,
// of generation 1.
func TestGoldenCheckpointOfVersion2(t *testing.T) {
	if *update {
		k := newKeptGraph(t, t.TempDir())
		k.history(t)
		var out bytes.Buffer
		err := k.db.View(func(tx *bolt.Tx) error {
			return tx.Bucket(generationKey(1)).ForEach(func(key, v []byte) error {
				_, err := fmt.Fprintf(&out, "%x %x\n", key, v)
				return err
			})
		})
		if err = errors.Join(err, os.MkdirAll("testdata", 0o700), os.WriteFile(goldenCheckpoint, out.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(goldenCheckpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	k := newKeptGraph(t, t.TempDir())
	for part := range 3 { // for the vectors
		k.add(t, 1+20*part, 20)
	}
	err = k.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(generationKey(1))
		lines := bufio.NewScanner(file)
		for lines.Buffer(nil, 1<<20); err == nil && lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), " ")
			rawKey, err1 := hex.DecodeString(key)
			rawValue, err2 := hex.DecodeString(value)
			err = errors.Join(err1, err2, b.Put(rawKey, rawValue))
		}
		return errors.Join(err, lines.Err())
	})
	if err != nil {
		t.Fatal(err)
	}
	gens, err := k.generations()
	if err != nil || len(gens) != 1 || gens[0].parts != 3 {
		t.Fatalf("%+v, %v", gens, err)
	}
	g, applied, err := k.load(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if g.Len() != 60 || applied != 60 || g.Changed() != 0 {
		t.Errorf("%d vectors, of which %d rows are not those of the file; applied %d", g.Len(), g.Changed(), applied)
	}
	if err := g.Check(); err != nil {
		t.Error(err)
	}
}

// checkpointed is a closed collection whose graph.db has two generations, the newest of three parts. Its document p0 has
// changed from each part to the next.
func checkpointed(t testing.TB, o Options, precision robin.Precision) (dir string, want map[string]string) {
	t.Helper()
	e := mustOpen(t, o)
	settings := testSettings()
	settings.Precision = precision
	mustPut(t, e, "c", settings)
	c, _ := e.collection("c")
	want = products(8)
	for i := range 4 {
		mustWrite(t, e, "c", product(2*i), product(2*i+1))
		want["p0"] = fmt.Sprintf(`{"id":"p0","title":"a word of round%d"}`, i)
		mustWrite(t, e, "c", want["p0"])
		if i == 1 {
			c.checkpoints.of = nil // so that there is a second base
		}
		if err := c.checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	return filepath.Join(o.Dir, collectionsDir, "c"), want
}

// TestDamagedCheckpointsCostAReplayAndNoRebuild damages the newest changes, those in the middle, the newest base, and both
// bases.
func TestDamagedCheckpointsCostAReplayAndNoRebuild(t *testing.T) {
	damage := func(precision robin.Precision, what, says string, rebuilt int, keys map[uint64][]byte) {
		t.Helper()
		o, r := testOptions(t.TempDir()), &rebuilds{}
		o.Metrics = r
		var log bytes.Buffer
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		dir, want := checkpointed(t, o, precision)
		cp, _, err := openCheckpoints(dir)
		if err != nil {
			t.Fatal(err)
		}
		gens, err := cp.generations()
		if err != nil || len(gens) != keptGenerations || gens[0].parts != 3 || gens[1].parts != 1 {
			t.Fatalf("%+v, %v", gens, err)
		}
		for gen, key := range keys {
			err := cp.db.Update(func(tx *bolt.Tx) error {
				b := tx.Bucket(generationKey(gen))
				block := bytes.Clone(b.Get(key))
				block[len(block)-1]++
				return b.Put(key, block)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if p := cp.verify(); len(p) != len(keys) || !strings.Contains(p[0], says) {
			t.Errorf("%s: verify says %q", what, p)
		}
		cp.close()
		r.take()
		e := mustOpen(t, o)
		mustHold(t, e, want)
		if got := r.take(); len(got) != rebuilt {
			t.Errorf("%s: rebuilt %q", what, got)
		}
		if !strings.Contains(log.String(), says) {
			t.Errorf("%s: the log says %s", what, &log)
		}
		log.Reset()
		mustWrite(t, e, "c", product(8), product(9))
		e.Close()
		e = mustOpen(t, o) // from a checkpoint that is good
		want["p8"], want["p9"] = product(8), product(9)
		mustHold(t, e, want)
		if got := r.take(); len(got) != 0 || log.Len() > 0 {
			t.Errorf("%s: at the next start rebuilt %q, and the log says %s", what, got, &log)
		}
		e.Close()
	}
	for _, p := range []robin.Precision{robin.Float32, robin.Int8} {
		damage(p, "newest changes", "part 3", 0, map[uint64][]byte{2: blockKey(3, 1)})
		damage(p, "changes in the middle", "part 2", 0, map[uint64][]byte{2: blockKey(2, 0)})
		damage(p, "a manifest", "part 2", 0, map[uint64][]byte{2: manifestKey(2)})
		damage(p, "newest base", "base", 0, map[uint64][]byte{2: blockKey(0, 0)})
		damage(p, "both bases", "base", 1, map[uint64][]byte{1: blockKey(0, 0), 2: blockKey(0, 0)})
	}
}

// TestAGraphOfCodesFollowsTheLog ends the program without order after changes that no checkpoint has.
func TestAGraphOfCodesFollowsTheLog(t *testing.T) {
	o, r := testOptions(t.TempDir()), &rebuilds{}
	o.Metrics = r
	_, want := checkpointed(t, o, robin.Int8)
	e := mustOpen(t, o)
	want["p2"], want["new"] = `{"id":"p2","title":"another text"}`, `{"id":"new","title":"a new one"}`
	want["p5"] = `{"id":"p5"}` // without a text, so without a vector
	mustWrite(t, e, "c", want["p2"], want["new"], want["p5"])
	e.Delete(ctx, "c", []string{"p4"})
	delete(want, "p4")
	crashed := testOptions(t.TempDir())
	crashed.Metrics = r
	copyLive(t, e, o.Dir, crashed.Dir)
	r.take()
	again := mustOpen(t, crashed)
	mustHold(t, again, want)
	if got := r.take(); slices.Contains(got, "vectors") { // the text index may have been copied in the middle of a write
		t.Errorf("rebuilt %q", got)
	}
}

// TestCheckpointsOfVersion1AreSaidToBeAndRebuilt puts one in the place of what is there.
func TestCheckpointsOfVersion1AreSaidToBeAndRebuilt(t *testing.T) {
	o, r := testOptions(t.TempDir()), &rebuilds{}
	o.Metrics = r
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	dir := closedCollection(t, o, 20)
	os.Remove(filepath.Join(dir, graphFile))
	cp, _, err := openCheckpoints(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = cp.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(generationKey(7))
		return errors.Join(err, b.Put(keyManifest, []byte("sealed")), b.Put(partKey(0), []byte("sealed")))
	})
	if err != nil {
		t.Fatal(err)
	}
	cp.close()
	e := mustOpen(t, o)
	mustHold(t, e, products(20))
	if got := r.take(); len(got) != 1 || !strings.Contains(log.String(), "older version") {
		t.Errorf("rebuilt %q, logged %s", got, &log)
	}
	e.Close()
	e = mustOpen(t, o)
	mustHold(t, e, products(20))
	if got := r.take(); len(got) != 0 {
		t.Errorf("rebuilt again: %q", got)
	}
}
