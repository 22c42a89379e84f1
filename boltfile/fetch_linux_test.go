package boltfile

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// TestFetchBringsTheLeavesOfABucketIntoMemory takes a file out of memory first.
func TestFetchBringsTheLeavesOfABucketIntoMemory(t *testing.T) {
	if os.Getpagesize() != pageSize {
		t.Skipf("the system's pages have %d bytes, the file's %d", os.Getpagesize(), pageSize)
	}
	path := filepath.Join(t.TempDir(), "some.db")
	db, err := Open(path, bolt.Options{PageSize: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	wanted := 0
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"others", "vecs"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range 3000 {
				if err := b.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), make([]byte, 1000)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var leaves Leaves
	err = db.View(func(tx *bolt.Tx) error {
		wanted = tx.Bucket([]byte("vecs")).Stats().LeafPageN
		state, err := StateOf(path, tx)
		if err != nil {
			return err
		}
		defer state.Close()
		leaves, err = state.CheckInner("vecs")
		return err
	})
	if err != nil || len(leaves.pages) != wanted || wanted < 500 {
		t.Fatalf("%d leaves are listed, want %d: %v", len(leaves.pages), wanted, err)
	}
	db.Close() // its mapping would keep them
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	held := func() (n int) { // to try to read a page would fetch it
		in := make([]byte, (len(mapped)+pageSize-1)/pageSize)
		_, _, no := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&in[0])))
		if no != 0 {
			t.Skip(no)
		}
		for _, p := range leaves.pages {
			n += int(in[p] & 1)
		}
		return n
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil || held() > 0 {
		t.Skipf("%d pages stay in memory here: %v", held(), err)
	}
	leaves.Fetch(t.Context())
	for start := time.Now(); held() < wanted; time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%d of %d leaves are in memory", held(), wanted)
		}
	}
}
