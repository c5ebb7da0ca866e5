//go:build !linux

package runtime

import "time"

// Elapsed is Go's monotonic clock here, which may not count suspension.
func (systemClock) Elapsed() time.Duration { return time.Since(processStart) }

//nolint:gochecknoglobals // the origin of a monotonic clock can be nothing else
var processStart = time.Now()
