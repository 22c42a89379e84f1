//go:build !unix

package machine

import "time"

// CPUTime is how much processor time this process has had; 0 where the system does not say.
func CPUTime() time.Duration { return 0 }
