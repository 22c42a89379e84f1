// Package store keeps one collection's documents, vectors and log in one bbolt file. It is the source of truth:
// whatever else a collection has is derived from it and can be rebuilt.
//
// Every value carries a CRC-32C over bucket, key and payload that is checked on each read, because bbolt does not notice
// damaged pages. Open refuses a file whose header does not hold or that is shorter than its header says, because
// reading past the end of a mapped file kills the process. Document numbers are never reused.
// docs/format.md describes the bytes.
package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"robin/boltfile"
)

// FormatVersion is the newest version of the bytes of store.db that this program reads. A file with another one is refused,
// and nothing is written to it. A store is made with firstFormat and raised when it gets what that one lacks, so that
// older programs read the stores that they understand.
const FormatVersion = passagesFormat

const (
	firstFormat    = 1
	passagesFormat = 2 // documents may have passages
)

var (
	// ErrDamaged means that bytes do not match their checksum, or that the file's structure does not hold.
	ErrDamaged = boltfile.ErrDamaged
	// ErrNotFound means that there is no such document.
	ErrNotFound = errors.New("not found")
	// ErrReadOnly means that an earlier commit failed in a way that leaves its outcome unknown. Only a reopen mends it.
	ErrReadOnly = errors.New("read-only after a storage error")
	// ErrDiskFull means that a commit found no space and was rolled back: nothing of it was kept.
	ErrDiskFull = errors.New("no space left on the disk")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("closed")
	// ErrLocked means that another process has the file open.
	ErrLocked = errors.New("in use by another process")
	// ErrFormat means that the file was written by another version of Robin.
	ErrFormat = errors.New("unknown format version")
)

// UUID tells one store from any other, so that a derived index can never be taken for another store's.
type UUID [16]byte

// String gives the usual form with dashes.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

func newUUID() (u UUID) {
	rand.Read(u[:]) // never fails, by its contract
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// Meta is what a store knows about itself. Settings is opaque to this package.
type Meta struct {
	Format          uint64
	UUID            UUID
	Created         time.Time
	Settings        json.RawMessage
	SettingsVersion uint64 // counts the changes of Settings
	LastSeq         uint64 // of the newest operation; 0 when there is none yet
	LogFloor        uint64 // the log holds every operation after this one
	NextNumber      uint64 // the number that the next new document gets; starts at 1
	Documents       uint64
	Vectors         uint64   // documents that have a vector, of whatever model
	Truncated       uint64   // documents with the Truncated flag
	Marks           uint64   // documents with a mark
	Passages        uint64   // vectors beyond one for each document
	Models          []string // fingerprints; a vector's model is its place here, from 1
}

// state is the part of Meta that changes with each commit.
type state struct {
	LastSeq, LogFloor, NextNumber, Documents, Vectors, Truncated, Marks, Passages uint64
}

// Options for Open. The zero value works.
type Options struct {
	LockTimeout time.Duration // how long to wait for another process to let go of the file; default 500 ms
	Logger      *slog.Logger
	// CommitFault stands in for a disk that fails, in tests: it runs when a transaction is about to be committed, and an
	// error that it returns is what the disk is taken to have answered.
	CommitFault func() error
	// FetchVectors says whether the vectors will be read next. Then the system is asked to have them in memory.
	FetchVectors func(Meta) bool
}

// Store is an open store.db. Its methods may be called from several goroutines; Update runs one at a time.
type Store struct {
	path string
	db   *bolt.DB
	log  *slog.Logger
	meta atomic.Pointer[Meta] // as of the newest commit; never changed in place

	// failed is set once, by the first commit whose outcome is unknown.
	failed atomic.Pointer[error]

	update sync.Mutex // held through Update and Verify's look at the file: one commit at a time

	commitFault func() error

	closing  context.CancelFunc
	fetching sync.WaitGroup
}

var (
	bucketMeta  = []byte("meta")
	bucketDocs  = []byte("docs")
	bucketIDs   = []byte("ids")
	bucketVecs  = []byte("vecs")
	bucketLog   = []byte("log")
	bucketMarks = []byte("marks") // there once a document was marked

	bucketQuarantine = []byte("quarantine") // there once a text had no vector
	bucketPassages   = []byte("passages")   // there once a document had several
)

var (
	keyIdentity = []byte("identity")
	keySettings = []byte("settings")
	keyState    = []byte("state")
	keyModels   = []byte("models")
	keyClean    = []byte("clean")
)

// Create makes a new, empty store at path and syncs it. The file must not exist. The caller syncs its folder.
func Create(path string, settings json.RawMessage) (err error) {
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("create %s: %w", path, os.ErrExist)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer func() {
		if cerr := db.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("create %s: %w", path, cerr)
		}
	}()
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketDocs, bucketIDs, bucketVecs, bucketLog} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		m := tx.Bucket(bucketMeta)
		return errors.Join(
			putSealed(m, tagMeta, keyIdentity, encodeIdentity(firstFormat, newUUID(), time.Now())),
			putSealed(m, tagMeta, keySettings, encodeSettings(1, settings)),
			putSealed(m, tagMeta, keyModels, []byte("[]")),
			putSealed(m, tagMeta, keyState, encodeState(state{NextNumber: 1})),
		)
	})
}

// mmapReserve is address space, not memory. With it the file grows without a new mapping, which would have to wait for
// the end of every open read transaction, such as an export's.
const mmapReserve = 1 << 34

// growStep is how much the file grows at a time. bbolt syncs at each growth; the space is sparse until it is used.
const growStep = 4 << 20

// Open opens an existing store after looking whether its file can be mapped, and its trees be walked, without danger.
func Open(path string, o Options) (*Store, error) {
	if o.LockTimeout == 0 {
		o.LockTimeout = 500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := boltfile.Guard(path); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{path: path, log: o.Logger, commitFault: o.CommitFault, closing: cancel}
	err := s.protect("open", func() error {
		opt := bolt.Options{Timeout: o.LockTimeout, FreelistType: bolt.FreelistMapType}
		if strconv.IntSize == 64 {
			opt.InitialMmapSize = mmapReserve
		}
		db, err := boltfile.Open(path, opt)
		if errors.Is(err, syscall.ENOMEM) { // an address space limit
			opt.InitialMmapSize = 0
			db, err = boltfile.Open(path, opt)
		}
		if errors.Is(err, bolterrors.ErrTimeout) {
			return ErrLocked
		}
		if err != nil {
			return err
		}
		db.AllocSize = growStep
		s.db = db
		return db.View(func(tx *bolt.Tx) error {
			state, err := boltfile.StateOf(path, tx)
			if err != nil {
				return err
			}
			defer state.Close()
			vectors, err := state.CheckInner(string(bucketVecs))
			if err != nil {
				return err
			}
			m, err := readMeta(tx)
			s.meta.Store(m)
			if err == nil && o.FetchVectors != nil && o.FetchVectors(*m) {
				s.fetching.Go(func() { vectors.Fetch(ctx) })
			}
			return err
		})
	})
	if err != nil {
		cancel()
		if s.db != nil {
			err = errors.Join(err, s.protect("close", s.db.Close))
		}
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

// Path is the file's path.
func (s *Store) Path() string { return s.path }

// Meta returns what is known as of the newest commit. The caller must not change what its slices hold.
func (s *Store) Meta() Meta { return *s.meta.Load() }

// Failed returns the error that made the store read-only, or nil.
func (s *Store) Failed() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Close closes the file. It waits for open transactions.
func (s *Store) Close() error {
	s.closing()
	s.fetching.Wait()
	s.update.Lock()
	defer s.update.Unlock()
	return s.protect("close", s.db.Close)
}

// CleanNote is what the last orderly shutdown left about the files beside the store, or nil when that shutdown is not
// the last thing that happened to the store.
func (s *Store) CleanNote() []byte {
	var note []byte
	err := s.View(func(r *Reader) error {
		payload, err := getSealed(r.tx.Bucket(bucketMeta), tagMeta, keyClean)
		if err != nil || payload == nil {
			return err
		}
		d := decoder{b: payload}
		seq, version := d.uvarint(), d.uvarint()
		if m := s.meta.Load(); d.err == nil && seq == m.LastSeq && version == m.SettingsVersion {
			note = append([]byte{}, d.b...)
		}
		return d.err
	})
	if err != nil {
		s.log.Warn("the clean mark cannot be read", "store", s.path, "err", err)
	}
	return note
}

// MarkClean records that everything derived from the store is on the disk. note is kept for CleanNote. The next commit
// of an operation or of settings makes the mark void without touching it.
func (s *Store) MarkClean(note []byte) error {
	return s.commit(func(tx *bolt.Tx, m *Meta) error {
		var e encoder
		e.uvarint(m.LastSeq)
		e.uvarint(m.SettingsVersion)
		e.b = append(e.b, note...)
		return putSealed(tx.Bucket(bucketMeta), tagMeta, keyClean, e.b)
	})
}

// VoidClean takes the clean mark away, before something beside the store changes without an operation in it.
func (s *Store) VoidClean() error {
	if s.CleanNote() == nil {
		return nil
	}
	return s.commit(func(tx *bolt.Tx, _ *Meta) error { return tx.Bucket(bucketMeta).Delete(keyClean) })
}

// protect is boltfile.Protect for what is done with the store.
func (s *Store) protect(what string, f func() error) (err error) {
	return boltfile.Protect(what+" "+filepath.Base(s.path), f)
}

func readMeta(tx *bolt.Tx) (*Meta, error) {
	b := tx.Bucket(bucketMeta)
	for _, name := range [][]byte{bucketMeta, bucketDocs, bucketIDs, bucketVecs, bucketLog} {
		if tx.Bucket(name) == nil {
			return nil, fmt.Errorf("%w: bucket %q is missing", ErrDamaged, name)
		}
	}
	m := &Meta{}
	// The identity comes first: it holds the format version, which says how to read the rest.
	payload, err := getSealed(b, tagMeta, keyIdentity)
	if err != nil {
		return nil, err
	}
	if m.Format, m.UUID, m.Created, err = decodeIdentity(payload); err != nil {
		return nil, err
	}
	if payload, err = getSealed(b, tagMeta, keySettings); err != nil {
		return nil, err
	}
	if m.SettingsVersion, m.Settings, err = decodeSettings(payload); err != nil {
		return nil, err
	}
	if payload, err = getSealed(b, tagMeta, keyModels); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(payload, &m.Models); err != nil {
		return nil, fmt.Errorf("%w: list of models: %v", ErrDamaged, err)
	}
	if payload, err = getSealed(b, tagMeta, keyState); err != nil {
		return nil, err
	}
	st, err := decodeState(payload)
	if err != nil {
		return nil, err
	}
	m.setState(st)
	return m, errors.Join(marksThere(tx, m), passagesThere(tx, m))
}

func (m *Meta) state() state {
	return state{m.LastSeq, m.LogFloor, m.NextNumber, m.Documents, m.Vectors, m.Truncated, m.Marks, m.Passages}
}

func (m *Meta) setState(s state) {
	m.LastSeq, m.LogFloor, m.NextNumber = s.LastSeq, s.LogFloor, s.NextNumber
	m.Documents, m.Vectors, m.Truncated, m.Marks, m.Passages = s.Documents, s.Vectors, s.Truncated, s.Marks, s.Passages
}

// WriteTo writes a consistent copy of the whole file while writes go on.
func (s *Store) WriteTo(w io.Writer) (n int64, err error) {
	err = s.protect("copy", func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			n, err = tx.WriteTo(w)
			return err
		})
	})
	return n, err
}
