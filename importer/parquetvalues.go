package importer

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// scalar appends one Parquet value as JSON, or says what keeps it from being JSON.
type scalar func(buf []byte, v parquet.Value) ([]byte, string)

// scalarOf finds how the values of a column are written. Times become RFC 3339, dates YYYY-MM-DD, decimals numbers with
// all their digits. A timestamp without a time zone is taken for UTC.
func scalarOf(c *parquet.Column) (scalar, error) {
	kind := c.Type().Kind()
	switch t := logical(c).(type) {
	case *format.DecimalType:
		if t.Scale < 0 || t.Scale > 1000 {
			return nil, fmt.Errorf("its scale is %d", t.Scale)
		}
		return decimalOf(kind, int(t.Scale))
	case *format.DateType:
		if kind == parquet.Int32 {
			return func(buf []byte, v parquet.Value) ([]byte, string) {
				return appendTime(buf, time.Unix(int64(v.Int32())*24*60*60, 0), time.DateOnly)
			}, nil
		}
	case *format.TimestampType:
		if kind == parquet.Int64 {
			unit := unitOf(t.Unit)
			return func(buf []byte, v parquet.Value) ([]byte, string) {
				per := int64(time.Second / unit)
				return appendTime(buf, time.Unix(v.Int64()/per, v.Int64()%per*int64(unit)), time.RFC3339Nano)
			}, nil
		}
	case *format.TimeType:
		unit := unitOf(t.Unit)
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			n := int64(0)
			if kind == parquet.Int32 {
				n = int64(v.Int32())
			} else {
				n = v.Int64()
			}
			if n < 0 || n > int64(24*time.Hour/unit) {
				return buf, "holds a time of day outside the day"
			}
			return appendTime(buf, time.Unix(0, n*int64(unit)), "15:04:05.999999999")
		}, nil
	case *format.IntType:
		switch {
		case !t.IsSigned && kind == parquet.Int32:
			return func(buf []byte, v parquet.Value) ([]byte, string) {
				return strconv.AppendUint(buf, uint64(v.Uint32()), 10), ""
			}, nil
		case !t.IsSigned && kind == parquet.Int64:
			return func(buf []byte, v parquet.Value) ([]byte, string) {
				return strconv.AppendUint(buf, v.Uint64(), 10), ""
			}, nil
		}
	case *format.UUIDType:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			h := hex.EncodeToString(v.ByteArray())
			if len(h) != 32 {
				return buf, "holds a UUID that is not 16 bytes long"
			}
			return fmt.Appendf(buf, `"%s-%s-%s-%s-%s"`, h[:8], h[8:12], h[12:16], h[16:20], h[20:]), ""
		}, nil
	case *format.JsonType:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			if b := bytes.TrimSpace(v.ByteArray()); json.Valid(b) {
				return append(buf, b...), ""
			}
			return buf, "holds a JSON value that is not valid JSON"
		}, nil
	case *format.BsonType:
		return nil, errors.New("it holds BSON")
	case *format.Float16Type:
		return nil, errors.New("it holds half-precision numbers")
	case *format.VariantType, *format.GeometryType, *format.GeographyType:
		return nil, fmt.Errorf("it holds values of the type %s", t)
	}
	return physicalOf(c, kind)
}

// physicalOf is for a column whose type says no more than how its values are stored.
func physicalOf(c *parquet.Column, kind parquet.Kind) (scalar, error) {
	if t := c.Type().ConvertedType(); t != nil && *t == deprecated.Interval {
		return nil, errors.New("it holds intervals")
	}
	switch kind {
	case parquet.Boolean:
		return func(buf []byte, v parquet.Value) ([]byte, string) { return strconv.AppendBool(buf, v.Boolean()), "" }, nil
	case parquet.Int32:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			return strconv.AppendInt(buf, int64(v.Int32()), 10), ""
		}, nil
	case parquet.Int64:
		return func(buf []byte, v parquet.Value) ([]byte, string) { return strconv.AppendInt(buf, v.Int64(), 10), "" }, nil
	case parquet.Int96:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			// Nanoseconds of the day, then the Julian day: how Impala and early Spark wrote timestamps.
			const unixEpoch = 2_440_588
			i := v.Int96()
			nanos := int64(uint64(i[1])<<32 | uint64(i[0]))
			return appendTime(buf, time.Unix((int64(i[2])-unixEpoch)*24*60*60, nanos), time.RFC3339Nano)
		}, nil
	case parquet.Float:
		return func(buf []byte, v parquet.Value) ([]byte, string) { return appendFloat(buf, float64(v.Float()), 32) }, nil
	case parquet.Double:
		return func(buf []byte, v parquet.Value) ([]byte, string) { return appendFloat(buf, v.Double(), 64) }, nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			b := v.ByteArray()
			if !utf8.Valid(b) {
				return buf, "holds bytes that are not UTF-8 text"
			}
			return appendString(buf, string(b)), ""
		}, nil
	}
	return nil, fmt.Errorf("it has the type %s", c.Type())
}

func appendFloat(buf []byte, f float64, bits int) ([]byte, string) {
	switch {
	case math.IsNaN(f):
		return buf, "holds NaN, which JSON does not have"
	case math.IsInf(f, 0):
		return buf, "holds an infinite number, which JSON does not have"
	}
	form := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) { // as encoding/json and JavaScript do
		form = 'e'
	}
	return strconv.AppendFloat(buf, f, form, -1, bits), ""
}

func appendTime(buf []byte, t time.Time, layout string) ([]byte, string) {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return buf, "holds a time outside the years 0 to 9999"
	}
	buf = append(buf, '"')
	buf = t.AppendFormat(buf, layout)
	return append(buf, '"'), ""
}

func unitOf(u format.TimeUnit) time.Duration {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return time.Millisecond
	case *format.MicroSeconds:
		return time.Microsecond
	}
	return time.Nanosecond
}

func decimalOf(kind parquet.Kind, scale int) (scalar, error) {
	switch kind {
	case parquet.Int32:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			return appendDecimal(buf, strconv.FormatInt(int64(v.Int32()), 10), scale), ""
		}, nil
	case parquet.Int64:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			return appendDecimal(buf, strconv.FormatInt(v.Int64(), 10), scale), ""
		}, nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return func(buf []byte, v parquet.Value) ([]byte, string) {
			const most = 128 // bytes; decimal256 has 32
			b := v.ByteArray()
			if len(b) > most {
				return buf, fmt.Sprintf("holds a decimal of %d bytes", len(b))
			}
			n := new(big.Int).SetBytes(b)
			if len(b) > 0 && b[0] >= 0x80 { // two's complement
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
			}
			return appendDecimal(buf, n.String(), scale), ""
		}, nil
	}
	return nil, fmt.Errorf("it holds decimals as %s", kind)
}

// appendDecimal puts the point before the last scale digits.
func appendDecimal(buf []byte, digits string, scale int) []byte {
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		buf, digits = append(buf, '-'), rest
	}
	if scale == 0 {
		return append(buf, digits...)
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	buf = append(buf, digits[:len(digits)-scale]...)
	buf = append(buf, '.')
	return append(buf, digits[len(digits)-scale:]...)
}
