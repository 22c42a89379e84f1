package filter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"robin"
)

// Parse reads an expression. An expression of white space alone gives a nil Node, which passes everything. Every error
// is a robin.CodeInvalid error for /filter that names the character, counted from 1.
func Parse(s string) (Node, error) {
	if len(s) > robin.MaxFilterBytes {
		return nil, robin.Invalid("/filter", "has %d bytes, the limit is %d", len(s), robin.MaxFilterBytes)
	}
	if !utf8.ValidString(s) {
		return nil, robin.Invalid("/filter", "is not valid UTF-8")
	}
	p := &parser{s: s}
	p.next()
	if p.err == nil && p.tok.kind == end {
		return nil, nil
	}
	n := p.expr()
	if p.err == nil && p.tok.kind != end {
		p.fail("expected AND, OR or the end")
	}
	if p.err != nil {
		return nil, p.err
	}
	return n, nil
}

type kind int

const (
	end kind = iota
	word
	quoted
	reserved // text is the keyword in upper case
	op
	punct // one of ( ) [ ] ,
)

type token struct {
	kind kind
	text string
	pos  int // byte offset
}

// parser keeps the first error; once it is set, every method returns at once.
type parser struct {
	s     string
	off   int
	tok   token
	depth int
	nodes int
	err   error
}

func (p *parser) errorAt(off int, format string, args ...any) {
	if p.err == nil {
		p.err = robin.Invalid("/filter", "at character %d: %s", utf8.RuneCountInString(p.s[:off])+1, fmt.Sprintf(format, args...))
	}
}

// fail reports the current token against what was expected.
func (p *parser) fail(expected string) {
	found := "the end"
	hint := ""
	if p.tok.kind != end {
		found = fmt.Sprintf("%q", shorten(p.tok.text))
		switch p.tok.text {
		case "&&", "&":
			hint = "; write AND"
		case "||", "|":
			hint = "; write OR"
		case "!":
			hint = "; write NOT"
		}
	}
	p.errorAt(p.tok.pos, "%s, found %s%s", expected, found, hint)
}

func shorten(s string) string {
	const most = 40 // characters of a token that an error quotes
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

func (p *parser) next() {
	if p.err != nil {
		return
	}
	for p.off < len(p.s) {
		r, size := utf8.DecodeRuneInString(p.s[p.off:])
		if !unicode.IsSpace(r) {
			break
		}
		p.off += size
	}
	start := p.off
	if start == len(p.s) {
		p.tok = token{kind: end, pos: start}
		return
	}
	switch c := p.s[start]; c {
	case '(', ')', '[', ']', ',':
		p.off++
		p.tok = token{punct, p.s[start:p.off], start}
	case '=', '<', '>', '!':
		p.off++
		if c != '=' && p.off < len(p.s) && p.s[p.off] == '=' {
			p.off++
		}
		p.tok = token{op, p.s[start:p.off], start}
	case '"', '\'':
		p.quoted(c)
	default:
		for p.off < len(p.s) {
			r, size := utf8.DecodeRuneInString(p.s[p.off:])
			if !wordRune(r) {
				break
			}
			p.off += size
		}
		if p.off == start {
			r, _ := utf8.DecodeRuneInString(p.s[start:])
			p.errorAt(start, "the character %q must be inside quotes", r)
			return
		}
		text := p.s[start:p.off]
		if k := keyword(text); k != "" {
			p.tok = token{reserved, k, start}
		} else {
			p.tok = token{word, text, start}
		}
	}
}

func (p *parser) quoted(quote byte) {
	start := p.off
	var b strings.Builder
	for i := start + 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == quote:
			p.off = i + 1
			p.tok = token{quoted, b.String(), start}
			return
		case c == '\\' && i+1 < len(p.s):
			i++
			switch e := p.s[i]; e {
			case '\\', '"', '\'':
				b.WriteByte(e)
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			default:
				r, _ := utf8.DecodeRuneInString(p.s[i:])
				p.errorAt(i-1, `expected \\, \", \', \n, \r or \t, found \%c`, r)
				return
			}
		default:
			b.WriteByte(c)
		}
	}
	p.errorAt(start, "the quote %c has no closing %c", quote, quote)
}

// deeper enters one level of nesting; the caller leaves it by p.depth--.
func (p *parser) deeper() bool {
	p.depth++
	if p.depth > robin.MaxFilterDepth {
		p.errorAt(p.tok.pos, "nested more than %d deep", robin.MaxFilterDepth)
	}
	return p.err == nil
}

func (p *parser) count() {
	p.nodes++
	if p.nodes > robin.MaxFilterNodes {
		p.errorAt(p.tok.pos, "more than %d conditions and operators", robin.MaxFilterNodes)
	}
}

func (p *parser) isReserved(k string) bool { return p.tok.kind == reserved && p.tok.text == k }
func (p *parser) isPunct(c string) bool    { return p.tok.kind == punct && p.tok.text == c }

func (p *parser) expr() Node {
	first := p.and()
	if !p.isReserved("OR") || p.err != nil {
		return first
	}
	p.count()
	list := Or{first}
	for p.isReserved("OR") && p.err == nil {
		p.next()
		list = append(list, p.and())
	}
	return list
}

func (p *parser) and() Node {
	first := p.unary()
	if !p.isReserved("AND") || p.err != nil {
		return first
	}
	p.count()
	list := And{first}
	for p.isReserved("AND") && p.err == nil {
		p.next()
		list = append(list, p.unary())
	}
	return list
}

func (p *parser) unary() Node {
	if p.err != nil {
		return nil
	}
	switch {
	case p.isReserved("NOT"):
		if !p.deeper() {
			return nil
		}
		p.count()
		p.next()
		n := Not{p.unary()}
		p.depth--
		return n
	case p.isPunct("("):
		if !p.deeper() {
			return nil
		}
		open := p.tok.pos
		p.next()
		n := p.expr()
		if p.err == nil && p.tok.kind == end {
			p.errorAt(open, "the ( has no closing )")
		}
		if !p.isPunct(")") {
			p.fail("expected AND, OR or )")
			return nil
		}
		p.next()
		p.depth--
		return n
	}
	return p.test()
}

func (p *parser) test() Node {
	p.count()
	if p.err != nil {
		return nil
	}
	if p.tok.kind != word && p.tok.kind != quoted {
		p.fail("expected a field name, NOT or (")
		return nil
	}
	field := p.tok.text
	p.next()
	negated := p.isReserved("NOT")
	if negated {
		p.count()
		p.next()
	}
	var n Node
	switch {
	case p.err != nil:
		return nil
	case p.isReserved("IN"):
		n = p.in(field)
	case p.isReserved("EXISTS"):
		p.next()
		n = Exists{field}
	case negated:
		p.fail("expected IN or EXISTS after NOT")
		return nil
	case p.tok.kind == op && p.tok.text != "!":
		o := Op(p.tok.text)
		p.next()
		if p.err == nil && p.tok.kind == op && p.tok.text == "=" {
			p.fail("expected a value (equality is a single =)")
		}
		n = Compare{field, o, p.value()}
	default:
		p.fail("expected =, !=, <, <=, >, >=, IN or EXISTS after the field " + fmt.Sprintf("%q", shorten(field)))
		return nil
	}
	if negated {
		return Not{n}
	}
	return n
}

func (p *parser) in(field string) Node {
	p.next()
	if !p.isPunct("[") {
		p.fail("expected [ after IN")
		return nil
	}
	p.next()
	n := In{Field: field, Values: []string{p.value()}}
	for p.err == nil && p.isPunct(",") {
		p.next()
		n.Values = append(n.Values, p.value())
	}
	if !p.isPunct("]") {
		p.fail("expected , or ]")
		return nil
	}
	p.next()
	return n
}

func (p *parser) value() string {
	switch p.tok.kind {
	case word, quoted:
		v := p.tok.text
		p.next()
		return v
	case reserved:
		p.fail("expected a value (put a value that is a keyword in quotes)")
	default:
		p.fail("expected a value")
	}
	return ""
}
