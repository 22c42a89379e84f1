//go:build !amd64 && !arm64

package ann

import "testing"

func eachKernel[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(T)) {
	t.Run("plain", f)
}
