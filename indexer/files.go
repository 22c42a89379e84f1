package indexer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"robin/boltfile"
	"robin/store"
)

// guarded turns a panic, and a fault on a mapped file, into an error. It covers f's own goroutine only.
func guarded(what string, f func() error) error {
	return boltfile.Recover(f, func(p any) error { return fmt.Errorf("%s: %w: %v", what, store.ErrDamaged, p) })
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems sync names by themselves
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

const unfinishedPrefix = ".new-" // of a file that writeWhole has not renamed yet

// writeWhole makes a file that is there whole or as it was before: written aside, synced, and renamed.
func writeWhole(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinishedPrefix+"*")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// diskBytes adds up what a folder takes on the disk.
func diskBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it may have gone meanwhile
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			} else {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// diskSpace is what the file system of dir has left for us, and has in total.
func diskSpace(dir string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

const rootBolt = "root.bolt"

// checkTextFiles looks at a closed text index from outside. bleve computes checksums and never compares them, and like
// any bbolt file its root.bolt can end the process when it is cut short.
func checkTextFiles(dir string) error {
	path := filepath.Join(dir, rootBolt)
	if err := boltfile.Check(path); err != nil {
		return err
	}
	segments, err := textSegments(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for name := range segments {
		if err := checkSegment(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// textSegments lists the segment files that a root.bolt names, in any of its snapshots. The layout is scorch's:
// bucket "s" → a bucket per epoch → a bucket per segment, whose key "p" holds the file's name.
func textSegments(path string) (map[string]bool, error) {
	names := map[string]bool{}
	err := guarded("read "+rootBolt, func() error {
		db, err := boltfile.Open(path, bolt.Options{ReadOnly: true, Timeout: 500 * time.Millisecond})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bolt.Tx) error {
			snapshots := tx.Bucket([]byte("s"))
			if snapshots == nil {
				return errors.New("it holds no snapshots")
			}
			return snapshots.ForEachBucket(func(epoch []byte) error {
				snapshot := snapshots.Bucket(epoch)
				return snapshot.ForEachBucket(func(k []byte) error {
					if p := snapshot.Bucket(k).Get([]byte("p")); p != nil {
						name := string(p)
						if filepath.Base(name) != name || !strings.HasSuffix(name, ".zap") {
							return fmt.Errorf("%w: segment name %q", store.ErrDamaged, name)
						}
						names[name] = true
					}
					return nil
				})
			})
		})
	})
	return names, err
}

// checkSegment compares the CRC-32 at a zap file's end with its content.
func checkSegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < 4 {
		return fmt.Errorf("%s: %w: %d bytes", path, store.ErrDamaged, info.Size())
	}
	h := crc32.NewIEEE()
	if _, err := io.CopyN(h, f, info.Size()-4); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var want [4]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if binary.BigEndian.Uint32(want[:]) != h.Sum32() {
		return fmt.Errorf("%s: %w: it does not match its checksum", path, store.ErrDamaged)
	}
	return nil
}
