package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"

	"robin/boltfile"
)

// filled makes a store with documents and vectors, closes it and returns its bytes.
func filled(t *testing.T, n int) (path string, content []byte) {
	s := newStore(t)
	for i := 0; i < n; i += 50 {
		err := s.Update(func(tx *Tx) error {
			model, err := tx.Model("m")
			if err != nil {
				return err
			}
			for j := i; j < min(i+50, n); j++ {
				v := make([]float32, 64)
				v[j%64] = 1
				raw := bytes.Repeat([]byte{byte('a' + j%26)}, 100+j%400)
				op, err := tx.Put(Doc{ID: fmt.Sprintf("doc%05d", j), Flags: HasVector, Model: model, Raw: raw}, v)
				if err != nil {
					return err
				}
				if _, err := tx.SetMark(markOf(op.Number)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return s.path, content
}

// markOf is the mark that filled gives to a document.
func markOf(number uint64) Mark {
	return Mark{Number: number, Kind: MarkFlag, Twin: number%400 + 1, TwinID: fmt.Sprintf("twin%05d", number), Cosine: 0.5}
}

func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("ROBIN_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestFlippedBitIsNeverServed flips a bit in turn and reads everything: each answer must be right or an error. Every second
// bit is on a branch, of which there are few: there damage hides what others hold.
func TestFlippedBitIsNeverServed(t *testing.T) {
	path, content := filled(t, 400)
	rnd := seeded(t)
	found := 0
	const flips, pageBits = 400, 4096 * 8
	var live, branches []int
	for page, use := range pageUses(t, path) {
		if use != "free" {
			live = append(live, page)
		}
		if use == "branch" {
			branches = append(branches, page)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	put := func(at int, b byte) {
		if _, err := f.WriteAt([]byte{b}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	last := 0
	for i := range flips {
		put(last, content[last])
		at := live[rnd.IntN(len(live))]*pageBits + rnd.IntN(pageBits)
		if i%2 == 0 {
			page := branches[rnd.IntN(len(branches))]
			used := pageHeader + (elementSize+8)*int(content[page*4096+10]) // keys have 8 bytes
			at = page*pageBits + rnd.IntN(used*8)
		}
		last = at / 8
		put(last, content[last]^1<<(at%8))
		s, err := Open(path, Options{})
		if err != nil {
			found++
			continue
		}
		if len(s.Verify()) > 0 {
			found++
		}
		ids := 0 // that are listed: who opens a store counts them
		s.View(func(r *Reader) error {
			for _, err := range r.Numbers() {
				if err == nil {
					ids++
				}
			}
			return nil
		})
		for j := range 400 {
			doc, err := get(t, s, fmt.Sprintf("doc%05d", j))
			if err == nil && !bytes.Equal(doc.Raw, bytes.Repeat([]byte{byte('a' + j%26)}, 100+j%400)) {
				t.Fatalf("bit %d: document %d was served wrong", at, j)
			}
			if errors.Is(err, ErrNotFound) && ids == 400 {
				t.Fatalf("bit %d of page %d: document %d is said not to be there", at%pageBits, at/pageBits, j)
			}
			s.View(func(r *Reader) error {
				if m, err := r.Mark(uint64(j + 1)); err == nil && m != markOf(uint64(j+1)) {
					t.Fatalf("bit %d: the mark of document %d was served wrong: %+v, %v", at, j, m, err)
				}
				return nil
			})
		}
		if err := boltfile.Protect("close", s.Close); err != nil {
			t.Log(err)
		}
	}
	// The rest of the flips are in the gaps of pages, which nothing reads.
	t.Logf("%d of %d flips were found", found, flips)
	if found < flips/2 {
		t.Errorf("only %d of %d flips were found", found, flips)
	}
	os.WriteFile(path, content, 0o600)
}

// TestBranchThatLeadsBackIsRefused has a branch lead to itself: to look something up there would end the process.
func TestBranchThatLeadsBackIsRefused(t *testing.T) {
	path, content := filled(t, 400)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	branches := 0
	for page, use := range pageUses(t, path) {
		b := content[page*4096:]
		if use != "branch" {
			continue
		}
		branches++
		for i := range int(b[10]) {
			at := page*4096 + pageHeader + i*elementSize + 8
			if _, err := f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(page)), int64(at)); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) {
				t.Fatalf("child %d of page %d: %v", i, page, err)
			}
			if _, err := f.WriteAt(content[at:at+8], int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if branches < 3 {
		t.Errorf("%d branches, want those of documents, ids and vectors", branches)
	}
}

func TestTruncatedFileIsRefusedWithItsName(t *testing.T) {
	path, content := filled(t, 300)
	rnd := seeded(t)
	inUse := 4096 * len(pageUses(t, path))
	for i := range 60 {
		n := rnd.IntN(inUse)
		if i == 0 {
			n = 0
		}
		if err := os.WriteFile(path, content[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) || !bytes.Contains([]byte(err.Error()), []byte(path)) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	os.WriteFile(path, content, 0o600)
}

func TestStoreThatIsCutWhileOpenGivesAnErrorAndNotASignal(t *testing.T) {
	path, content := filled(t, 300)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, s, "doc00007"); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	os.WriteFile(path, content, 0o600) // grows again, so that Close can unmap what is there
	boltfile.Protect("close", s.Close)
}

// TestSwappedPagesAreFound puts one page in another's place: each is whole in itself.
func TestSwappedPagesAreFound(t *testing.T) {
	path, content := filled(t, 400)
	rnd := seeded(t)
	uses := pageUses(t, path)
	for range 40 {
		damaged := bytes.Clone(content)
		a, b := 2+rnd.IntN(len(uses)-2), 2+rnd.IntN(len(uses)-2)
		pa, pb := damaged[a*4096:(a+1)*4096], damaged[b*4096:(b+1)*4096]
		if bytes.Equal(pa, pb) {
			continue
		}
		copy(pa, content[b*4096:(b+1)*4096])
		copy(pb, content[a*4096:(a+1)*4096])
		os.WriteFile(path, damaged, 0o600)
		s, err := Open(path, Options{})
		if errors.Is(err, ErrLocked) {
			t.Fatal("the file stays locked after damage was found")
		}
		if err != nil {
			continue
		}
		problems := s.Verify()
		if err := s.Close(); err != nil {
			t.Errorf("close after %q: %v", problems, err)
		}
		if len(problems) == 0 && (uses[a] != "free" || uses[b] != "free") {
			t.Errorf("pages %d and %d were swapped unseen", a, b)
		}
	}
	os.WriteFile(path, content, 0o600)
}

// What pages of bbolt begin with.
const pageHeader, elementSize = 16, 16

// pageUses says what each page of an undamaged file is, as bbolt names it. A page that belongs to the one before is what that is.
func pageUses(t *testing.T, path string) (uses []string) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		for {
			p, err := tx.Page(len(uses))
			if p == nil || err != nil {
				return err
			}
			if uses = append(uses, p.Type); p.Type != "free" {
				uses = append(uses, slices.Repeat([]string{p.Type}, p.OverflowCount)...)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return uses
}

// TestVerifyFindsNothingWhileWritesGoOn has commits come as fast as they can: two of them write over the header that a check goes by.
func TestVerifyFindsNothingWhileWritesGoOn(t *testing.T) {
	s := newStore(t)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			err := s.Update(func(tx *Tx) error {
				_, err := tx.Put(Doc{ID: fmt.Sprint(i % 100), Raw: make([]byte, 100+i%3000)}, nil)
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 50 {
		if problems := append(s.CheckPages(), s.Verify()...); len(problems) > 0 {
			t.Error(problems)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}
