//go:build linux && !race

package machine

import (
	"runtime"
	"testing"
)

// The race detector keeps memory of its own beside that of the program, so this holds without it only.
func TestMemoryThatIsHeldIsCountedAndWhatIsFreeIsNot(t *testing.T) {
	const size = 64 << 20
	before := Resident()
	held := make([]byte, size)
	for i := range held {
		held[i] = byte(i)
	}
	if grown := Resident() - before; grown < size*9/10 || grown > size*11/10 {
		t.Errorf("holding %d bytes more counts as %d", size, grown)
	}
	runtime.KeepAlive(held)
	held = nil
	if left := Resident() - before; left > size/10 {
		t.Errorf("%d bytes stay after all is given back", left)
	}
}
