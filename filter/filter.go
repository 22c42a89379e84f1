// Package filter reads filter expressions such as
//
//	price < 50 AND brand IN [acme, "b co"] AND NOT (discontinued = true OR stock = 0)
//
// into a small tree. It knows nothing of columns or types: what a field is, and whether "50" is a number, is decided
// where the tree is evaluated (package attr).
//
//	filter  = [ expr ] ;
//	expr    = and { "OR" and } ;
//	and     = unary { "AND" unary } ;
//	unary   = "NOT" unary | "(" expr ")" | test ;
//	test    = name op value
//	        | name [ "NOT" ] "IN" "[" value { "," value } "]"
//	        | name [ "NOT" ] "EXISTS" ;
//	op      = "=" | "!=" | "<" | "<=" | ">" | ">=" ;
//	name    = word | quoted ;
//	value   = word | quoted ;
//	word    = one or more characters other than white space, control characters and ( ) [ ] , = ! < > " ' \
//	          that do not spell a keyword ;
//	quoted  = '"' { character | escape } '"' | "'" { character | escape } "'" ;
//	escape  = "\" ( "\" | '"' | "'" | "n" | "r" | "t" ) ;
//
// The keywords AND, OR, NOT, IN and EXISTS are read in any case; a field or value of that name is quoted. NOT binds
// tighter than AND, and AND tighter than OR. There are no patterns: a * is a character like any other. An empty filter
// passes everything. Parsing takes one pass over the text, and stops at robin.MaxFilterDepth nested parentheses and
// NOTs or robin.MaxFilterNodes nodes, so a hostile filter costs no more than its length.
package filter

import (
	"strings"
	"unicode"
)

// Node is one node of the tree: And, Or, Not, Compare, In or Exists. String gives an expression that parses to an
// equal node.
type Node interface {
	String() string
	write(b *strings.Builder)
}

// And passes what all of its nodes pass. It has at least two.
type And []Node

// Or passes what one of its nodes passes. It has at least two.
type Or []Node

// Not passes exactly what its node does not.
type Not struct{ Node Node }

// Compare tests a field against one value.
type Compare struct {
	Field string
	Op    Op
	Value string
}

// In tests whether a field has one of the values. There is at least one.
type In struct {
	Field  string
	Values []string
}

// Exists tests whether a field has any value.
type Exists struct{ Field string }

// Op is a comparison operator.
type Op string

// The operators.
const (
	Equal          Op = "="
	NotEqual       Op = "!="
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
)

func (n And) String() string     { return text(n) }
func (n Or) String() string      { return text(n) }
func (n Not) String() string     { return text(n) }
func (n Compare) String() string { return text(n) }
func (n In) String() string      { return text(n) }
func (n Exists) String() string  { return text(n) }

func text(n Node) string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n And) write(b *strings.Builder) { writeList(b, n, " AND ") }
func (n Or) write(b *strings.Builder)  { writeList(b, n, " OR ") }

func (n Not) write(b *strings.Builder) {
	b.WriteString("NOT ")
	writeOperand(b, n.Node)
}

func (n Compare) write(b *strings.Builder) {
	writeWord(b, n.Field)
	b.WriteString(" " + string(n.Op) + " ")
	writeWord(b, n.Value)
}

func (n In) write(b *strings.Builder) {
	writeWord(b, n.Field)
	b.WriteString(" IN [")
	for i, v := range n.Values {
		if i > 0 {
			b.WriteString(", ")
		}
		writeWord(b, v)
	}
	b.WriteString("]")
}

func (n Exists) write(b *strings.Builder) {
	writeWord(b, n.Field)
	b.WriteString(" EXISTS")
}

func writeList(b *strings.Builder, nodes []Node, sep string) {
	for i, n := range nodes {
		if i > 0 {
			b.WriteString(sep)
		}
		writeOperand(b, n)
	}
}

// writeOperand puts every nested list into parentheses, needed or not, so that the tree comes back with its shape.
func writeOperand(b *strings.Builder, n Node) {
	switch n.(type) {
	case And, Or:
		b.WriteString("(")
		n.write(b)
		b.WriteString(")")
	default:
		n.write(b)
	}
}

func writeWord(b *strings.Builder, s string) {
	plain := s != "" && keyword(s) == ""
	for _, r := range s {
		plain = plain && wordRune(r)
	}
	if plain {
		b.WriteString(s)
		return
	}
	b.WriteByte('"')
	for i := 0; i < len(s); i++ { // bytes: a quote or backslash is never part of a longer UTF-8 sequence
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

func wordRune(r rune) bool {
	return !unicode.IsSpace(r) && !unicode.IsControl(r) && !strings.ContainsRune("()[],=!<>\"'\\", r) && r != unicode.ReplacementChar
}

// keyword gives the keyword that s spells in any case, or "".
func keyword(s string) string {
	if len(s) > len("EXISTS") {
		return ""
	}
	switch k := strings.ToUpper(s); k {
	case "AND", "OR", "NOT", "IN", "EXISTS":
		return k
	}
	return ""
}

// Fields lists the fields that n names, each once, in the order of their first use. A nil node names none.
func Fields(n Node) []string {
	var names []string
	seen := map[string]bool{}
	add := func(f string) {
		if !seen[f] {
			seen[f] = true
			names = append(names, f)
		}
	}
	var walk func(Node)
	walk = func(n Node) {
		switch n := n.(type) {
		case And:
			for _, c := range n {
				walk(c)
			}
		case Or:
			for _, c := range n {
				walk(c)
			}
		case Not:
			walk(n.Node)
		case Compare:
			add(n.Field)
		case In:
			add(n.Field)
		case Exists:
			add(n.Field)
		}
	}
	walk(n)
	return names
}
