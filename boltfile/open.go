// Package boltfile opens bbolt files that may be damaged, and checks their pages. bbolt itself believes what it reads: a header
// that lies, a page that leads back to itself or a file that is cut while it is open would end the process, or take all of its
// memory.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// The layout of a bbolt meta page, from go.etcd.io/bbolt/internal/common: a page header of 16 bytes, then
// magic u32, version u32, page size u32, flags u32, root page u64, root sequence u64, freelist page u64,
// high-water page u64, transaction u64, FNV-1a of the 56 bytes before it u64; all in the machine's byte order, which is
// little endian wherever Robin runs.
const (
	magic      = 0xED0CDAED
	version    = 2
	pageHeader = 16
	metaSum    = 56
	noFreelist = ^uint64(0)
)

type meta struct {
	pageSize, root, freelist, highWater, txid uint64
}

func parseMeta(page []byte) (m meta, err error) {
	b := page[pageHeader:]
	h := fnv.New64a()
	h.Write(b[:metaSum])
	switch {
	case binary.LittleEndian.Uint32(b) != magic:
		return m, errors.New("it does not begin as a bbolt file does")
	case binary.LittleEndian.Uint32(b[4:]) != version:
		return m, fmt.Errorf("bbolt version %d, want %d", binary.LittleEndian.Uint32(b[4:]), version)
	case binary.LittleEndian.Uint64(b[metaSum:]) != h.Sum64():
		return m, errors.New("the header does not match its checksum")
	}
	m = meta{
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

// readMetas reads both headers of a bbolt file, newest first. Both must hold: bbolt would go on with the older one,
// and so forget the last commit without a word. A crash cannot tear a header, which is 80 bytes of one sector.
func readMetas(f io.ReaderAt) (newest, other meta, err error) {
	head := make([]byte, pageHeader+metaSum+8)
	if _, err := f.ReadAt(head, 0); err != nil {
		return newest, other, fmt.Errorf("%w: first header: %v", ErrDamaged, err)
	}
	m0, err := parseMeta(head)
	if err != nil {
		return newest, other, fmt.Errorf("%w: first header: %v", ErrDamaged, err)
	}
	if _, err := f.ReadAt(head, int64(m0.pageSize)); err != nil {
		return newest, other, fmt.Errorf("%w: second header: %v", ErrDamaged, err)
	}
	m1, err := parseMeta(head)
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

var (
	// ErrDamaged means that bytes do not match their checksum, or that the file's structure does not hold.
	ErrDamaged = errors.New("damaged")
	// ErrFault marks an error that was a panic: what the transaction did before it is not known.
	ErrFault = errors.New("a page cannot be read")
)

// Protect runs f, which uses an open file, so that damage in the mapping becomes an error instead of the end of the process: a
// fault (the file was cut while open) and the panics of bbolt on pages that make no sense.
func Protect(what string, f func() error) error {
	return Recover(f, func(p any) error { return fmt.Errorf("%s: %w: %w: %v", what, ErrDamaged, ErrFault, p) })
}

// Recover runs f and makes an error of its panic, and of a fault on a mapped file. It covers f's own goroutine only.
func Recover(f func() error, toError func(panicked any) error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if p := recover(); p != nil {
			err = toError(p)
		}
	}()
	return f()
}

// Open opens a bbolt file that may be damaged: what bbolt meets in it is an error and not the end of the process, and
// leaves neither the file open nor its lock taken. A file that exists should have passed Guard.
func Open(path string, opt bolt.Options) (db *bolt.DB, err error) {
	var file *os.File
	opt.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		file = f
		return f, err
	}
	err = Protect("open "+filepath.Base(path), func() (err error) {
		db, err = bolt.Open(path, 0o600, &opt)
		return err
	})
	if errors.Is(err, ErrFault) && file != nil {
		// bbolt panicked and left all as it was. Its mapping cannot be reached any more, and would keep the lock.
		syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
		file.Close()
	}
	return db, err
}

// Guard says whether the bbolt file at path can be opened without danger to the process: both headers hold their
// checksums, and the file is as long as they say. It only reads.
func Guard(path string) error {
	f, _, err := openGuarded(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// openGuarded opens a file that passes Guard, and returns its newest header too.
func openGuarded(path string) (*os.File, meta, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, meta{}, err
	}
	m, err := guard(f)
	if err != nil {
		f.Close()
		return nil, meta{}, err
	}
	return f, m, nil
}

func guard(f *os.File) (meta, error) {
	info, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	if !info.Mode().IsRegular() {
		return meta{}, fmt.Errorf("%s: %w: not a regular file", f.Name(), ErrDamaged)
	}
	m, _, err := readMetas(f)
	if err != nil {
		return meta{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if m.highWater > uint64(info.Size())/m.pageSize {
		return meta{}, fmt.Errorf("%s: %w: the file has %d bytes, its header speaks of %d", f.Name(), ErrDamaged, info.Size(), m.highWater*m.pageSize)
	}
	return m, nil
}
