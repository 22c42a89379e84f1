//go:build !linux

package boltfile

import "os"

func willNeed(*os.File, int64, int64) {}

func inMemory(*os.File, int64) bool { return true }
