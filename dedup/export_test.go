package dedup

import (
	"fmt"
	"hash/crc32"
	"strings"
)

// Sealed ends lines as Save does, so that a fuzzer gets past the checksum.
func Sealed(lines string) string {
	return lines + fmt.Sprintf(`{"end":{"lines":%d,"crc":%d}}`+"\n", strings.Count(lines, "\n"), crc32.Checksum([]byte(lines), castagnoli))
}

// Regress is regress, to be held against a plain reference.
func Regress(x [][]float64, y, w []float64, sign []int, lambda float64) (float64, []float64) {
	return regress(rows{x, y, w}, sign, lambda)
}

// Values are all features of a pair.
func Values(f Features) []float64 { return f.values() }
