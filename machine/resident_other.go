//go:build !linux

package machine

// Resident is how many bytes of memory of its own this process holds; 0 where the system does not say.
func Resident() int64 { return 0 }
