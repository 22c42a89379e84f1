package importer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"robin"
)

// csvDecoder reads rows under a header. A cell may be quoted (then it may hold delimiters, line ends and doubled
// quotes); a quote inside an unquoted cell is an ordinary character, because 27" is common in product names. An empty
// cell gives no field. A quote that is not closed properly spoils the line that it is on and no other.
type csvDecoder struct {
	lines  *lineReader
	again  []csvLine // read behind a broken quote, to be read as rows of their own
	comma  string
	header []string
	head   string // the header row as it stands in the file; empty when the columns were given
	types  []cellType
	typed  bool
	ahead  []csvRow // read by guessTypes
	end    error
}

type cellType uint8

const (
	cellText cellType = iota
	cellNumber
	cellBool
	cellVector // a JSON array of numbers
)

type csvLine struct {
	number  int
	text    string
	tooLong bool
}

type csvRow struct {
	line  int
	text  string
	cells []string
	bad   *Row
}

func newCSV(br *bufio.Reader, lines *lineReader, delimiter string, columns []string) (*csvDecoder, error) {
	d := &csvDecoder{lines: lines, comma: delimiter, header: slices.Clone(columns)}
	if delimiter == "" {
		head, _ := br.Peek(readBuffer)
		line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
		d.comma = string(sniff(line))
	}
	if len(columns) == 0 {
		row, err := d.read()
		switch {
		case errors.Is(err, io.EOF):
			return nil, robin.Errorf(robin.CodeInvalid, "the CSV is empty: it needs a header row that names the columns, or columns that are named with the import")
		case err != nil:
			return nil, err
		case row.bad != nil:
			return nil, robin.Errorf(row.bad.Err.Code, "the CSV header (line %d) %s", row.line, row.bad.Err.Detail)
		}
		d.header, d.head = row.cells, row.text
	}
	seen := map[string]int{}
	for i, name := range d.header {
		name = strings.TrimSpace(name)
		if name == "" {
			name = fmt.Sprintf("column_%d", i+1)
		}
		if !utf8.ValidString(name) {
			return nil, robin.Errorf(robin.CodeInvalid, "the CSV header's column %d is not valid UTF-8; save the file as UTF-8", i+1)
		}
		if first, twice := seen[name]; twice {
			return nil, robin.Errorf(robin.CodeInvalid, "the CSV header names %q twice, in columns %d and %d", name, first, i+1)
		}
		seen[name] = i + 1
		d.header[i] = name
	}
	d.types = make([]cellType, len(d.header))
	return d, nil
}

// sniff picks the delimiter that the header uses most, outside quotes.
func sniff(header []byte) byte {
	best, most := byte(','), 0
	for _, c := range []byte(",;\t|") {
		n, quoted := 0, false
		for _, b := range header {
			switch {
			case b == '"':
				quoted = !quoted
			case b == c && !quoted:
				n++
			}
		}
		if n > most {
			best, most = c, n
		}
	}
	return best
}

func (d *csvDecoder) line() (csvLine, error) {
	if len(d.again) > 0 {
		l := d.again[0]
		d.again = d.again[1:]
		return l, nil
	}
	b, tooLong, err := d.lines.next()
	if err != nil {
		return csvLine{}, err
	}
	return csvLine{d.lines.line, string(b), tooLong}, nil
}

// read gives the next row's cells. Blank lines are not rows.
//
// A broken quote shows lines later, or at the end of the file, or when the row has too few cells or too many once it is
// closed. The row is then its first line alone and the lines after it are read again. No line is read again for two
// broken quotes, because up to where the first one shows there is no other quote that could be one: so this takes time
// in proportion to the file. For that the number of cells tells only in rows with one cell of several lines.
func (d *csvDecoder) read() (csvRow, error) {
	var first csvLine
	for {
		var err error
		if first, err = d.line(); err != nil {
			return csvRow{}, err
		}
		if first.tooLong || strings.TrimSpace(first.text) != "" {
			break
		}
	}
	row := csvRow{line: first.number, text: first.text}
	bad := func(code robin.Code, format string, args ...any) (csvRow, error) {
		r := badRow(row.line, code, format, args...)
		r.Text = row.text
		row.bad = &r
		return row, nil
	}
	if first.tooLong {
		row.text = "" // the rest of it is gone
		return bad(robin.CodeTooLarge, "is longer than %d bytes", d.lines.max)
	}
	p := csvParser{comma: d.comma}
	open, err := p.line(first.text)
	if err != nil {
		return bad(robin.CodeInvalid, "%s", err)
	}
	size := len(first.text)
	var more []csvLine
	broken := func(format string, args ...any) (csvRow, error) {
		d.again = append(more, d.again...)
		return bad(robin.CodeInvalid, format, args...)
	}
	for open {
		l, err := d.line()
		if errors.Is(err, io.EOF) {
			return broken("opens a quote that is never closed; the lines after it were read as rows of their own")
		}
		if err != nil {
			return csvRow{}, err
		}
		more = append(more, l)
		if size += len(l.text) + 1; l.tooLong || size > d.lines.max {
			return broken("opens a quote that is not closed within %d bytes; the lines after it were read as rows of their own", d.lines.max)
		}
		if open, err = p.line(l.text); err != nil {
			return broken("opens a quote that ends wrongly in line %d, which %s; the lines after it were read as rows of their own", l.number, err)
		}
	}
	if cells := len(withoutEmptyEnd(p.cells, len(d.header))); p.spanning == 1 && len(d.header) > 0 && cells != len(d.header) {
		return broken("opens a quote that is closed in line %d, and then has %d cells, the header has %d; the lines after it were read as rows of their own",
			more[len(more)-1].number, cells, len(d.header))
	}
	if len(more) > 0 {
		text := strings.Builder{}
		text.WriteString(first.text)
		for _, l := range more {
			text.WriteByte('\n')
			text.WriteString(l.text)
		}
		row.text = text.String()
	}
	row.cells = p.cells
	return row, nil
}

// csvParser takes a row's lines one by one.
type csvParser struct {
	comma string
	cells []string
	cell  strings.Builder // of the quoted cell that is open
	open  bool

	spanning int // cells of more than one line
}

// line adds one line and says whether a quoted cell goes on after it.
func (p *csvParser) line(s string) (open bool, err error) {
	if p.open {
		p.cell.WriteByte('\n')
	}
	begun := false
	for {
		if !p.open {
			if !strings.HasPrefix(s, `"`) {
				cell, rest, more := strings.Cut(s, p.comma)
				p.cells = append(p.cells, cell)
				if !more {
					return false, nil
				}
				s = rest
				continue
			}
			p.open, begun, s = true, true, s[1:]
			p.cell.Reset()
		}
		i := strings.IndexByte(s, '"')
		if i < 0 {
			p.cell.WriteString(s)
			if begun {
				p.spanning++
			}
			return true, nil
		}
		p.cell.WriteString(s[:i])
		switch s = s[i+1:]; {
		case strings.HasPrefix(s, `"`):
			p.cell.WriteByte('"')
			s = s[1:]
			continue
		case s == "":
			p.close()
			return false, nil
		case strings.HasPrefix(s, p.comma):
			p.close()
			s = s[len(p.comma):]
		default:
			return false, fmt.Errorf("has text after the closing quote of cell %d; double a quote that is part of the text", len(p.cells)+1)
		}
	}
}

func (p *csvParser) close() {
	p.cells = append(p.cells, p.cell.String())
	p.open = false
}

func (d *csvDecoder) next() (Row, error) {
	if !d.typed {
		d.guessTypes(sampleRows)
	}
	var row csvRow
	switch {
	case len(d.ahead) > 0:
		row, d.ahead = d.ahead[0], d.ahead[1:]
	case d.end != nil:
		return Row{}, d.end
	default:
		var err error
		if row, err = d.read(); err != nil {
			return Row{}, err
		}
	}
	if row.bad != nil {
		return *row.bad, nil
	}
	return d.object(row), nil
}

// withoutEmptyEnd cuts off the empty cells behind the header's last column: a delimiter at the end of each line.
func withoutEmptyEnd(cells []string, columns int) []string {
	for len(cells) > columns && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	return cells
}

// object makes the JSON object of a row, its fields in the header's order.
func (d *csvDecoder) object(row csvRow) Row {
	r := d.convert(row)
	r.Text = row.text
	return r
}

func (d *csvDecoder) convert(row csvRow) Row {
	row.cells = withoutEmptyEnd(row.cells, len(d.header))
	if len(row.cells) != len(d.header) {
		return badRow(row.line, robin.CodeInvalid, "has %d cells, the header has %d", len(row.cells), len(d.header))
	}
	buf := []byte{'{'}
	for i, cell := range row.cells {
		if !utf8.ValidString(cell) {
			return badRow(row.line, robin.CodeInvalid, "column %q is not valid UTF-8; save the file as UTF-8", d.header[i])
		}
		if cell == "" {
			continue
		}
		if len(buf) > 1 {
			buf = append(buf, ',')
		}
		buf = appendString(buf, d.header[i])
		buf = append(buf, ':')
		buf = appendCell(buf, cell, d.types[i])
	}
	return Row{Line: row.line, Raw: append(buf, '}')}
}

// appendCell writes a cell as its column's type. A cell that does not fit the type stays text, so that the check of the
// document names it.
func appendCell(buf []byte, cell string, t cellType) []byte {
	trimmed := strings.TrimSpace(cell)
	switch t {
	case cellNumber:
		if isNumber(trimmed) {
			return append(buf, trimmed...)
		}
		if f, err := strconv.ParseFloat(trimmed, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return strconv.AppendFloat(buf, f, 'g', -1, 64) // 007, +5, .5
		}
	case cellVector:
		if strings.HasPrefix(trimmed, "[") && json.Valid([]byte(trimmed)) {
			return append(buf, trimmed...)
		}
	case cellBool:
		switch strings.ToLower(trimmed) {
		case "true", "yes", "1":
			return append(buf, "true"...)
		case "false", "no", "0":
			return append(buf, "false"...)
		}
	}
	return appendString(buf, cell)
}

func appendString(buf []byte, s string) []byte {
	w := bytes.NewBuffer(buf)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return bytes.TrimSuffix(w.Bytes(), []byte("\n"))
}

// isNumber says whether s is a number as JSON writes it: no leading zeros, no plus sign.
func isNumber(s string) bool {
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return false
	}
	return json.Valid([]byte(s))
}

func (d *csvDecoder) setTypes(s robin.Settings) {
	d.typed = true
	for i, name := range d.header {
		switch t := s.Attributes[name]; {
		case name == s.VectorField:
			d.types[i] = cellVector
		case t == robin.Number:
			d.types[i] = cellNumber
		case t == robin.Bool:
			d.types[i] = cellBool
		default:
			d.types[i] = cellText
		}
	}
}

// guessTypes types each column from the first rows: number when most cells that are not empty are JSON numbers, bool
// when most are true, false, yes or no, text otherwise. Columns that are named like an id, an identifier or a text stay
// text, whatever they hold: 0012 and 12 are two products.
func (d *csvDecoder) guessTypes(n int) {
	if d.typed {
		return
	}
	d.typed = true
	for size := 0; len(d.ahead) < n && size < 16<<20; {
		row, err := d.read()
		if err != nil {
			d.end = err
			break
		}
		for _, c := range row.cells {
			size += len(c)
		}
		d.ahead = append(d.ahead, row)
	}
	for i, name := range d.header {
		if role := roleOf(name); role.textual() {
			continue
		}
		seen, numbers, bools := 0, 0, 0
		for _, row := range d.ahead {
			if i >= len(row.cells) || row.cells[i] == "" {
				continue
			}
			seen++
			cell := strings.TrimSpace(row.cells[i])
			if isNumber(cell) {
				numbers++
			}
			switch strings.ToLower(cell) {
			case "true", "false", "yes", "no":
				bools++
			}
		}
		switch {
		case most(numbers, seen):
			d.types[i] = cellNumber
		case most(bools, seen):
			d.types[i] = cellBool
		}
	}
}
