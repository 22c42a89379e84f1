package ann

import (
	"syscall"
	"unsafe"
)

const hugePage = 2 << 20

// hugePages asks the system to back a slab with huge pages, as far as it holds whole ones. It is a wish: where it is not
// granted all works as before, and more slowly.
func hugePages[T number](slab []T) {
	if whole := wholePages(slab, hugePage); whole != nil {
		_ = syscall.Madvise(whole, syscall.MADV_HUGEPAGE)
	}
}

// madvCollapse is MADV_COLLAPSE of Linux 6.1: the system moves what is there to huge pages now.
const madvCollapse = 25

// collapse is hugePages for a slab that is in use.
func collapse[T number](slab []T) {
	if whole := wholePages(slab, hugePage); whole != nil {
		_ = syscall.Madvise(whole, syscall.MADV_HUGEPAGE)
		_ = syscall.Madvise(whole, madvCollapse)
	}
}

// madvPopulateWrite is MADV_POPULATE_WRITE of Linux 5.14.
const madvPopulateWrite = 23

// populate has the system give memory for some rows at once, and not page by page as they are written.
func populate[T number](part []T) {
	if whole := wholePages(part, uintptr(syscall.Getpagesize())); whole != nil {
		_ = syscall.Madvise(whole, madvPopulateWrite)
	}
}

// wholePages is the part of a slab that is whole pages of a size.
func wholePages[T number](slab []T, page uintptr) []byte {
	start := unsafe.Pointer(unsafe.SliceData(slab))
	skip := -uintptr(start) % page
	length := uintptr(len(slab)) * unsafe.Sizeof(slab[0])
	if length < skip+page {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(start, skip)), (length-skip)/page*page)
}
