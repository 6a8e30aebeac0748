package rescue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sysrq/sysrq"
)

// console is what is known of the level below which the machine's console
// shows messages. A console booted with 'quiet' shows the header of a command
// but not 'Emergency Sync complete', so on such a path the level is raised
// before a step whose proof would be hidden.
type console struct {
	// lowest is a level that console_loglevel is known to be at least, or
	// unknownLevel.
	lowest int
	// quiet is set once a dump's body stayed hidden: an upper bound.
	quietBelow int
	raised     bool
	cannot     bool // raising was refused or unanswered
}

const (
	unknownLevel = -1
	// showAll makes every message visible: levels go to 7, and a console shows
	// what is below its own.
	showAll sysrq.Key = '8'
	// Defaults of the kernel's configuration, the same in Debian's 6.1, 6.12
	// and 7.2: what a console has with 'quiet' and without.
	levelQuiet, levelDefault = 4, 7
)

// shows reports whether the console is known to show messages of a level.
func (r *run) shows(level int8) bool {
	return !r.props.Filtered || level <= 0 || r.lowest > int(level)
}

// ensureVisible raises the console's level where st's proof would be hidden.
func (r *run) ensureVisible(st sysrq.Step) {
	c := st.Command
	hasProof := c.Completion.Kind == sysrq.CompletesLine || c.Completion.Kind == sysrq.CompletesDump
	if !hasProof || c.Name == "loglevel" || r.shows(c.Completion.Level) ||
		r.cannot || r.opts.KeepConsole || r.ear == nil || r.earDead != nil {
		return
	}
	// A dump that can not be empty tells by itself whether it was hidden, and
	// with that what the level was: it is asked first, and raised only then.
	if c.Completion.Kind == sysrq.CompletesDump && len(c.Completion.Lines) > 0 && r.quietBelow == 0 {
		return
	}
	r.raise()
}

// raise sends showAll and waits for the kernel's word of it.
func (r *run) raise() bool {
	ctx, cancel := context.WithTimeout(r.ctx, raiseDeadline)
	defer cancel()
	cmd := sysrq.ForKeyOn(showAll, r.props.Arch)
	j := newJudge(cmd, r.clock.mark())
	r.note("raising the console's log level, so that the proof can be seen")
	r.begin()
	if err := r.t.Trigger(ctx, showAll); err != nil {
		r.cannot = true
		r.warn("the console's log level could not be raised: " + err.Error())
		return false
	}
	for {
		select {
		case <-ctx.Done():
			r.cannot = true
			if r.ctx.Err() == nil {
				r.warn(fmt.Sprintf("no answer to the log-level key within %s: what the kernel prints may stay hidden", raiseDeadline))
			}
			return false
		case <-r.ear.ready:
		}
		got, err := r.ear.take()
		for i, h := range got {
			if r.hear(h) {
				r.over = "the machine has rebooted by itself"
			}
			if h.what != 0 || h.lost > 0 || h.program {
				continue
			}
			switch j.hear(h.evidence) {
			case foundProof:
				r.rest(got[i+1:])
				r.raised, r.lowest = true, int(showAll-'0')
				return true
			case foundRefusal:
				r.rest(got[i+1:])
				r.cannot = true
				r.warn("the mask forbids raising the console's log level (bit 2): proof may stay hidden; on that machine: sysctl kernel.sysrq=1, or dmesg -n 8")
				return false
			}
		}
		r.lostEar(err)
		if r.earDead != nil || r.over != "" {
			return false
		}
	}
}

// rest hears what came behind the line that ended a wait.
func (r *run) rest(got []heard) {
	for _, h := range got {
		if r.hear(h) {
			r.over = "the machine has rebooted by itself"
		}
	}
}

// learned takes from a command that ran what it tells about the console.
func (r *run) learned(c sysrq.Command) {
	switch {
	case c.Name == "loglevel":
		r.lowest, r.raised = int(c.Key-'0'), false // somebody's wish now: not ours to put back
	case c.Key == 'e', c.Key == 'i':
		r.lowest = 10 // the handlers set it: drivers/tty/sysrq.c, 6.1 to 7.2
	}
}

// putBack undoes raise, as well as that can be done: no key asks for the level.
func (r *run) putBack() {
	if !r.raised || r.gone || r.over != "" || r.panicked != "" || r.earDead != nil {
		return
	}
	level, why := r.opts.ConsoleLevel, "as asked for"
	switch {
	case level != 0:
	case r.quietBelow > 0:
		level, why = min(levelQuiet, r.quietBelow), "since it hid the dump before"
	default:
		level, why = levelDefault, "the kernel's default, since no key asks a kernel what it was"
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), raiseDeadline)
	defer cancel()
	if err := r.t.Trigger(ctx, sysrq.Key('0'+level)); err != nil {
		r.warn(fmt.Sprintf("the console's log level is still 8: %v", err))
		return
	}
	r.raised = false
	text := fmt.Sprintf("console's log level put back to %d, %s", level, why)
	if r.ear != nil {
		r.awaitText(ctx, fmt.Sprintf("Loglevel set to %d", level))
	}
	r.note(text)
}

// awaitText waits until a line contains text, or for ctx.
func (r *run) awaitText(ctx context.Context, text string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.ear.ready:
		}
		got, err := r.ear.take()
		for i, h := range got {
			r.hear(h)
			if strings.Contains(h.evidence.Text, text) {
				r.rest(got[i+1:])
				return
			}
		}
		r.lostEar(err)
		if r.earDead != nil {
			return
		}
	}
}

// deadline is what is left of a step's time.
func (r *run) deadline(st sysrq.Step) time.Duration {
	if r.opts.Timeout > 0 {
		return r.opts.Timeout
	}
	return st.Wait()
}
