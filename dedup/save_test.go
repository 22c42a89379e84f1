package dedup_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"robin"
	"robin/dedup"
)

// agreeing scores pairs by how many words they share, so that a test can know the answer.
type agreeing struct{}

func (*agreeing) Score(_ context.Context, query string, passages []string) ([]float32, error) {
	out := make([]float32, len(passages))
	for i, p := range passages {
		for _, w := range strings.Fields(p) {
			if strings.Contains(query, w) {
				out[i] += 1 / float32(len(strings.Fields(p)))
			}
		}
	}
	return out, nil
}

func saved(t testing.TB, f *dedup.Found) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sized gives every third text a size, so that facts speak against some pairs.
func sized(items []dedup.Item) []dedup.Item {
	for i := range items {
		if items[i].Text != "" && i%3 == 0 {
			items[i].Text += []string{" 500 ml", " 590 ml"}[i%2]
		}
	}
	return items
}

func TestALoadedFoundCutsAsTheOneThatWasSaved(t *testing.T) {
	src := newFlatSource(t, sized(randomItems(rand.New(rand.NewPCG(11, 0)))))
	f := find(t, src, dedup.Options{Cross: &agreeing{}, CrossAll: true, MaxCross: 300, Task: "t1", Collection: "shop", Seq: 7,
		Models: robin.Models{Embedder: &robin.ModelVersion{Name: "m", Version: "1", Fingerprint: "f"}}})
	again, err := dedup.Load(bytes.NewReader(saved(t, f)))
	if err != nil {
		t.Fatal(err)
	}
	learnt := robin.DuplicateRule{Weights: map[string]float64{"cosine": 2, "overlap": 1, "cross": 1}, Bias: -1, Threshold: 0.6}
	for _, o := range []dedup.CutOptions{{}, {Threshold: 0.85, Keep: "newest:added"}, {Threshold: 0.95, Keep: "cheapest", Offset: 2, Limit: 3}, {Rule: &learnt}} {
		a, b := f.Cut(o), again.Cut(o)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%+v: the cuts differ:\n%.600v\n%.600v", o, a, b)
		}
		if a.Total == 0 || a.Crossed != 300 || a.Uncrossed == 0 {
			t.Errorf("%+v: %d clusters, %d pairs crossed, %d not: the test shows nothing", o, a.Total, a.Crossed, a.Uncrossed)
		}
	}
}

func TestADraggedThresholdIsAFirstCut(t *testing.T) {
	src := newFlatSource(t, sized(randomItems(rand.New(rand.NewPCG(12, 0)))))
	f := find(t, src, dedup.Options{})
	file := saved(t, f)
	for _, threshold := range []float64{0.95, 0.8, 0.9, 0.84} {
		fresh, err := dedup.Load(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		o := dedup.CutOptions{Threshold: threshold}
		if !reflect.DeepEqual(f.Cut(o), fresh.Cut(o)) {
			t.Errorf("at %g, what an earlier cut left behind changes a later one", threshold)
		}
	}
}

func TestACutShortOrChangedFileIsRefused(t *testing.T) {
	src := newFlatSource(t, randomItems(rand.New(rand.NewPCG(13, 0))))
	file := saved(t, find(t, src, dedup.Options{}))
	for _, n := range []int{0, 1, 10, len(file) / 2, len(file) - 20, len(file) - 1} {
		if _, err := dedup.Load(bytes.NewReader(file[:n])); !errors.Is(err, dedup.ErrDamaged) {
			t.Errorf("a file cut to %d of %d bytes: %v, want ErrDamaged", n, len(file), err)
		}
	}
	lines := strings.SplitAfter(string(unzipped(t, file)), "\n")
	change := func(name string, want error, lines ...string) {
		t.Helper()
		if _, err := dedup.Load(bytes.NewReader(zipped(t, strings.Join(lines, "")))); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	n := len(lines) - 1 // the last is empty
	change("a line is missing", dedup.ErrDamaged, append(append([]string{}, lines[:n/2]...), lines[n/2+1:]...)...)
	change("a line comes twice", dedup.ErrDamaged, append(append([]string{}, lines[:n/2]...), lines[n/2-1:]...)...)
	change("the end is missing", dedup.ErrDamaged, lines[:n-1]...)
	change("something follows", dedup.ErrDamaged, append(lines[:n:n], "{}\n")...)
	newer := append([]string{}, lines...)
	newer[0] = strings.Replace(newer[0], `"version":2`, `"version":3`, 1)
	change("a newer version", dedup.ErrVersion, newer...)
	other := append([]string{}, lines...)
	other[n/2] = strings.Replace(other[n/2], "e", "f", 1)
	change("a changed letter", dedup.ErrDamaged, other...)
}

func TestAReportOfAnEarlierVersionSaysToLookAgain(t *testing.T) {
	file, err := os.ReadFile("testdata/version1.found") // three pairs of three texts, as the first version saved them
	if err != nil {
		t.Fatal(err)
	}
	_, err = dedup.Load(bytes.NewReader(file))
	if !errors.Is(err, dedup.ErrVersion) || !strings.Contains(err.Error(), "look for duplicates again") || !strings.Contains(err.Error(), "version 1, want 2") {
		t.Errorf("error %v", err)
	}
}

func unzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := d.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func zipped(t testing.TB, s string) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.EncodeAll([]byte(s), nil)
}

// FuzzLoad changes the lines of a file behind a checksum that holds: what is loaded must be cut without a panic, and
// comes back as it is.
func FuzzLoad(f *testing.F) {
	r := rand.New(rand.NewPCG(14, 0))
	var items []dedup.Item
	for i, v := range noisy(r, randomVector(r, 4), 0.2, 6) {
		items = append(items, dedup.Item{ID: string(rune('a' + i)), Text: words(r, 2), Vector: v, Raw: []byte(`{"price":3}`)})
	}
	items = append(items, items[0])
	found, err := dedup.Find(context.Background(), newFlatSource(f, items), dedup.Options{})
	if err != nil {
		f.Fatal(err)
	}
	plain := string(unzipped(f, saved(f, found)))
	f.Add(plain[:strings.LastIndex(strings.TrimSpace(plain), "\n")+1])
	f.Add("{}\n")
	f.Fuzz(func(t *testing.T, lines string) {
		if _, err := dedup.Load(strings.NewReader(lines)); err == nil {
			t.Error("what is not compressed was loaded")
		}
		loaded, err := dedup.Load(bytes.NewReader(zipped(t, dedup.Sealed(lines))))
		if err != nil {
			if !errors.Is(err, dedup.ErrDamaged) && !errors.Is(err, dedup.ErrVersion) {
				t.Errorf("%v is neither ErrDamaged nor ErrVersion", err)
			}
			return
		}
		rep := loaded.Cut(dedup.CutOptions{})
		again, err := dedup.Load(bytes.NewReader(saved(t, loaded)))
		if err != nil {
			t.Fatalf("what was loaded cannot be loaded again: %v", err)
		}
		same := again.Cut(dedup.CutOptions{})
		rep.Created, same.Created = time.Time{}, time.Time{}
		if !reflect.DeepEqual(rep, same) {
			t.Errorf("loaded again it is cut otherwise:\n%v\n%v", rep, same)
		}
	})
}
