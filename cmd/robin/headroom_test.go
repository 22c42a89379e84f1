package main

import "testing"

func TestGarbageIsBoundedWhateverIsAlive(t *testing.T) {
	f := func(live uint64, want int) {
		t.Helper()
		if got := headroomPercent(live); got != want {
			t.Errorf("%d MiB alive: %d %%, want %d", live>>20, got, want)
		}
	}
	f(0, 100)
	f(64<<20, 100)
	f(128<<20, 50)
	f(640<<20, 10)
	f(1<<40, 5)
}
