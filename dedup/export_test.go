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
