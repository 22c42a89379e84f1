//go:build !linux

package ann

func hugePages[T number]([]T) {}

func collapse[T number]([]T) {}

func populate[T number]([]T) {}
