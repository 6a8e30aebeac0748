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
	// lookEvery is between two looks at mountinfo, which tells nobody when a
	// file system becomes read-only.
	lookEvery = 20 * time.Millisecond
	// helpEvery is between two remounts of one that was busy.
	helpEvery = time.Second
)

func (t *Transport) remountAll(ctx context.Context, say func(string)) (sysrq.Outcome, error) {
	asked := t.beside(ctx, 'u')
	begin := time.Now()
	wait := kernelFirst
	if d, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(d)/3)
	}
	r := remounter{Transport: t, say: say, tries: make(map[device]*try), results: make(chan native.Result)}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		left, err := r.look()
		if err != nil {
			say("what is mounted can not be seen, the kernel remounts alone: " + err.Error())
			return t.alone(ctx, asked)
		}
		if len(left) == 0 {
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
		case res := <-r.results:
			at := r.tries[deviceOf(res.FileSystem)]
			at.running, at.err = false, res.Err
		case <-tick.C:
		}
	}
}

// remounter sees one u through.
type remounter struct {
	*Transport
	say     func(string)
	before  []native.FileSystem // that were read-write at the last look
	tries   map[device]*try
	results chan native.Result
}

type device struct{ major, minor uint32 }

func deviceOf(fs native.FileSystem) device { return device{fs.Major, fs.Minor} }

// try is what we did about a file system ourselves.
type try struct {
	running bool
	begun   time.Time
	err     error // of the last one that ended
}

// look lists what is still read-write, and says what no longer is.
func (r *remounter) look() ([]native.FileSystem, error) {
	all, err := r.sys.fileSystems()
	if err != nil {
		return nil, err
	}
	left := native.WritableLocal(all)
	for _, fs := range r.before {
		if !slices.ContainsFunc(left, func(l native.FileSystem) bool { return deviceOf(l) == deviceOf(fs) }) {
			r.say(fs.String() + " is read-only")
		}
	}
	r.before = left
	return left, nil
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
			case r.results <- res:
			case <-ctx.Done():
			}
		}
	}()
}

// late says what is still read-write now that the time is over.
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
	r.attribute("remount: still read-write: %s", strings.Join(points, ", "))
	return sysrq.Timeout
}
