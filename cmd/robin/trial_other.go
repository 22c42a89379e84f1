//go:build !linux

package main

// limitMemory does nothing: other systems have no limit that counts what a process writes to. The time limit holds there.
func limitMemory(int64) error { return nil }
