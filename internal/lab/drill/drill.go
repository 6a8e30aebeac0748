// Package drill is the exercise that the project stands for: a machine on a
// real kernel is wedged with unsaved data in its memory, and rescued from
// outside by the sysrq program, while somebody counts what survives.
package drill

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// Teller is told how the drill goes. Methods are called one at a time.
type Teller interface {
	// Waiting says what is being waited for from now on.
	Waiting(what string)
	// Told is something that is settled.
	Told(what string)
	// Run runs the program, its output going wherever it shall. Of a dump only
	// the lines that begin with one of headings need to be shown; nil is all.
	Run(cmd *exec.Cmd, headings []string) error
}

// Config of a drill. The zero value is what `make rescue` does.
type Config struct {
	Program string // the sysrq program; it must be static
	Series  string // kernel series; empty means 6.1
	Seed    uint64
	MiB     int64 // unsaved data; 0 means 150
	BPS     int64 // the disk's speed; 0 means 20 MB/s
	// Blind replaces the program by keys typed with this pause between them.
	Blind time.Duration
	// Flags for the program, besides --yes and the target.
	Flags []string
}

// Report is what survived.
type Report struct {
	Kernel       string
	Unsaved      int64 // bytes in memory only, when the rescue began
	Stuck        int   // tasks in D state
	Size, Kept   int64 // of the file
	Clean        bool  // the file system needs no recovery, and e2fsck agrees
	Complaint    string
	Before, Boot string        // boot IDs
	Took         time.Duration // first key to the new boot's first sign
	Program      error         // how the program ended
}

// OK reports whether nothing was lost.
func (r Report) OK() bool {
	return r.Kept == r.Size && r.Clean && r.Boot != r.Before && r.Program == nil
}

// keysByHand is REISUB as it is typed.
const keysByHand = "reisub"

// Run does the drill.
func Run(ctx context.Context, c Config, t Teller) (Report, error) {
	c = c.defaults()
	r := Report{Size: c.MiB << 20}
	t.Waiting("finding a Debian kernel, series " + c.Series)
	kernel, err := lab.Find(ctx, "amd64", c.Series, t.Waiting)
	if err != nil {
		return r, err
	}
	r.Kernel = kernel.Release
	t.Waiting("booting " + kernel.Release + " in QEMU")
	m, err := lab.Start(ctx, lab.Config{
		Kernel: kernel, Init: c.Program, Shell: true, Progress: t.Waiting,
		Disks: []lab.Disk{{Ext4: "data", BPSWrite: c.BPS}, {Ext4: "stuck", MiB: 64}},
	})
	if err != nil {
		return r, err
	}
	defer m.Close()
	boot, err := m.WaitBoot(ctx)
	if err != nil {
		return r, err
	}
	r.Before = boot.ID
	t.Told(fmt.Sprintf("a machine on Linux %s, boot %s", boot.Release, boot.ID))
	if err := c.wedge(ctx, m, &r, t); err != nil {
		return r, err
	}
	begin := time.Now()
	if c.Blind > 0 {
		err = c.typeKeys(ctx, m, t)
	} else {
		r.Program, err = c.rescue(ctx, m, t)
	}
	if err != nil {
		return r, err
	}
	t.Waiting("waiting for the new boot")
	boot, err = m.WaitBoot(ctx)
	if err != nil {
		return r, err
	}
	r.Took = time.Since(begin)
	r.Boot = boot.ID
	if r.Boot == r.Before {
		return r, fmt.Errorf("the boot ID is still %s: the machine has not rebooted", r.Boot)
	}
	t.Told("up again, and it is a new boot: " + boot.ID)
	return r, c.count(ctx, m, &r, t)
}

func (c Config) defaults() Config {
	if c.Series == "" {
		c.Series = "6.1"
	}
	if c.MiB == 0 {
		c.MiB = 150
	}
	if c.BPS == 0 {
		c.BPS = 20_000_000
	}
	return c
}

// wedge fills the machine with unsaved data and takes its userspace away.
func (c Config) wedge(ctx context.Context, m *lab.Machine, r *Report, t Teller) error {
	t.Waiting(fmt.Sprintf("writing %d MiB that nobody syncs", c.MiB))
	if err := m.Mount(ctx, 0, "/data"); err != nil {
		return err
	}
	if err := m.Mount(ctx, 1, "/stuck"); err != nil {
		return err
	}
	if _, err := m.Dirty(ctx, "/data/file", r.Size, c.Seed); err != nil {
		return err
	}
	t.Waiting("wedging its userspace")
	if _, err := m.Hang(ctx, "/stuck", 4); err != nil {
		return err
	}
	// Debian's mask would forbid half of what is shown here.
	if err := m.Mask(ctx, 1); err != nil {
		return err
	}
	if err := m.Squeeze(ctx, 40); err != nil {
		return err
	}
	if err := m.KillShell(ctx); err != nil {
		return err
	}
	s, err := m.Status(ctx)
	if err != nil {
		return err
	}
	r.Unsaved, r.Stuck = s.Unsaved, s.Tasks["D"]
	t.Told(fmt.Sprintf("wedged: %d MiB unsaved on a disk of %d MB/s, %d tasks stuck in D state, %d MiB of memory left, no shell on the console",
		r.Unsaved>>20, c.BPS/1_000_000, r.Stuck, s.Free>>20))
	return nil
}

// rescue runs the program itself, from outside: first to see who is blocked,
// then to reboot.
func (c Config) rescue(ctx context.Context, m *lab.Machine, t Teller) (program, err error) {
	for _, run := range []struct {
		words, headings []string
	}{
		{[]string{"w"}, []string{"task:"}},
		{[]string{"--yes", "reisub"}, nil},
	} {
		args := append([]string{"-t", m.Target("qmp")}, c.Flags...)
		err := t.Run(exec.CommandContext(ctx, c.Program, append(args, run.words...)...), run.headings)
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			program = errors.Join(program, fmt.Errorf("sysrq %s: %w", strings.Join(run.words, " "), err))
		case err != nil:
			return nil, err
		}
	}
	return program, nil
}

// typeKeys is what people do: the keys, and a pause after each.
func (c Config) typeKeys(ctx context.Context, m *lab.Machine, t Teller) error {
	for i, k := range keysByHand {
		t.Waiting(fmt.Sprintf("typing Alt+SysRq+%c, %s after the one before", k, c.Blind))
		if i > 0 {
			select {
			case <-time.After(c.Blind):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := press(ctx, m, k); err != nil {
			return err
		}
	}
	t.Told(fmt.Sprintf("typed R-E-I-S-U-B, %s between the keys", c.Blind))
	return nil
}

// count looks at what is left: first at the file system as the reset left it,
// then at every byte.
func (c Config) count(ctx context.Context, m *lab.Machine, r *Report, t Teller) error {
	t.Waiting("checking the file system")
	super, err := m.Superblock(ctx, 0)
	if err != nil {
		return err
	}
	r.Clean = super.Clean && !super.Recovery
	if super.Recovery {
		r.Complaint = "the journal has to be replayed"
	} else if !super.Clean {
		r.Complaint = "it was not left clean"
	}
	t.Waiting("comparing every byte")
	// Read-only, so that e2fsck sees what the rescue left. A journal that has
	// to be replayed is replayed all the same: nothing is counted as lost that
	// a mount would bring back.
	if _, err := m.Do(ctx, guest.Op{Mount: &guest.Mount{
		Source: lab.DiskDevice(0), Target: "/data", Type: "ext4", ReadOnly: true,
	}}); err != nil {
		return err
	}
	got, err := m.Verify(ctx, "/data/file", r.Size, c.Seed)
	if err != nil {
		return err
	}
	r.Kept = got.Right
	if err := m.Quit(ctx); err != nil {
		return err
	}
	if !r.Clean {
		return nil // e2fsck would only say so, too
	}
	t.Waiting("running e2fsck")
	if err := lab.Check(ctx, m.Disk(0)); err != nil {
		r.Clean, r.Complaint = false, err.Error()
	}
	return nil
}

// Sentence is the report in one line.
func (r Report) Sentence() string {
	state := "file system clean"
	if !r.Clean {
		state = "file system NOT clean: " + r.Complaint
	}
	return fmt.Sprintf("%d of %d MiB survived (%.0f %%), %s", r.Kept>>20, r.Size>>20, 100*float64(r.Kept)/float64(r.Size), state)
}

// press types Alt+SysRq+k, as the person at the keyboard does.
func press(ctx context.Context, m *lab.Machine, k rune) error {
	type key struct {
		Type string `json:"type"`
		Data string `json:"data"`
	}
	return m.Monitor().Execute(ctx, "send-key", map[string]any{
		"keys": []key{{"qcode", "alt"}, {"qcode", "sysrq"}, {"qcode", string(k)}}, "hold-time": 20,
	}, nil)
}
