package importer

import (
	"bufio"
	"bytes"
)

// WriteLine writes a document as a line of JSONL, which imports back. One that was sent over several lines loses its line
// ends, and no other byte: inside strings JSON has none.
func WriteLine(w *bufio.Writer, raw []byte) error {
	for len(raw) > 0 {
		i := bytes.IndexAny(raw, "\r\n")
		if i < 0 {
			i = len(raw)
		}
		if _, err := w.Write(raw[:i]); err != nil {
			return err
		}
		raw = bytes.TrimLeft(raw[i:], "\r\n")
	}
	return w.WriteByte('\n')
}
