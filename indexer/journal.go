package indexer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"robin"
	"robin/store"
)

const (
	actionsDir     = "actions" // in a collection's folder
	journalSuffix  = ".jsonl.zst"
	undoneSuffix   = ".undone" // an empty file beside a journal whose action was taken back
	journalVersion = 1
	// journalLine bounds a line: a document of the largest size, escaped, and the vectors of its passages.
	journalLine = 8*robin.MaxDocumentBytes + robin.MaxChunks*robin.MaxDimension*16
)

// actionRE is what names an action, so that a request can never name another file.
var actionRE = regexp.MustCompile(`^[0-9]{8}t[0-9]{6}-[0-9]{9}$`)

// journalHead is the first line of a journal. An entry for each document follows.
type journalHead struct {
	Version int    `json:"version"`
	Model   string `json:"model"` // fingerprint of the vectors
	robin.DuplicateAction
}

// journalEntry is a document as it was before the action.
type journalEntry struct {
	ID  string     `json:"id"`
	Was *savedMark `json:"was,omitempty"` // its mark
	Now *savedMark `json:"now,omitempty"` // the mark that the action gives it

	// What a delete takes. The document is a string: as an object it would lose the white space that it was sent with.
	Kept      string    `json:"kept,omitempty"` // the document for which it goes
	Seq       uint64    `json:"seq,omitempty"`
	Document  *string   `json:"document,omitempty"`
	Vector    []float32 `json:"vector,omitempty"`
	Truncated bool      `json:"truncated,omitempty"`

	Passages *savedPassages `json:"passages,omitempty"` // Vector is that of the first
}

// savedPassages is how a document's text was cut, with the vectors of the passages after the first.
type savedPassages struct {
	Head    int         `json:"head,omitempty"`
	Spans   [][2]int    `json:"spans"`
	Vectors [][]float32 `json:"vectors"`
}

// savePassages reads the passages of a document that has some.
func savePassages(r *store.Reader, document uint64) (*savedPassages, error) {
	p, err := r.Passages(document)
	if err != nil {
		return nil, err
	}
	saved := &savedPassages{Head: p.Head}
	for i, span := range p.Spans {
		saved.Spans = append(saved.Spans, [2]int{span.Start, span.End})
		if i == 0 {
			continue
		}
		_, vec, err := r.Vector(p.Number(i))
		if err != nil {
			return nil, err
		}
		saved.Vectors = append(saved.Vectors, vec)
	}
	return saved, nil
}

// passages makes them what a write stores; nil for nil.
func (s *savedPassages) passages() *store.Passages {
	if s == nil {
		return nil
	}
	p := &store.Passages{Head: s.Head, Vectors: s.Vectors}
	for _, span := range s.Spans {
		p.Spans = append(p.Spans, store.Span{Start: span[0], End: span[1]})
	}
	return p
}

type savedMark struct {
	Kind   robin.DuplicatePolicy `json:"kind"`
	Twin   string                `json:"twin"`
	Cosine float32               `json:"cosine"`
}

func saveMark(m store.Mark) *savedMark {
	return &savedMark{policyOf(m.Kind), m.TwinID, m.Cosine}
}

func (m *savedMark) equal(o *savedMark) bool {
	return m == o || m != nil && o != nil && *m == *o
}

// newActionID names an action by its moment, so that ids sort by time.
func newActionID(now time.Time) string {
	return fmt.Sprintf("%s-%09d", now.Format("20060102t150405"), now.Nanosecond())
}

func (c *collection) journalPath(id string) string {
	return filepath.Join(c.dir, actionsDir, id+journalSuffix)
}

// writeJournal puts an action's journal on the disk, whole. each yields the entries.
func (c *collection) writeJournal(head journalHead, each func(add func(journalEntry) error) error) error {
	dir := filepath.Join(c.dir, actionsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(c.dir); err != nil {
		return err
	}
	return writeWhole(c.journalPath(head.ID), func(f *os.File) error {
		z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		w := bufio.NewWriter(z)
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(head); err != nil {
			return err
		}
		if err := each(func(e journalEntry) error { return enc.Encode(e) }); err != nil {
			return err
		}
		return errors.Join(w.Flush(), z.Close())
	})
}

// readJournal reads a journal's head, and with each its entries.
func (c *collection) readJournal(id string, each func(journalEntry) error) (head journalHead, err error) {
	missing := robin.Errorf(robin.CodeNoTask, "collection %q has no action %q", c.name, short(id))
	if !actionRE.MatchString(id) {
		return head, missing
	}
	f, err := os.Open(c.journalPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return head, missing
	}
	if err != nil {
		return head, robin.Errorf(robin.CodeInternal, "open action %s: %w", id, err)
	}
	defer f.Close()
	damaged := func(err error) error {
		return robin.Errorf(robin.CodeDamaged, "the journal of action %s cannot be read: %w", id, err)
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return head, damaged(err)
	}
	defer z.Close()
	lines := bufio.NewScanner(z)
	lines.Buffer(make([]byte, 0, 64<<10), journalLine)
	next := func(v any) error {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return err
			}
			return io.EOF
		}
		return json.Unmarshal(lines.Bytes(), v)
	}
	if err := next(&head); err != nil {
		return head, damaged(err)
	}
	if head.Version != journalVersion {
		return head, robin.Errorf(robin.CodeConflict, "the journal of action %s has version %d, this program reads version %d", id, head.Version, journalVersion)
	}
	head.Undone = exists(strings.TrimSuffix(c.journalPath(id), journalSuffix) + undoneSuffix)
	for each != nil {
		var e journalEntry
		err := next(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return head, damaged(err)
		}
		if err := each(e); err != nil {
			return head, err
		}
	}
	return head, nil
}
