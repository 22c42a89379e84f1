package machine

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// Resident is how many bytes of memory of its own this process holds, after all that is free has been given back; 0 where
// the system does not say.
func Resident() int64 {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}
