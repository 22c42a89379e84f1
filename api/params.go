package api

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"robin"

	"github.com/labstack/echo/v4"
)

// params are a request's query parameters. Reading one that does not parse is noted; err gives all that were noted.
type params struct {
	values url.Values
	errs   []robin.FieldError
}

// queryParams reads the query string and refuses parameters that are not among known.
func queryParams(c echo.Context, known []string) (*params, error) {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, robin.Errorf(robin.CodeInvalid, "the query string is not valid: %w", err)
	}
	p := &params{values: values}
	for name, vs := range values {
		if !contains(known, name) {
			p.bad(name, "is not a parameter here"+suggest(name, append([]string(nil), known...)))
		}
		for _, v := range vs {
			if !utf8.ValidString(v) {
				p.bad(name, "is not valid UTF-8")
			}
		}
	}
	return p, p.err()
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func (p *params) bad(name, detail string) {
	if len(p.errs) < maxFieldErrors {
		p.errs = append(p.errs, robin.FieldError{Pointer: "/" + strings.ReplaceAll(clip(name), ".", "/"), Detail: detail})
	}
}

func (p *params) err() error {
	if len(p.errs) == 0 {
		return nil
	}
	return &robin.Error{Code: robin.CodeInvalid, Message: "the query parameters are not valid", Fields: p.errs}
}

// one gives a parameter that may be given once.
func (p *params) one(name string) (string, bool) {
	vs := p.values[name]
	if len(vs) > 1 {
		p.bad(name, "is given "+strconv.Itoa(len(vs))+" times")
	}
	if len(vs) == 0 {
		return "", false
	}
	return vs[0], true
}

func (p *params) text(name string) string {
	v, _ := p.one(name)
	return v
}

func (p *params) integer(name string) *int {
	v, ok := p.one(name)
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		p.bad(name, "must be an integer, is "+strconv.Quote(clip(v)))
		return nil
	}
	return &n
}

func (p *params) number(name string) *float64 {
	v, ok := p.one(name)
	if !ok {
		return nil
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		p.bad(name, "must be a number, is "+strconv.Quote(clip(v)))
		return nil
	}
	return &f
}

func (p *params) boolean(name string) bool {
	v, ok := p.one(name)
	switch {
	case !ok, v == "false":
		return false
	case v == "true":
		return true
	}
	p.bad(name, "must be true or false, is "+strconv.Quote(clip(v)))
	return false
}

// list gives a parameter's values: separated by commas, or the parameter given several times.
func (p *params) list(name string) []string {
	var out []string
	for _, v := range p.values[name] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}
