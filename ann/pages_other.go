//go:build !linux

package ann

func hugePages[T number]([]T) {}

func collapse[T number]([]T) {}
