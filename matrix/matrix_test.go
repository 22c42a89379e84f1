package matrix

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsWrittenIsReadInEveryFormat(t *testing.T) {
	m := NewClusters(48, 7, 0.6, 1).Matrix(300)
	for _, ext := range []string{".npy", ".fvecs", ".f32"} {
		path := filepath.Join(t.TempDir(), "rows"+ext)
		if err := m.Write(path); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path, 48)
		if err != nil {
			t.Fatal(err)
		}
		if got.Dim != 48 || got.Len() != 300 || !slices.Equal(got.Data, m.Data) {
			t.Errorf("%s: %d rows of %d numbers, or others than were written", ext, got.Len(), got.Dim)
		}
		if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
			t.Errorf("%s: %v is left beside it, %v", ext, files, err)
		}
	}
}

// A file as numpy.save writes it: version 1, a head of 0x76 bytes, two rows of two numbers.
const fromNumPy = "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }" +
	"                                                          \n" +
	"\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40" // 1, 2, 3, 4

func TestFileOfNumPyIsReadAndWrittenAlike(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numpy.npy")
	if err := os.WriteFile(path, []byte(fromNumPy), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Read(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.Dim != 2 || !slices.Equal(m.Data, []float32{1, 2, 3, 4}) {
		t.Errorf("got %+v", m)
	}
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != fromNumPy {
		t.Errorf("wrote %q, %v", b, err)
	}
}

func TestBadFilesAreRefusedByName(t *testing.T) {
	f := func(name, content string, dim int, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path, dim); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	f("a.csv", "1,2", 0, "is not one of")
	f("a.npy", "", 0, "ends too early")
	f("a.npy", "not an array", 0, "does not begin as")
	f("a.npy", fromNumPy[:len(fromNumPy)-1], 0, "more than")
	f("a.npy", strings.Replace(fromNumPy, "<f4", "<f8", 1), 0, "not little-endian float32")
	f("a.npy", strings.Replace(fromNumPy, "False", "True ", 1), 0, "column by column")
	f("a.npy", strings.Replace(fromNumPy, "(2, 2)", "(4,)  ", 1), 0, "two dimensions")
	f("a.npy", strings.Replace(fromNumPy, "(2, 2)", "(9, 9)", 1), 0, "9 rows of 9 numbers")
	f("a.npy", strings.Replace(fromNumPy, "(2, 2)", "(0, 2)", 1), 0, "no rows")
	f("a.f32", "12345678", 0, "how long a row is")
	f("a.f32", "12345678", 3, "no whole number of rows")
	f("a.fvecs", "\x01\x00\x00\x00\x00\x00\x80\x3f\x02\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x80\x3f", 0, "row 1 has 2 numbers")
	f("a.fvecs", "\x02\x00\x00\x00\x00\x00\x80\x3f", 0, "row 0")
	f("a.fvecs", "\xff\xff\xff\xff\x00\x00\x80\x3f", 0, "row 0 says")
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(fromNumPy))
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x80\x3f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, ext := range []string{".npy", ".fvecs", ".f32"} {
			path := filepath.Join(t.TempDir(), "a"+ext)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := Read(path, 2)
			if err != nil {
				continue
			}
			if m.Dim < 1 || len(m.Data)%m.Dim != 0 || 4*len(m.Data) > len(b) {
				t.Errorf("%s: %d numbers in rows of %d from %d bytes", ext, len(m.Data), m.Dim, len(b))
			}
		}
	})
}

func TestHoldingOutPartsTheRowsAndLosesNone(t *testing.T) {
	m := New(100, 2)
	for i := range m.Data {
		m.Data[i] = float32(i)
	}
	before := slices.Clone(m.Data)
	rest, out, err := m.HoldOut(30, 5)
	if err != nil {
		t.Fatal(err)
	}
	if rest.Len() != 70 || out.Len() != 30 {
		t.Fatalf("%d and %d rows", rest.Len(), out.Len())
	}
	var got []float32
	for _, part := range []*Matrix{rest, out} {
		for i := range part.Len() {
			if row := part.Row(i); row[1] != row[0]+1 {
				t.Fatalf("row %v was torn", row)
			}
		}
		got = append(got, part.Data...)
	}
	if slices.Equal(got, before) {
		t.Error("nothing was shuffled")
	}
	if slices.Sort(got); !slices.Equal(got, before) {
		t.Error("rows were lost")
	}
	for _, held := range []int{0, 100} {
		if _, _, err := m.HoldOut(held, 5); err == nil {
			t.Errorf("held out %d of 100", held)
		}
	}
}

func TestRowsOfClustersComeFromTheSeedAndTheirNumber(t *testing.T) {
	c := NewClusters(64, 5, 0.5, 9)
	m := c.Matrix(2000)
	row := make([]float32, 64)
	var noise float64
	for _, i := range []int{1999, 3, 0} {
		cluster := c.Row(i, row)
		if !slices.Equal(row, m.Row(i)) {
			t.Errorf("row %d is another when drawn alone", i)
		}
		for j, x := range row {
			noise += math.Pow(float64(x)-c.centres[cluster*64+j], 2)
		}
	}
	if noise = math.Sqrt(noise / 3); noise < 0.4 || noise > 0.6 {
		t.Errorf("rows are %.2f from their centre, want 0.5", noise)
	}
	if slices.Equal(m.Data, NewClusters(64, 5, 0.5, 10).Matrix(2000).Data) {
		t.Error("another seed drew the same rows")
	}
}

func TestARowWithoutDirectionIsRefused(t *testing.T) {
	for _, bad := range []float32{0, float32(math.NaN()), float32(math.Inf(1))} {
		m := New(2, 2)
		copy(m.Data, []float32{3, 4, bad, 0})
		if err := m.Normalize(); err == nil || !strings.Contains(err.Error(), "row 1") {
			t.Errorf("%v: %v", bad, err)
		}
		if !slices.Equal(m.Row(0), []float32{0.6, 0.8}) {
			t.Errorf("row 0 became %v", m.Row(0))
		}
	}
}

func TestWriteRefusesAnEndingThatItDoesNotKnow(t *testing.T) {
	if err := New(1, 1).Write(filepath.Join(t.TempDir(), "a.csv")); err == nil {
		t.Error("wrote a .csv file")
	}
	if head := npyHead(New(3, 256)); len(head)%64 != 0 || !bytes.HasSuffix(head, []byte("\n")) {
		t.Errorf("the head is %d bytes: %q", len(head), head)
	}
}
