// Command keyspeed measures, inside a machine, what the library adds to one
// write(2) of a key. It prints the nanoseconds of each repetition as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/rescue"
	"github.com/sysrq/sysrq/transport/local"
)

func main() {
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure() error {
	rounds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	fd, err := syscall.Open("/proc/sysrq-trigger", syscall.O_WRONLY, 0)
	if err != nil {
		return err
	}
	t, err := local.Open(local.Options{})
	if err != nil {
		return err
	}
	defer t.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	const key = '4'
	raw := []byte{key}
	write := way{"write", func() error { _, err := syscall.Write(fd, raw); return err }}
	trigger := way{"trigger", func() error { return t.Trigger(ctx, key) }}
	steps := []sysrq.Step{{Command: sysrq.ForKeyOn(key, t.Properties().Arch)}}
	run := way{"rescue", func() error {
		for ev := range rescue.Run(ctx, t, steps, rescue.Options{}) {
			if ev.Type == sysrq.EventOutcome && ev.Outcome != sysrq.Done {
				return fmt.Errorf("%s: %s", ev.Outcome, ev.Text)
			}
		}
		return nil
	}}
	took := make(map[string][]int64)
	// What is compared takes turns, so that whatever else the machine does
	// meets all of it; and each goes first as often, since the second finds
	// warm caches.
	for i := range rounds {
		pair := []way{write, trigger}
		if i%2 == 1 {
			pair = []way{trigger, write}
		}
		for _, w := range pair {
			if err := w.time(took); err != nil {
				return err
			}
		}
	}
	for range rounds { // by itself: its goroutines would disturb what follows
		if err := run.time(took); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

// way is one way to send the key.
type way struct {
	name string
	do   func() error
}

func (w way) time(took map[string][]int64) error {
	began := time.Now()
	if err := w.do(); err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	took[w.name] = append(took[w.name], time.Since(began).Nanoseconds())
	return nil
}
