package importer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"robin"
)

// jsonlDecoder reads one object a line. Blank lines are not rows.
type jsonlDecoder struct {
	lines *lineReader
	depth int
}

func (d *jsonlDecoder) next() (Row, error) {
	for {
		b, tooLong, err := d.lines.next()
		if err != nil {
			return Row{}, err
		}
		line := d.lines.line
		if tooLong {
			return badRow(line, robin.CodeTooLarge, "the line is longer than %d bytes", d.lines.max), nil
		}
		if b = bytes.TrimSpace(b); len(b) == 0 {
			continue
		}
		return object(line, bytes.Clone(b), d.depth), nil
	}
}

// object makes a row of one JSON text, or a bad row when it is not a sound object.
func object(line int, raw []byte, maxDepth int) Row {
	r := sound(line, raw, maxDepth)
	if r.Err != nil {
		r.Text = string(raw)
	}
	return r
}

func sound(line int, raw []byte, maxDepth int) Row {
	if d := nesting(raw); d > maxDepth {
		return badRow(line, robin.CodeTooLarge, "is nested %d deep, the limit is %d", d, maxDepth)
	}
	if !json.Valid(raw) {
		var any json.RawMessage
		err := json.Unmarshal(raw, &any)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return badRow(line, robin.CodeInvalid, "is not valid JSON at byte %d: %s", syntax.Offset, syntax)
		}
		return badRow(line, robin.CodeInvalid, "is not valid JSON: %s", err)
	}
	if raw[0] != '{' {
		return badRow(line, robin.CodeInvalid, "must be a JSON object, is %s", kindOf(raw))
	}
	return Row{Line: line, Raw: raw}
}

func kindOf(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// nesting is the deepest level of brackets outside strings. It needs no valid JSON, so that it can run before anything
// that recurses.
func nesting(raw []byte) int {
	deepest, depth := 0, 0
	inString, escaped := false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = c == '\\'
			inString = c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// jsonDecoder reads the elements of one array, or objects one after another, and holds one element in memory. It finds
// an element's end by its brackets alone, so that an element that is too large, too deep or not valid is one bad row.
// What breaks the array itself ends the stream.
type jsonDecoder struct {
	br    *bufio.Reader
	max   int
	depth int

	started, array, done bool
	pos                  int   // position of the last element, from 1
	offset               int64 // bytes consumed, for messages
}

func (d *jsonDecoder) next() (Row, error) {
	if d.done {
		return Row{}, io.EOF
	}
	c, err := d.skipSpace()
	switch {
	case errors.Is(err, io.EOF) && !d.array:
		d.done = true
		return Row{}, io.EOF
	case errors.Is(err, io.EOF):
		return Row{}, d.broken("the array is not closed")
	case err != nil:
		return Row{}, err
	}
	if !d.started {
		d.started = true
		if d.array = c == '['; d.array {
			return d.first()
		}
	} else if d.array {
		return d.following(c)
	}
	return d.element(c)
}

// first reads what follows the opening bracket.
func (d *jsonDecoder) first() (Row, error) {
	c, err := d.skipSpace()
	if err != nil {
		return Row{}, d.unexpected(err)
	}
	if c == ']' {
		return d.finish()
	}
	return d.element(c)
}

// following reads what follows an element: a comma and the next one, or the closing bracket.
func (d *jsonDecoder) following(c byte) (Row, error) {
	switch c {
	case ']':
		return d.finish()
	case ',':
		c, err := d.skipSpace()
		if err != nil {
			return Row{}, d.unexpected(err)
		}
		return d.element(c)
	}
	return Row{}, d.broken("%q after element %d, want a comma or the closing bracket", string(rune(c)), d.pos)
}

// finish reads what follows the closing bracket, which must be nothing.
func (d *jsonDecoder) finish() (Row, error) {
	d.done = true
	switch c, err := d.skipSpace(); {
	case errors.Is(err, io.EOF):
		return Row{}, io.EOF
	case err != nil:
		return Row{}, err
	default:
		return Row{}, d.broken("%q after the end of the array", string(rune(c)))
	}
}

// element reads the value that starts with c.
func (d *jsonDecoder) element(c byte) (Row, error) {
	d.pos++
	if c == ',' || c == ']' || c == '}' || c == ':' {
		return Row{}, d.broken("%q where element %d should begin", string(rune(c)), d.pos)
	}
	var (
		buf               []byte
		size, depth       int
		inString, escaped bool
		scalar            = c != '{' && c != '[' && c != '"'
	)
	for {
		size++
		if size <= d.max {
			buf = append(buf, c)
		}
		closed := false
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = c == '\\'
			inString = c != '"'
			closed = !inString && depth == 0
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
			closed = depth == 0
		}
		if scalar { // ends before the next structural byte
			next, err := d.br.Peek(1)
			closed = err != nil || bytes.IndexByte([]byte(", \t\r\n]}[{\""), next[0]) >= 0
		}
		if closed {
			break
		}
		var err error
		if c, err = d.read(); err != nil {
			return Row{}, d.unexpected(err)
		}
	}
	if size > d.max {
		return badRow(d.pos, robin.CodeTooLarge, "has %d bytes, the limit is %d", size, d.max), nil
	}
	return object(d.pos, buf, d.depth), nil
}

func (d *jsonDecoder) read() (byte, error) {
	c, err := d.br.ReadByte()
	if err == nil {
		d.offset++
	}
	return c, err
}

func (d *jsonDecoder) skipSpace() (byte, error) {
	for {
		c, err := d.read()
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

func (d *jsonDecoder) unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return d.broken("the text ends inside element %d", max(d.pos, 1))
	}
	return err
}

func (d *jsonDecoder) broken(format string, args ...any) error {
	e := robin.Errorf(robin.CodeInvalid, format, args...)
	return robin.Errorf(robin.CodeInvalid, "the JSON is broken at byte %d: %s", d.offset, e.Message)
}
