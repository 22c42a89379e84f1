package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

const pageSize = 4096

// filled makes a file with a bucket in a bucket, long values and free pages, and returns its bytes.
func filled(t *testing.T) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "some.db")
	db, err := Open(path, bolt.Options{PageSize: pageSize, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		err := db.Update(func(tx *bolt.Tx) error {
			outer, err := tx.CreateBucketIfNotExists([]byte("outer"))
			if err != nil {
				return err
			}
			inner, err := outer.CreateBucketIfNotExists([]byte("inner"))
			if err != nil {
				return err
			}
			for i := range 2000 {
				k := binary.BigEndian.AppendUint64(nil, uint64(i))
				if err := inner.Put(k, fmt.Appendf(nil, "%d of %d", i, round)); err != nil {
					return err
				}
			}
			return outer.Put([]byte("long"), make([]byte, 3*pageSize))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestASoundFilePasses(t *testing.T) {
	path, _ := filled(t)
	if err := Check(path); err != nil {
		t.Error(err)
	}
}

// TestGuardRefusesEveryChangeOfAHeader flips each bit of what both headers' checksums cover, and of the checksums.
func TestGuardRefusesEveryChangeOfAHeader(t *testing.T) {
	path, content := filled(t)
	for header := range 2 {
		for bit := range 8 * (metaSum + 8) {
			at := header*pageSize + pageHeader + bit/8
			damaged := bytes.Clone(content[:2*pageSize])
			damaged[at] ^= 1 << (bit % 8)
			write(t, path, append(damaged, content[2*pageSize:]...))
			if err := Guard(path); !errors.Is(err, ErrDamaged) {
				t.Fatalf("bit %d of header %d: %v", bit, header, err)
			}
		}
	}
	write(t, path, content[:len(content)/2])
	if err := Guard(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("half of the file: %v", err)
	}
}

// TestCheckFindsEverySwap puts each page in use in the place of another.
func TestCheckFindsEverySwap(t *testing.T) {
	path, content := filled(t)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := readMetas(f)
	if err != nil {
		t.Fatal(err)
	}
	c := newPageCheck(f, m)
	c.all()
	last, free := 0, 0
	for n := 2; n < len(c.used); n++ {
		switch {
		case c.used[n] == pageFree:
			free++
			continue
		case binary.LittleEndian.Uint64(content[n*pageSize:]) != uint64(n): // it goes on with a value
			continue
		case last > 0:
			damaged := bytes.Clone(content)
			copy(damaged[n*pageSize:(n+1)*pageSize], content[last*pageSize:])
			copy(damaged[last*pageSize:(last+1)*pageSize], content[n*pageSize:])
			write(t, path, damaged)
			if err := Check(path); !errors.Is(err, ErrDamaged) {
				t.Errorf("pages %d and %d: %v", last, n, err)
			}
		}
		last = n
	}
	if last == 0 || free == 0 {
		t.Errorf("pages up to %d in use, %d free: want some of both", last, free)
	}
}

// TestAFileThatIsCutWhileOpenGivesAnError reads a value behind the end, which is a signal and not an error without Protect.
func TestAFileThatIsCutWhileOpenGivesAnError(t *testing.T) {
	path, content := filled(t)
	db, err := Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 2*pageSize); err != nil {
		t.Fatal(err)
	}
	err = Protect("read", func() error {
		return db.View(func(tx *bolt.Tx) error { return tx.ForEach(func([]byte, *bolt.Bucket) error { return nil }) })
	})
	if !errors.Is(err, ErrDamaged) || !errors.Is(err, ErrFault) {
		t.Errorf("got %v", err)
	}
	write(t, path, content) // grows again, so that Close can unmap what is there
	Protect("close", db.Close)
}
