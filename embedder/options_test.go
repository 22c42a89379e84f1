package embedder

import (
	"runtime"
	"testing"
)

func TestAWorkerHasOneThreadUnlessMoreAreAskedFor(t *testing.T) {
	for _, c := range []struct{ asked, want Options }{
		{Options{}, Options{Workers: runtime.NumCPU(), Threads: 1}},
		{Options{Workers: 1}, Options{Workers: 1, Threads: 1}}, // --threads 1 on any machine
		{Options{Workers: 1, Threads: 2}, Options{Workers: 1, Threads: 2}},
	} {
		if got := c.asked.withDefaults(); got.Workers != c.want.Workers || got.Threads != c.want.Threads {
			t.Errorf("%+v gives %d workers of %d threads", c.asked, got.Workers, got.Threads)
		}
	}
}
