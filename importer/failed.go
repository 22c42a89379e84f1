package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"strings"

	"robin"
)

// failedRows writes the rows that failed as they stood in the file, so that they can be corrected and imported with the
// same command: CSV with its header, if it has one, and its delimiter; everything else as JSONL.
type failedRows struct {
	open func(Format) (io.WriteCloser, error) // called at the first of them; nil: they are not kept
	max  int64                                // bytes; 0: no limit

	format Format
	head   string // a CSV's header row
	w      io.WriteCloser
	broken error // of opening or writing it; nothing is written after
	size   int64
	kept   int
	lost   int    // rows that are not in the file
	why    string // of the first of them
}

func newFailedRows(o Options, r *Reader) *failedRows {
	f := &failedRows{open: o.Failed, max: o.FailedBytes, format: JSONL}
	if r.csv != nil {
		f.format, f.head = r.format, r.csv.head
	}
	return f
}

// add writes one row. What keeps it from that is told by warning, and the import goes on.
func (f *failedRows) add(text string) {
	if f.open == nil {
		return
	}
	if text == "" {
		f.lose("it was too long to keep")
		return
	}
	if f.format == JSONL {
		text = oneLine(text)
	}
	if f.w == nil && f.broken == nil {
		f.w, f.broken = f.open(f.format)
		if f.head != "" {
			text = f.head + "\n" + text
		}
	}
	if f.broken != nil {
		f.lose(f.broken.Error())
		return
	}
	if f.max > 0 && f.size+int64(len(text))+1 > f.max {
		f.lose(fmt.Sprintf("the file of failed rows has its limit of %d bytes", f.max))
		return
	}
	n, err := f.w.Write(append([]byte(text), '\n'))
	f.size += int64(n)
	if f.broken = err; err != nil {
		f.lose(err.Error())
		return
	}
	f.kept++
}

func (f *failedRows) lose(why string) {
	f.lost++
	if f.why == "" {
		f.why = why
	}
}

// close ends the file. The warning says which failed rows are not in it.
func (f *failedRows) close() (warning *robin.RowWarning) {
	if f.w != nil {
		if err := f.w.Close(); err != nil {
			f.lose(err.Error())
		}
	}
	if f.lost == 0 {
		return nil
	}
	return &robin.RowWarning{Code: robin.WarnFailedUnkept,
		Detail: fmt.Sprintf("%d failed rows are not in the file of failed rows; the first because %s", f.lost, f.why)}
}

// oneLine makes a line of a JSON text. A line end is white space there, or a fault inside a string.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) == nil {
		return b.String()
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
}

// seenIDs remembers which ids of a file were read, by a hash of 64 bits: among 2,000,000 ids two differ with the same
// hash once in ten million files.
type seenIDs struct {
	seed  maphash.Seed
	lines map[uint64]uint32
	most  int
}

// maxSeenIDs bounds the memory of it to about 64 MiB.
const maxSeenIDs = 2_000_000

func newSeenIDs(most int) *seenIDs {
	return &seenIDs{seed: maphash.MakeSeed(), lines: map[uint64]uint32{}, most: most}
}

// see gives the warning that a row's id calls for, if any.
func (s *seenIDs) see(id string, line int) *robin.RowWarning {
	if s.lines == nil {
		return nil
	}
	h := maphash.String(s.seed, id)
	first, twice := s.lines[h]
	if twice {
		return &robin.RowWarning{Line: line, ID: id, Code: robin.WarnDuplicateID, Detail: fmt.Sprintf("has the id of line %d", first)}
	}
	if len(s.lines) == s.most {
		s.lines = nil
		return &robin.RowWarning{Line: line, Code: robin.WarnIDsUnchecked,
			Detail: fmt.Sprintf("ids were compared up to here, %d of them; a later row with the id of another one is not named", s.most)}
	}
	s.lines[h] = uint32(line)
	return nil
}
