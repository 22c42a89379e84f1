//go:build !linux

package embedder

func background(int) {}
