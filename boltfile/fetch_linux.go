package boltfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// willNeed asks for length bytes of a file, or for all from offset on when length is 0.
func willNeed(f *os.File, offset, length int64) {
	_ = unix.Fadvise(int(f.Fd()), offset, length, unix.FADV_WILLNEED)
}

// inMemory says whether a byte of a file can be read without waiting for a disk. Where that cannot be told it says no.
func inMemory(f *os.File, offset int64) bool {
	n, _ := unix.Preadv2(int(f.Fd()), [][]byte{make([]byte, 1)}, offset, unix.RWF_NOWAIT)
	return n == 1
}
