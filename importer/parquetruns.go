package importer

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/parquet-go/parquet-go/format"
)

// Some encodings say in a few bytes that a value comes a billion times, or that each value begins with the megabyte
// that the one before began with. What is below counts what a page would become, with the letter of Parquet's
// Encodings.md.

var errRuns = errors.New("a page encodes more values than it says")

// checkValues looks at the levels and the values of a data page.
func checkValues(node *parquetNode, encoding format.Encoding, values int64, repetition, definition, data []byte) error {
	if node.rep > 0 {
		if err := checkRuns(repetition, bits.Len(uint(node.rep)), values); err != nil {
			return err
		}
	}
	if node.def > 0 {
		if err := checkRuns(definition, bits.Len(uint(node.def)), values); err != nil {
			return err
		}
	}
	switch encoding {
	case format.RLE: // booleans
		runs, _, err := prefixed(data)
		if err != nil {
			return err
		}
		return checkRuns(runs, 1, values)
	case format.RLEDictionary, 2: // 2 is the older name of it
		if len(data) == 0 {
			return nil
		}
		return checkRuns(data[1:], int(data[0]), values)
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		_, _, err := sumDeltas(data, values)
		return err
	case format.DeltaByteArray:
		shared, rest, err := sumDeltas(data, values)
		if err != nil {
			return err
		}
		if _, _, err := sumDeltas(rest, values); err != nil {
			return err
		}
		if shared > maxPageBytes {
			return fmt.Errorf("the values of a page have more than %d bytes", maxPageBytes)
		}
	}
	return nil
}

// checkRuns counts the values of the hybrid of run lengths and bit packing. The last group may be padded to 8.
func checkRuns(b []byte, width int, values int64) error {
	if width > 32 {
		return fmt.Errorf("a page packs its values in %d bits", width)
	}
	t := &thriftWalk{b: b}
	for count := uint64(0); t.i < len(b); {
		head, err := t.uvarint()
		if err != nil {
			return err
		}
		n, size := head>>1, uint64(width+7)/8
		if head&1 == 1 {
			if n > uint64(len(b)) && width > 0 {
				return errShort
			}
			size = n * uint64(width)
			n *= 8
		}
		if count += n; n > uint64(values)+7 || count > uint64(values)+7 {
			return errRuns
		}
		if err := t.advance(size); err != nil {
			return err
		}
	}
	return nil
}

// sumDeltas adds up the values of a delta-packed part of a page and gives what follows it. A sum beyond maxPageBytes is
// given as just more than it.
func sumDeltas(b []byte, values int64) (sum int64, rest []byte, err error) {
	t := &thriftWalk{b: b}
	var head [3]uint64 // values in a block, miniblocks in a block, values in all
	for i := range head {
		if head[i], err = t.uvarint(); err != nil {
			return 0, nil, err
		}
	}
	value, err := t.int()
	if err != nil {
		return 0, nil, err
	}
	block, minis, total := head[0], head[1], head[2]
	switch {
	case total > uint64(values):
		return 0, nil, errRuns
	case total == 0:
		return 0, b[t.i:], nil
	case block == 0 || block > 1<<16 || minis == 0 || block%minis != 0 || block/minis%8 != 0:
		return 0, nil, errors.New("a page has delta blocks of a size that there is not")
	}
	mini := block / minis
	add := func(v int64) { sum = min(sum+min(max(v, 0), maxPageBytes+1), maxPageBytes+1) }
	add(value)
	for left := total - 1; left > 0; {
		least, err := t.int()
		if err != nil {
			return 0, nil, err
		}
		widths := t.i
		if err := t.advance(minis); err != nil {
			return 0, nil, err
		}
		for m := uint64(0); m < minis && left > 0; m++ {
			width := uint64(b[widths+int(m)])
			if width > 64 {
				return 0, nil, fmt.Errorf("a page packs its values in %d bits", width)
			}
			at := t.i
			if err := t.advance(mini * width / 8); err != nil {
				return 0, nil, err
			}
			packed := b[at:t.i]
			for k := uint64(0); k < mini && left > 0; k++ {
				value += least + int64(unpack(packed, k*width, width))
				add(value)
				left--
			}
		}
	}
	return sum, b[t.i:], nil
}

// unpack reads width bits from bit at on, least significant first.
func unpack(b []byte, at, width uint64) (v uint64) {
	for n := uint64(0); n < width; {
		take := min(8-at%8, width-n)
		part := uint64(b[at/8]>>(at%8)) & (1<<take - 1)
		v |= part << n
		n += take
		at += take
	}
	return v
}
