package dump_test

import (
	"syscall"
	"time"
)

// cpuTime is the processor's time that the program has used: what counts on a
// machine that is busy with other things.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
