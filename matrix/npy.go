package matrix

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// A .npy file begins with npyMagic, two bytes of version, and the length of a head: two bytes in version 1, four in 2 and 3.
// The head is a Python dictionary in text, filled with spaces and ended by a newline so that the numbers begin at a multiple
// of 64 bytes (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
const npyMagic = "\x93NUMPY"

var (
	npyType    = regexp.MustCompile(`'descr':\s*'([^']*)'`)
	npyFortran = regexp.MustCompile(`'fortran_order':\s*True`)
	npyShape   = regexp.MustCompile(`'shape':\s*\((\d+),\s*(\d+),?\)`)
)

func readNPY(s *source) (*Matrix, error) {
	var begin [len(npyMagic) + 2]byte
	if err := s.full(begin[:]); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(begin[:], []byte(npyMagic)) {
		return nil, errors.New("it does not begin as a .npy file does")
	}
	length := make([]byte, 4)
	if begin[len(npyMagic)] == 1 {
		length = length[:2]
	}
	if err := s.full(length); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(append(length, 0, 0)[:4])
	const longestHead = 1 << 16
	if n > longestHead {
		return nil, fmt.Errorf("its head says that it is %d bytes long", n)
	}
	head := make([]byte, n)
	if err := s.full(head); err != nil {
		return nil, err
	}
	kind, shape := npyType.FindSubmatch(head), npyShape.FindSubmatch(head)
	switch {
	case kind == nil || string(kind[1]) != "<f4":
		return nil, fmt.Errorf("its numbers are not little-endian float32 ('<f4'): %s", bytes.TrimSpace(head))
	case npyFortran.Match(head):
		return nil, errors.New("its numbers lie column by column; write numpy.ascontiguousarray of it")
	case shape == nil:
		return nil, fmt.Errorf("it has not two dimensions: %s", bytes.TrimSpace(head))
	}
	rows, err := strconv.Atoi(string(shape[1]))
	dim, err2 := strconv.Atoi(string(shape[2]))
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if dim < 1 || dim > maxDim || int64(rows) > s.left/int64(4*dim) {
		return nil, fmt.Errorf("%d rows of %d numbers are more than the %d bytes that follow", rows, dim, s.left)
	}
	m := New(rows, dim)
	return m, s.floats(m.Data)
}

func npyHead(m *Matrix) []byte {
	dict := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", m.Len(), m.Dim)
	const before = len(npyMagic) + 4
	for (before+len(dict)+1)%64 != 0 {
		dict += " "
	}
	dict += "\n"
	head := append([]byte(npyMagic), 1, 0)
	return append(binary.LittleEndian.AppendUint16(head, uint16(len(dict))), dict...)
}
