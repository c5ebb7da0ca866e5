package runtime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Elapsed reads CLOCK_BOOTTIME, which counts suspension as CLOCK_MONOTONIC does
// not (clock_gettime(2)).
func (systemClock) Elapsed() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("runtime: CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
