package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"robin"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressed is n bytes of rows, compressed.
func compressed(t *testing.T, enc Encoding, n int, row func(i int) string) (packed []byte, rows int) {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	if enc == Gzip {
		w = gzip.NewWriter(&b)
	} else {
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	}
	for size := 0; size < n && err == nil; rows++ {
		r := row(rows)
		size += len(r)
		_, err = io.WriteString(w, r)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), rows
}

func TestBombsAreRefusedAndRepetitiveFilesAreNot(t *testing.T) {
	const size = 20 << 20
	boilerplate := strings.Repeat("The terms of the manufacturer apply to every product of this range. ", 45)
	for _, enc := range []Encoding{Gzip, Zstd} {
		for name, row := range map[string]func(int) string{
			"a counter": func(i int) string {
				return fmt.Sprintf("{\"id\":%d,\"title\":\"steel mug\",\"brand\":\"acme\",\"stock\":0}\n", i)
			},
			"boilerplate": func(i int) string { return fmt.Sprintf("{\"id\":%d,\"terms\":%q}\n", i, boilerplate) },
		} {
			packed, rows := compressed(t, enc, size, row)
			r, err := Open(Source{Reader: bytes.NewReader(packed), Encoding: enc})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for ; err == nil; n++ {
				_, err = r.Next()
			}
			r.Close()
			if !errors.Is(err, io.EOF) || n-1 != rows {
				t.Errorf("%s, %s, %d:1: %d of %d rows and %v", enc, name, size/len(packed), n-1, rows, err)
			}
			t.Logf("%s, %s: %d:1", enc, name, size/len(packed))
		}
		for name, row := range map[string]string{"spaces": strings.Repeat(" ", 4096), "empty lines": strings.Repeat("\n", 4096)} {
			packed, _ := compressed(t, enc, 5*size, func(int) string { return row })
			in := bytes.NewReader(packed)
			r, err := Open(Source{Reader: in})
			for err == nil {
				_, err = r.Next()
			}
			if robin.CodeOf(err) != robin.CodeTooLarge || !strings.Contains(err.Error(), string(enc)) || !strings.Contains(err.Error(), "decompress the file") {
				t.Errorf("%s, %s, %d:1: %v", enc, name, 5*size/len(packed), err)
			}
			if decoded := r.plain.max - r.plain.left; decoded > growthFrom+readBuffer {
				t.Errorf("%s, %s: %d bytes were decoded before it was refused", enc, name, decoded)
			}
			r.Close()
		}
	}
}
