package ann

import "testing"

// eachKernel runs f with every set of kernels that this processor has.
func eachKernel[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(T)) {
	avx2, avx512, vnni := hasAVX2, hasAVX512, hasVNNI
	defer func() { hasAVX2, hasAVX512, hasVNNI = avx2, avx512, vnni }()
	for _, set := range []struct {
		name               string
		avx2, avx512, vnni bool
	}{{name: "plain"}, {"AVX2", true, false, false}, {"AVX-512", true, true, false}, {"AVX-512 VNNI", true, true, true}} {
		if set.avx2 && !avx2 || set.avx512 && !avx512 || set.vnni && !vnni {
			t.Logf("%s: not on this processor", set.name)
			continue
		}
		hasAVX2, hasAVX512, hasVNNI = set.avx2, set.avx512, set.vnni
		t.Run(set.name, f)
	}
}
