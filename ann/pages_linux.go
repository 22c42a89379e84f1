package ann

import (
	"syscall"
	"unsafe"
)

const hugePage = 2 << 20

// hugePages asks the system to back a slab with huge pages, as far as it holds whole ones. It is a wish: where it is not
// granted all works as before, and more slowly.
func hugePages[T number](slab []T) {
	start := unsafe.Pointer(unsafe.SliceData(slab))
	skip := -uintptr(start) % hugePage
	length := uintptr(len(slab)) * unsafe.Sizeof(slab[0])
	if length < skip+hugePage {
		return
	}
	whole := unsafe.Slice((*byte)(unsafe.Add(start, skip)), (length-skip)/hugePage*hugePage)
	_ = syscall.Madvise(whole, syscall.MADV_HUGEPAGE)
}
