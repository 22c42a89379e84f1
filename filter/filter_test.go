package filter

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"robin"
)

func TestExpressionsBecomeTheTreeTheyMean(t *testing.T) {
	f := func(s string, want Node) {
		t.Helper()
		got, err := Parse(s)
		if err != nil {
			t.Errorf("Parse(%q): %v", s, err)
			return
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q) = %#v, want %#v", s, got, want)
		}
	}
	a, b, c := Compare{"a", Equal, "1"}, Compare{"b", Equal, "2"}, Compare{"c", Equal, "3"}
	f("", nil)
	f(" \t\n ", nil)
	f(`price < 50 AND brand IN [acme, "b co"]`, And{Compare{"price", Less, "50"}, In{"brand", []string{"acme", "b co"}}})
	f("a=1 OR b=2 AND c=3", Or{a, And{b, c}}) // AND binds tighter
	f("(a=1 OR b=2) AND c=3", And{Or{a, b}, c})
	f("NOT a=1 AND b=2", And{Not{a}, b}) // NOT binds tightest
	f("not a=1 and b=2 or c=3", Or{And{Not{a}, b}, c})
	f("a=1 AND (b=2 AND c=3)", And{a, And{b, c}})
	f("((a=1))", a)
	f("NOT NOT a = 1", Not{Not{a}})
	f("price>=-1.5e+3", Compare{"price", GreaterOrEqual, "-1.5e+3"})
	f("a!=1", Compare{"a", NotEqual, "1"})
	f("a<=1", Compare{"a", LessOrEqual, "1"})
	f("a>1", Compare{"a", Greater, "1"})
	f("added > 2024-01-01T10:00:00Z", Compare{"added", Greater, "2024-01-01T10:00:00Z"})
	f("specs.net-weight_g = 1", Compare{"specs.net-weight_g", Equal, "1"})
	f(`"a field" = 'it\'s "x"'`, Compare{"a field", Equal, `it's "x"`})
	f(`a = "\\ \" \n\t\r"`, Compare{"a", Equal, "\\ \" \n\t\r"})
	f(`a = ""`, Compare{"a", Equal, ""})
	f("brand NOT IN [x]", Not{In{"brand", []string{"x"}}})
	f("brand exists", Exists{"brand"})
	f("brand NOT EXISTS", Not{Exists{"brand"}})
	f(`"not" = "and"`, Compare{"not", Equal, "and"})
	f("android = inside", Compare{"android", Equal, "inside"}) // begins like a keyword
	f(`a = "(a+)+$"`, Compare{"a", Equal, "(a+)+$"})
	f("a = *a*b*", Compare{"a", Equal, "*a*b*"})
	f("größe = 日本語", Compare{"größe", Equal, "日本語"})
}

func TestErrorsNameTheCharacterAndWhatWasExpected(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		_, err := Parse(s)
		var e *robin.Error
		if !errors.As(err, &e) || e.Code != robin.CodeInvalid || len(e.Fields) != 1 || e.Fields[0].Pointer != "/filter" {
			t.Errorf("Parse(%q): %v is not one error for /filter", s, err)
			return
		}
		if e.Fields[0].Detail != want {
			t.Errorf("Parse(%q):\n got %s\nwant %s", s, e.Fields[0].Detail, want)
		}
	}
	f("price", `at character 6: expected =, !=, <, <=, >, >=, IN or EXISTS after the field "price", found the end`)
	f("price < ", "at character 9: expected a value, found the end")
	f("price < 50 brand = x", `at character 12: expected AND, OR or the end, found "brand"`)
	f("a = 1 && b = 2", `at character 7: expected AND, OR or the end, found "&&"; write AND`)
	f("a == 1", `at character 4: expected a value (equality is a single =), found "="`)
	f("größe ! 1", `at character 7: expected =, !=, <, <=, >, >=, IN or EXISTS after the field "größe", found "!"; write NOT`)
	f("a = AND", `at character 5: expected a value (put a value that is a keyword in quotes), found "AND"`)
	f("(a = 1", "at character 1: the ( has no closing )")
	f("a = 1)", `at character 6: expected AND, OR or the end, found ")"`)
	f("a IN []", `at character 7: expected a value, found "]"`)
	f("a IN [x y]", `at character 9: expected , or ], found "y"`)
	f("a IN x", `at character 6: expected [ after IN, found "x"`)
	f("a NOT 5", `at character 7: expected IN or EXISTS after NOT, found "5"`)
	f("a = 'x", "at character 5: the quote ' has no closing '")
	f(`a = "\q"`, `at character 6: expected \\, \", \', \n, \r or \t, found \q`)
	f("AND", `at character 1: expected a field name, NOT or (, found "AND"`)
	f("a = \x00", `at character 5: the character '\x00' must be inside quotes`)
	f("a = \xff", "is not valid UTF-8")
	f("NOT", "at character 4: expected a field name, NOT or (, found the end")
}

func TestDepthAndSizeAreBoundedWhileParsing(t *testing.T) {
	ok := func(s string) {
		t.Helper()
		if _, err := Parse(s); err != nil {
			t.Errorf("%.40q…: %v", s, err)
		}
	}
	bad := func(s, want string) {
		t.Helper()
		start := time.Now()
		_, err := Parse(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q…: error %v, want %q in it", s, err, want)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%.40q… took %v", s, d)
		}
	}
	nest := func(n int) string { return strings.Repeat("(", n) + "a=1" + strings.Repeat(")", n) }
	ok(nest(robin.MaxFilterDepth))
	bad(nest(robin.MaxFilterDepth+1), "nested more than 20 deep")
	ok(strings.Repeat("NOT ", robin.MaxFilterDepth) + "a=1")
	bad(strings.Repeat("NOT ", robin.MaxFilterDepth+1)+"a=1", "nested more than 20 deep")
	bad(strings.Repeat("(", robin.MaxFilterBytes), "nested more than 20 deep")
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat("a=1 OR ", n), " OR ") }
	ok(many(robin.MaxFilterNodes - 1)) // the OR is a node too
	bad(many(robin.MaxFilterNodes), "more than 200 conditions")
	bad("a = "+strings.Repeat("x", robin.MaxFilterBytes), "the limit is 16384")
	ok("a IN [" + strings.Repeat("x,", 4000) + "x]") // a long list is one condition
	ok(strings.TrimSuffix(strings.Repeat(nest(1)+" AND ", 150), " AND "))
}

func TestFieldsAreListedOnceInOrder(t *testing.T) {
	n, err := Parse("b = 1 AND (a EXISTS OR NOT c IN [x]) AND b < 3")
	if err != nil {
		t.Fatal(err)
	}
	if got := Fields(n); !reflect.DeepEqual(got, []string{"b", "a", "c"}) {
		t.Errorf("Fields = %v", got)
	}
	if got := Fields(nil); got != nil {
		t.Errorf("Fields(nil) = %v", got)
	}
}

// FuzzParse holds that what parses prints to an expression that parses to the same tree, and that nothing panics.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a=1", `price < 50 AND brand IN [acme, "b co"]`, "NOT (a EXISTS OR b != 'x\\'y') AND c NOT IN [1,2]",
		"((((((", `a = "\\`, "a = \u00a0", "größe >= 日本", "a<>b", "[],", "NOT NOT NOT a=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			if robin.CodeOf(err) != robin.CodeInvalid {
				t.Fatalf("Parse(%q): code %s", s, robin.CodeOf(err))
			}
			return
		}
		if n == nil {
			return
		}
		printed := n.String()
		if len(printed) > robin.MaxFilterBytes {
			return
		}
		again, err := Parse(printed)
		if err != nil {
			t.Fatalf("%q printed as %q, which does not parse: %v", s, printed, err)
		}
		if !reflect.DeepEqual(n, again) {
			t.Fatalf("%q printed as %q, which is another tree", s, printed)
		}
	})
}
