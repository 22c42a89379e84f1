//go:build !linux

package machine

import "runtime/debug"

// Resident is how many bytes of memory of its own this process holds, after all that is free has been given back; 0 where
// the system does not say.
func Resident() int64 {
	debug.FreeOSMemory()
	return 0
}
