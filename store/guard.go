package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// The layout of a bbolt meta page, from go.etcd.io/bbolt/internal/common: a page header of 16 bytes, then
// magic u32, version u32, page size u32, flags u32, root page u64, root sequence u64, freelist page u64,
// high-water page u64, transaction u64, FNV-1a of the 56 bytes before it u64; all in the machine's byte order, which is
// little endian wherever Robin runs.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltPageHeader = 16
	boltMetaSum    = 56
	boltNoFreelist = ^uint64(0)
)

type boltMeta struct {
	pageSize, root, freelist, highWater, txid uint64
}

func parseBoltMeta(page []byte) (m boltMeta, err error) {
	b := page[boltPageHeader:]
	h := fnv.New64a()
	h.Write(b[:boltMetaSum])
	switch {
	case binary.LittleEndian.Uint32(b) != boltMagic:
		return m, errors.New("it does not begin as a bbolt file does")
	case binary.LittleEndian.Uint32(b[4:]) != boltVersion:
		return m, fmt.Errorf("bbolt version %d, want %d", binary.LittleEndian.Uint32(b[4:]), boltVersion)
	case binary.LittleEndian.Uint64(b[boltMetaSum:]) != h.Sum64():
		return m, errors.New("the header does not match its checksum")
	}
	m = boltMeta{
		pageSize:  uint64(binary.LittleEndian.Uint32(b[8:])),
		root:      binary.LittleEndian.Uint64(b[16:]),
		freelist:  binary.LittleEndian.Uint64(b[32:]),
		highWater: binary.LittleEndian.Uint64(b[40:]),
		txid:      binary.LittleEndian.Uint64(b[48:]),
	}
	if m.pageSize < 512 || m.pageSize > 1<<16 || m.pageSize&(m.pageSize-1) != 0 {
		return m, fmt.Errorf("page size %d", m.pageSize)
	}
	return m, nil
}

// readBoltMetas reads both headers of a bbolt file, newest first. Both must hold: bbolt would go on with the older one,
// and so forget the last commit without a word. A crash cannot tear a header, which is 80 bytes of one sector.
func readBoltMetas(f io.ReaderAt) (newest, other boltMeta, err error) {
	head := make([]byte, boltPageHeader+boltMetaSum+8)
	if _, err := f.ReadAt(head, 0); err != nil {
		return newest, other, fmt.Errorf("%w: first header: %v", ErrDamaged, err)
	}
	m0, err := parseBoltMeta(head)
	if err != nil {
		return newest, other, fmt.Errorf("%w: first header: %v", ErrDamaged, err)
	}
	if _, err := f.ReadAt(head, int64(m0.pageSize)); err != nil {
		return newest, other, fmt.Errorf("%w: second header: %v", ErrDamaged, err)
	}
	m1, err := parseBoltMeta(head)
	if err != nil {
		return newest, other, fmt.Errorf("%w: second header: %v", ErrDamaged, err)
	}
	if m1.pageSize != m0.pageSize {
		return newest, other, fmt.Errorf("%w: the headers have page sizes %d and %d", ErrDamaged, m0.pageSize, m1.pageSize)
	}
	if m0.txid > m1.txid {
		return m0, m1, nil
	}
	return m1, m0, nil
}

// OpenBolt opens a bbolt file that may be damaged: what bbolt meets in it is an error and not the end of the process, and
// leaves neither the file open nor its lock taken. A file that exists should have passed GuardFile.
func OpenBolt(path string, opt bolt.Options) (db *bolt.DB, err error) {
	var file *os.File
	opt.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		file = f
		return f, err
	}
	err = protect("open "+filepath.Base(path), func() (err error) {
		db, err = bolt.Open(path, 0o600, &opt)
		return err
	})
	if errors.Is(err, errFault) && file != nil {
		// bbolt panicked and left all as it was. Its mapping cannot be reached any more, and would keep the lock.
		syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
		file.Close()
	}
	return db, err
}

// GuardFile says whether the bbolt file at path can be opened without danger to the process: both headers hold their
// checksums, and the file is as long as they say. It only reads.
func GuardFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: not a regular file", path, ErrDamaged)
	}
	m, _, err := readBoltMetas(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if m.highWater > uint64(info.Size())/m.pageSize {
		return fmt.Errorf("%s: %w: the file has %d bytes, its header speaks of %d", path, ErrDamaged, info.Size(), m.highWater*m.pageSize)
	}
	return nil
}
