package importer

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"robin"
)

// coerce reads a scalar as a type. It gives new JSON where that differs from the value, and whether the value fits as it
// is or as the new JSON. null and "" are no value and fit every type. Text that can be read in two ways does not fit.
func coerce(value []byte, kind robin.AttributeType) (to []byte, fits bool) {
	if value[0] == 'n' || string(value) == `""` {
		return nil, true
	}
	isText := value[0] == '"'
	s := strings.TrimSpace(text(value))
	switch kind {
	case robin.Number:
		if !isText {
			return nil, value[0] != 't' && value[0] != 'f'
		}
		n, ok := number(s)
		if !ok {
			return nil, false
		}
		return []byte(n), true
	case robin.Bool:
		switch strings.ToLower(s) {
		case "true", "yes", "y", "on", "1":
			return unlessSame(value, "true"), true
		case "false", "no", "n", "off", "0":
			return unlessSame(value, "false"), true
		}
		return nil, false
	case robin.Date:
		if !isText {
			return nil, false // 20260131 and 1769860800 are numbers as well
		}
		d, ok := date(s)
		if !ok {
			return nil, false
		}
		return unlessSame(value, `"`+d+`"`), true
	}
	return nil, true // a keyword is any scalar
}

func unlessSame(value []byte, to string) []byte {
	if string(value) == to {
		return nil
	}
	return []byte(to)
}

// money is what may stand before or behind an amount.
var money = regexp.MustCompile(`(?i)^(?:[€$£¥₹₩₽₺]|eur|usd|gbp|chf|jpy|cny|inr|sek|nok|dkk|pln|czk|cad|aud|nzd|us\$|a\$|c\$|kr|zł|fr\.)\s*|\s*(?:[€$£¥₹₩₽₺]|eur|usd|gbp|chf|jpy|cny|inr|sek|nok|dkk|pln|czk|cad|aud|nzd|kr|zł|,-|\.-|-)$`)

// Amounts with groups of three digits. The group's sign says which of the two others is the decimal sign.
var (
	plainNumber = regexp.MustCompile(`^[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?$|^[0-9]+\.$`)
	commaPoint  = regexp.MustCompile(`^[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)$|^[0-9]{1,3}(?:,[0-9]{3}){2,}$`)         // 1,234.50 or 1,234,567
	pointComma  = regexp.MustCompile(`^[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)$|^[0-9]{1,3}(?:\.[0-9]{3}){2,}$`)        // 1.234,50 or 1.234.567
	spaced      = regexp.MustCompile(`^[0-9]{1,3}(?:[ '’\x{00a0}\x{202f}][0-9]{3})+(?:[.,][0-9]*)?$`)                // 1 234,50 or 1'234.50
	comma       = regexp.MustCompile(`^[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})$|^0,[0-9]{3}$|^[0-9]{4,},[0-9]+$|^0[0-9]*,$`) // 12,50; not 1,234
)

// number gives the digits of s as JSON writes them.
func number(s string) (string, bool) {
	s = money.ReplaceAllString(s, "")
	sign := ""
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		sign, s = "-", rest
	} else if rest, negative := strings.CutPrefix(s, "−"); negative {
		sign, s = "-", rest
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	s = strings.TrimSpace(money.ReplaceAllString(s, "")) // -€ 5
	switch {
	case plainNumber.MatchString(s):
	case commaPoint.MatchString(s):
		s = strings.ReplaceAll(s, ",", "")
	case pointComma.MatchString(s):
		s = strings.Replace(strings.ReplaceAll(s, ".", ""), ",", ".", 1)
	case spaced.MatchString(s):
		s = strings.Map(func(r rune) rune {
			switch {
			case r == ',':
				return '.'
			case r == '.' || unicode.IsDigit(r):
				return r
			}
			return -1
		}, s)
	case comma.MatchString(s):
		s = strings.Replace(s, ",", ".", 1)
	default:
		return "", false
	}
	if f, err := strconv.ParseFloat(s, 64); err != nil || strings.ContainsAny(s, "eE") {
		return strconv.FormatFloat(f, 'g', -1, 64), err == nil
	}
	whole, part, _ := strings.Cut(s, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if part = strings.TrimRight(part, "0"); part != "" {
		whole += "." + part
	}
	if whole == "0" {
		sign = ""
	}
	return sign + whole, true
}

// dateLayouts are the ways to write a date in which no part can be taken for another.
var dateLayouts = []string{
	"2006/1/2", "2006.1.2", "2006-1-2", "2.1.2006", "20060102",
	"2 Jan 2006", "2 January 2006", "2. January 2006", "Jan 2, 2006", "January 2, 2006", "Jan 2 2006", "January 2 2006", "2-Jan-2006", "2006-Jan-2",
}

// timeLayouts have a time of day; without a zone it is taken for UTC.
var timeLayouts = []string{
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05-0700",
	"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006/01/02 15:04:05",
	"2006-01-02 15:04:05 MST", time.RFC1123, time.RFC1123Z, time.RubyDate, time.UnixDate, time.ANSIC,
}

// date gives s as the write reads dates: YYYY-MM-DD or RFC 3339.
func date(s string) (string, bool) {
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return s, true
	}
	if _, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return s, true
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1000 {
			return t.Format(time.DateOnly), true
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil && knownZone(t) {
			return t.Format(time.RFC3339Nano), true
		}
	}
	return slashed(s)
}

// knownZone refuses abbreviations such as CET, which time.Parse reads as UTC when the machine does not know them.
func knownZone(t time.Time) bool {
	name, offset := t.Zone()
	return offset != 0 || name == "UTC" || name == "GMT" || name == ""
}

// slashed reads 31/01/2026 and 01/31/2026: the part above 12 is the day.
func slashed(s string) (string, bool) {
	day, dayErr := time.Parse("2/1/2006", s)
	month, monthErr := time.Parse("1/2/2006", s)
	switch {
	case dayErr == nil && (monthErr != nil || day.Equal(month)):
		return day.Format(time.DateOnly), true
	case monthErr == nil && dayErr != nil:
		return month.Format(time.DateOnly), true
	}
	return "", false
}
