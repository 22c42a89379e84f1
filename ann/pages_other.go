//go:build !linux

package ann

func hugePages[T number]([]T) {}
