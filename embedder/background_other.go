//go:build !linux

package embedder

func background(_ int, work func()) { work() }
