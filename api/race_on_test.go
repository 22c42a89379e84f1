//go:build race

package api

// raceFactor stretches time limits: the race detector makes code about ten times slower.
const raceFactor = 10
