package main

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// limitMemory bounds the memory that this process may write to, to so many bytes more than it has mapped by now, and lets it
// leave no core file.
func limitMemory(bytes int64) error {
	mapped, err := dataBytes()
	if err != nil {
		return err
	}
	limit := uint64(mapped + bytes)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// dataBytes is what RLIMIT_DATA counts of this process.
func dataBytes() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	var kb int64
	_, after, _ := bytes.Cut(status, []byte("VmData:"))
	if _, err := fmt.Sscan(string(after), &kb); err != nil {
		return 0, fmt.Errorf("read VmData: %w", err)
	}
	return kb << 10, nil
}
