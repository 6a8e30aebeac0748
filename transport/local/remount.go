package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/native"
)

const (
	// kernelFirst is how long the kernel's worker may take before it is helped.
	// It does better where it does anything: it forces what is open for
	// writing. A helper that comes too early just waits behind it.
	kernelFirst = 5 * time.Second
	// firstLook bounds the look before the kernel is asked.
	firstLook = time.Second
	// lookEvery is between two looks at mountinfo, which tells nobody when a
	// file system becomes read-only.
	lookEvery = 20 * time.Millisecond
	// helpEvery is between two remounts of one that was busy.
	helpEvery = time.Second
)

func (t *Transport) remountAll(ctx context.Context, say func(string)) (sysrq.Outcome, error) {
	r := remounter{
		Transport: t, say: say, tries: make(map[device]*try),
		remounted: make(chan native.Result), finished: make(chan native.Result),
	}
	// Before the kernel begins: what it makes read-only must have been seen. But
	// it begins, whatever becomes of our look.
	type seen struct {
		left []native.FileSystem
		err  error
	}
	first := make(chan seen, 1)
	go func() {
		left, err := r.look(ctx)
		first <- seen{left, err}
	}()
	var left []native.FileSystem
	var err error
	select {
	case s := <-first:
		left, err = s.left, s.err
	case <-time.After(firstLook):
		err = native.ErrStuck
	}
	asked := t.beside(ctx, 'u')
	begin := time.Now()
	wait := kernelFirst
	if d, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(d)/3)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ; ; left, err = r.look(ctx) {
		if err != nil {
			say("what is mounted can not be seen, the kernel remounts alone: " + err.Error())
			return t.alone(ctx, asked)
		}
		if len(left) == 0 && len(r.finishing) == 0 {
			return sysrq.Done, nil
		}
		for _, fs := range left {
			// What has no block device the kernel passes over; for the rest it
			// has its time first.
			if fs.Major == 0 || time.Since(begin) >= wait {
				r.help(ctx, fs)
			}
		}
		select {
		case <-ctx.Done():
			return r.late(left), nil
		case err := <-asked:
			if err != nil {
				say("the kernel's own remount was not asked for: " + err.Error())
				wait = 0
			}
		case res := <-r.remounted:
			at := r.tries[deviceOf(res.FileSystem)]
			at.running, at.err = false, res.Err
		case res := <-r.finished:
			r.finishing = slices.DeleteFunc(r.finishing, func(fs native.FileSystem) bool { return deviceOf(fs) == deviceOf(res.FileSystem) })
			say(res.FileSystem.String() + " is read-only")
		case <-tick.C:
		}
	}
}

// remounter sees one u through.
type remounter struct {
	*Transport
	say       func(string)
	before    []native.FileSystem // that were read-write at the last look
	finishing []native.FileSystem // that are read-only, but perhaps not written to the end
	tries     map[device]*try
	remounted chan native.Result // of help
	finished  chan native.Result // of finish
}

type device struct{ major, minor uint32 }

func deviceOf(fs native.FileSystem) device { return device{fs.Major, fs.Minor} }

// try is what we did about a file system ourselves.
type try struct {
	running bool
	begun   time.Time
	err     error // of the last one that ended
}

// look lists what is still read-write, and has what no longer is finished.
func (r *remounter) look(ctx context.Context) ([]native.FileSystem, error) {
	all, err := r.sys.fileSystems()
	if err != nil {
		return nil, err
	}
	left := native.WritableLocal(all)
	for _, fs := range r.before {
		if !slices.ContainsFunc(left, func(l native.FileSystem) bool { return deviceOf(l) == deviceOf(fs) }) {
			r.finishing = append(r.finishing, fs)
			r.finish(ctx, fs)
		}
	}
	r.before = left
	return left, nil
}

// finish waits in the background for the end of fs's remount. A file system
// shows as read-only before it has written its last block: ext4 sets the flag,
// and then writes the superblock that needs no recovery (fs/ext4/super.c,
// __ext4_remount); a reset in between leaves a journal to be replayed. The
// kernel holds s_umount meanwhile, for which syncfs(2) waits, and then has
// nothing to do.
func (r *remounter) finish(ctx context.Context, fs native.FileSystem) {
	go func() {
		for _, res := range r.sys.sync(ctx, []native.FileSystem{fs}, nil) {
			if res.Stuck {
				return // ctx is over
			}
			select {
			case r.finished <- res:
			case <-ctx.Done():
			}
		}
	}()
}

// help remounts fs in the background, unless that is under way or was tried
// just now. Each by itself, so that one that hangs keeps no other from a
// second try.
func (r *remounter) help(ctx context.Context, fs native.FileSystem) {
	at := r.tries[deviceOf(fs)]
	if at == nil {
		at = &try{}
		r.tries[deviceOf(fs)] = at
	}
	if at.running || !at.begun.IsZero() && time.Since(at.begun) < helpEvery {
		return
	}
	at.running, at.begun = true, time.Now()
	go func() {
		for _, res := range r.sys.remount(ctx, []native.FileSystem{fs}, nil) {
			select {
			case r.remounted <- res:
			case <-ctx.Done():
			}
		}
	}()
}

// late says what is not done now that the time is over.
func (r *remounter) late(left []native.FileSystem) sysrq.Outcome {
	var points []string
	for _, fs := range left {
		points = append(points, fs.Point)
		why := native.ErrStuck
		if at := r.tries[deviceOf(fs)]; at != nil && !at.running && at.err != nil {
			why = at.err
		}
		r.say(fmt.Sprintf("%s is still read-write: %v", fs, why))
	}
	for _, fs := range r.finishing {
		points = append(points, fs.Point)
		r.say(fmt.Sprintf("%s is read-only, but its last write has not ended", fs))
	}
	r.attribute("remount: stuck at %s", strings.Join(points, ", "))
	return sysrq.Timeout
}
