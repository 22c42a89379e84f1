//go:build !amd64 && !arm64

package ann

import "unsafe"

func dots(dst, q []float32, rows []*float32)       { dotsGo(dst, q, rows) }
func squares(dst, q []float32, rows []*float32)    { squaresGo(dst, q, rows) }
func codeDots(dst []int32, q []byte, rows []*byte) { codeDotsGo(dst, q, rows) }
func prefetch(unsafe.Pointer)                      {}
func fetchRows(unsafe.Pointer, int, int)           {}
