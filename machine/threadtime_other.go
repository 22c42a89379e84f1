//go:build !linux

package machine

import "time"

// ThreadTime is how much processor time the calling thread has had; 0 where the system does not say.
func ThreadTime() time.Duration { return 0 }
