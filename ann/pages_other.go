//go:build !linux

package ann

func hugePages[T float32 | uint32]([]T) {}
