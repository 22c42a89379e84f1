// Package matrix holds float32 vectors of one length, reads and writes them in the files that other programs use, and draws
// clustered ones: what a measurement of a vector index is fed with.
package matrix

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Matrix holds its rows one after another.
type Matrix struct {
	Dim  int
	Data []float32
}

// New makes room for n rows of zeros.
func New(n, dim int) *Matrix { return &Matrix{Dim: dim, Data: make([]float32, n*dim)} }

// Len is the number of rows.
func (m *Matrix) Len() int { return len(m.Data) / max(1, m.Dim) }

// Row lends a row.
func (m *Matrix) Row(i int) []float32 { return m.Data[i*m.Dim : (i+1)*m.Dim : (i+1)*m.Dim] }

// Normalize brings every row to length 1. A row that has no direction is an error.
func (m *Matrix) Normalize() error {
	for i := range m.Len() {
		row := m.Row(i)
		var norm float64
		for _, x := range row {
			norm += float64(x) * float64(x)
		}
		if !(norm > 0) || math.IsInf(norm, 0) {
			return fmt.Errorf("row %d has squared length %v; a direction needs finite numbers that are not all zero", i, norm)
		}
		scale := 1 / math.Sqrt(norm)
		for j, x := range row {
			row[j] = float32(float64(x) * scale)
		}
	}
	return nil
}

// HoldOut shuffles the rows, by the seed, and parts the first held of them from the others.
func (m *Matrix) HoldOut(held int, seed uint64) (rest, out *Matrix, err error) {
	if held < 1 || held >= m.Len() {
		return nil, nil, fmt.Errorf("hold out %d of %d rows: at least one must be on either side", held, m.Len())
	}
	kept := make([]float32, m.Dim)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(m.Len(), func(i, j int) {
		copy(kept, m.Row(i))
		copy(m.Row(i), m.Row(j))
		copy(m.Row(j), kept)
	})
	at := held * m.Dim
	return &Matrix{m.Dim, m.Data[at:]}, &Matrix{m.Dim, m.Data[:at:at]}, nil
}

// Read reads a file by its ending: .npy (NumPy, float32, two dimensions), .fvecs (before each row its length), or .f32
// (numbers alone, of rows that have dim numbers). dim is of no use to the other two, and may be 0.
func Read(path string, dim int) (*Matrix, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r := &source{Reader: bufio.NewReaderSize(f, 1<<20), left: info.Size()}
	var m *Matrix
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".npy":
		m, err = readNPY(r)
	case ".fvecs":
		m, err = readFvecs(r)
	case ".f32":
		m, err = readPlain(r, dim)
	default:
		err = fmt.Errorf("the ending %q is not one of .npy, .fvecs and .f32", ext)
	}
	if err == nil && m.Len() == 0 {
		err = errors.New("it holds no rows")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

// maxDim is the longest row that is believed.
const maxDim = 1 << 20

// source knows how many bytes are left, so that no length that a file claims is trusted with memory.
type source struct {
	*bufio.Reader
	left int64
}

// full fills b or fails.
func (s *source) full(b []byte) error {
	n, err := io.ReadFull(s.Reader, b)
	s.left -= int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("it ends too early")
	}
	return err
}

// floats fills dst with little-endian numbers.
func (s *source) floats(dst []float32) error {
	if int64(len(dst)) > s.left/4 {
		return fmt.Errorf("%d numbers should follow, %d bytes do", len(dst), s.left)
	}
	var part [1 << 14]byte
	for len(dst) > 0 {
		n := min(len(dst), len(part)/4)
		if err := s.full(part[:4*n]); err != nil {
			return err
		}
		for i := range n {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(part[4*i:]))
		}
		dst = dst[n:]
	}
	return nil
}

func readPlain(s *source, dim int) (*Matrix, error) {
	if dim < 1 || dim > maxDim {
		return nil, fmt.Errorf("it does not say how long a row is, and %d numbers cannot be; say how many", dim)
	}
	if s.left%int64(4*dim) != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of rows of %d numbers", s.left, dim)
	}
	m := New(int(s.left/int64(4*dim)), dim)
	return m, s.floats(m.Data)
}

func readFvecs(s *source) (*Matrix, error) {
	m := &Matrix{}
	for s.left > 0 {
		var head [4]byte
		if err := s.full(head[:]); err != nil {
			return nil, err
		}
		n := int(binary.LittleEndian.Uint32(head[:]))
		if m.Dim == 0 {
			if n < 1 || n > maxDim {
				return nil, fmt.Errorf("row 0 says that it has %d numbers", n)
			}
			m.Dim = n
			m.Data = make([]float32, 0, (s.left+4)/int64(4+4*n)*int64(n))
		}
		if n != m.Dim {
			return nil, fmt.Errorf("row %d has %d numbers, row 0 has %d", m.Len(), n, m.Dim)
		}
		at := len(m.Data)
		if at+n > cap(m.Data) {
			return nil, fmt.Errorf("row %d ends too early", m.Len())
		}
		m.Data = m.Data[:at+n]
		if err := s.floats(m.Data[at:]); err != nil {
			return nil, fmt.Errorf("row %d: %w", at/n, err)
		}
	}
	return m, nil
}

// Write writes a file that Read reads, by the same endings.
func (m *Matrix) Write(path string) (err error) {
	ext := strings.ToLower(filepath.Ext(path))
	if ext != ".npy" && ext != ".fvecs" && ext != ".f32" {
		return fmt.Errorf("write %s: the ending is not one of .npy, .fvecs and .f32", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	var line []byte
	if ext == ".npy" {
		line = npyHead(m)
	}
	for i := range m.Len() {
		if ext == ".fvecs" {
			line = binary.LittleEndian.AppendUint32(line, uint32(m.Dim))
		}
		for _, x := range m.Row(i) {
			line = binary.LittleEndian.AppendUint32(line, math.Float32bits(x))
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
		line = line[:0]
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
