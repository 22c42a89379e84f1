package ann

import "testing"

// eachKernel runs f with every set of kernels that this processor has.
func eachKernel[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(T)) {
	neon, sdot := hasNEON, hasSDOT
	defer func() { hasNEON, hasSDOT = neon, sdot }()
	hasNEON, hasSDOT = false, false
	t.Run("plain", f)
	hasNEON = true
	t.Run("NEON", f)
	if hasSDOT = sdot; !sdot {
		t.Log("SDOT: not on this processor")
		return
	}
	t.Run("NEON SDOT", f)
}
