package corpus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysrq/sysrq/internal/golden"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// stage is a machine while a state is made in it.
type stage struct {
	*lab.Machine
	ctx     context.Context
	kernel  Kernel
	release string
	state   state

	began uint64 // the first record after the boot
	next  uint64 // the first one that nobody has read
	from  uint64 // the first one of the shot that is taken

	stuck    []int // who was put into state D, and must be there
	spinning []int // who was started to use up a processor
	culprit  string
}

// records reads what the kernel has said from a number on.
func (s *stage) records(from uint64) ([]string, error) {
	r, err := s.Do(s.ctx, guest.Op{Kmsg: &guest.Kmsg{Since: from}})
	if err != nil {
		return nil, err
	}
	if n := len(r.Kmsg); n > 0 {
		s.next = sequence(r.Kmsg[n-1]) + 1
	}
	return r.Kmsg, nil
}

// sequence is a record's number.
func sequence(record string) uint64 {
	fields := strings.SplitN(record, ",", 3)
	if len(fields) < 3 {
		return 0
	}
	n, _ := strconv.ParseUint(fields[1], 10, 64)
	return n
}

// skipLog leaves the boot behind.
func (s *stage) skipLog() error {
	_, err := s.records(0)
	s.began = s.next
	return err
}

// run starts a program that goes on by itself.
func (s *stage) run(path string, args ...string) (pid int, err error) {
	r, err := s.Do(s.ctx, guest.Op{Run: &guest.Run{Path: path, Args: args, Detach: true}})
	if err != nil {
		return 0, err
	}
	return r.Run.PID, nil
}

// hangAll starts programs, one command line each, and waits until every one is
// stuck in state D.
func (s *stage) hangAll(lines ...string) error {
	for _, l := range lines {
		argv := strings.Fields(l)
		if err := s.hang(argv[0], argv[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// sleeper starts a program and waits until it sleeps.
func (s *stage) sleeper(line string) (int, error) {
	argv := strings.Fields(line)
	pid, err := s.run(argv[0], argv[1:]...)
	if err == nil {
		err = s.await(pid, "S")
	}
	return pid, err
}

// blame makes a task the culprit.
func (s *stage) blame(pid int) { s.culprit = fmt.Sprintf("%s %d", s.comm(pid), pid) }

// awaitComm waits until a task whose name begins so is in a state.
func (s *stage) awaitComm(prefix, letter string) (int, error) {
	for range 200 {
		all, err := s.tasks()
		if err != nil {
			return 0, err
		}
		for _, t := range all {
			if strings.HasPrefix(t.Comm, prefix) && t.State == letter {
				return t.PID, nil
			}
		}
		if err := s.pause(100 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no task %s in state %s", prefix, letter)
}

// awaitRecord waits until the kernel has said something since the boot.
func (s *stage) awaitRecord(text string) error {
	for range 300 {
		all, err := s.records(s.began)
		if err != nil || said(all, text) {
			return err
		}
		if err := s.pause(200 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the kernel has not said %q", text)
}

// awaitFile waits until a file is there.
func (s *stage) awaitFile(path string) error {
	for range 100 {
		if _, err := s.Do(s.ctx, guest.Op{ReadFile: &guest.ReadFile{Path: path}}); err == nil {
			return nil
		}
		if err := s.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New(path + " has not appeared")
}

// loadModule loads labtrouble.
func (s *stage) loadModule(params string) error {
	_, err := s.Do(s.ctx, guest.Op{Insmod: &guest.Insmod{Name: "labtrouble", Params: params}})
	return err
}

// hang starts a program that will be stuck in state D, and waits until it is.
func (s *stage) hang(path string, args ...string) error {
	pid, err := s.run(path, args...)
	if err != nil {
		return err
	}
	if err := s.await(pid, "D"); err != nil {
		return fmt.Errorf("%s %s: %w", path, strings.Join(args, " "), err)
	}
	s.stuck = append(s.stuck, pid)
	return nil
}

// await waits until a task is in a state, by its letter.
func (s *stage) await(pid int, letter string) error {
	last := ""
	for range 150 {
		all, err := s.tasks()
		if err != nil {
			return err
		}
		last = "gone"
		for _, t := range all {
			if t.PID == pid {
				last = t.State
			}
		}
		if last == letter {
			return nil
		}
		if err := s.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("task %d is %s, not %s", pid, last, letter)
}

func (s *stage) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

func (s *stage) tasks() ([]guest.Task, error) {
	r, err := s.Do(s.ctx, guest.Op{Tasks: &guest.Tasks{}})
	return r.Tasks, err
}

// blocked are the tasks in state D, in order. One that dies of its own is none.
func (s *stage) blocked() ([]int, error) {
	all, err := s.tasks()
	if err != nil {
		return nil, err
	}
	pids := []int{}
	for _, t := range all {
		if t.State == "D" {
			pids = append(pids, t.PID)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// comm is a task's name.
func (s *stage) comm(pid int) string {
	all, _ := s.tasks()
	for _, t := range all {
		if t.PID == pid {
			return t.Comm
		}
	}
	return ""
}

// write writes a file of the guest's.
func (s *stage) write(path, text string) error {
	_, err := s.Do(s.ctx, guest.Op{WriteFile: &guest.WriteFile{Path: path, Data: []byte(text), Existing: true}})
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", text, path, err)
	}
	return nil
}

// shoot makes one file.
func (s *stage) shoot(sh shot) (golden.File, error) {
	f := golden.File{
		Kernel: s.release, Arch: s.kernel.Arch, State: s.state.name, Commands: sh.keys,
		Source: sh.source, Blocked: -1, Root: s.state.root, Seen: s.state.seen,
		Culprit: s.culprit, Note: s.state.note,
	}
	if f.Source == "" {
		f.Source = golden.Kmsg
	}
	if sh.whole {
		s.from = s.began
	} else if _, err := s.records(s.next); err != nil {
		return f, err
	} else {
		s.from = s.next
	}
	if sh.before != nil {
		if err := sh.before(s); err != nil {
			return f, err
		}
	}
	if sh.last {
		var err error
		f.Body, err = s.console(sh)
		return f, err
	}
	f, err := s.settle(f, sh)
	if err == nil && sh.after != nil {
		err = sh.after(s)
	}
	f.Culprit = s.culprit // who may have come only now
	return f, err
}

// settle takes a shot as often as it takes until the blocked tasks were the
// same before and after.
func (s *stage) settle(f golden.File, sh shot) (golden.File, error) {
	for range 8 {
		before, err := s.blocked()
		if err != nil {
			return f, err
		}
		if f.Source == golden.Console {
			f.Body, err = s.console(sh)
		} else {
			f.Body, err = s.kmsg(sh)
		}
		if err != nil {
			return f, err
		}
		if !sh.lists() {
			return f, nil
		}
		after, err := s.blocked()
		if err != nil {
			return f, err
		}
		if !slices.Equal(before, after) {
			s.from = s.next
			continue // some disk's thread, for a moment
		}
		for _, pid := range s.stuck {
			if !slices.Contains(before, pid) {
				return f, fmt.Errorf("task %d was put into state D and is not there", pid)
			}
		}
		f.Blocked, f.PIDs = len(before), before
		return f, nil
	}
	return f, errors.New("the blocked tasks are others each time that they are looked at")
}

// trigger triggers a shot's commands, one write each.
func (s *stage) trigger(sh shot) error {
	for _, k := range sh.keys {
		if err := s.Trigger(s.ctx, string(k)); err != nil {
			return fmt.Errorf("trigger %c: %w", k, err)
		}
	}
	return nil
}

// kmsg takes a shot from the kernel's log.
func (s *stage) kmsg(sh shot) ([]byte, error) {
	if err := s.trigger(sh); err != nil {
		return nil, err
	}
	// Most commands are done when the write is. For those that are not, the
	// log has to stand still and to have said what ends them.
	var all []string
	for still := 0; still < 3; {
		if err := s.pause(100 * time.Millisecond); err != nil {
			return nil, fmt.Errorf("%w, and %q was not said in %q", err, sh.until, strings.Join(all, "\n"))
		}
		more, err := s.records(s.from)
		if err != nil {
			return nil, err
		}
		if len(more) == len(all) && said(more, sh.until) {
			still++
		} else {
			still = 0
		}
		all = more
	}
	if len(all) == 0 {
		return nil, errors.New("the kernel said nothing")
	}
	return []byte(strings.Join(all, "\n") + "\n"), nil
}

func said(records []string, text string) bool {
	return slices.ContainsFunc(records, func(r string) bool { return strings.Contains(r, text) })
}

// Marks around a shot on the console.
const (
	opening = "corpus: from here"
	closing = "corpus: to here"
)

// console takes a shot from the serial line. It is the program's own end of
// the line that is read: QEMU's copy of it can double a character.
func (s *stage) console(sh shot) ([]byte, error) {
	level := 8
	if _, err := s.Do(s.ctx, guest.Op{Level: &guest.Level{Set: &level}}); err != nil {
		return nil, err
	}
	line, err := s.listen()
	if err != nil {
		return nil, err
	}
	defer line.close()
	if err := s.mark(opening); err != nil {
		return nil, err
	}
	if _, err := line.until(s.ctx, 0, opening); err != nil {
		return nil, err
	}
	if sh.last {
		go s.trigger(sh) // never answered
		_, err := line.until(s.ctx, 0, sh.until)
		_ = s.pause(time.Second) // for what comes behind it on the same line
		return between(line.all(), ""), err
	}
	if err := s.trigger(sh); err != nil {
		return nil, err
	}
	if sh.until != "" {
		if _, err := line.until(s.ctx, 0, sh.until); err != nil {
			return nil, err
		}
	}
	if err := s.mark(closing); err != nil {
		return nil, err
	}
	if _, err := line.until(s.ctx, 0, closing); err != nil {
		return nil, err
	}
	return between(line.all(), closing), nil
}

func (s *stage) mark(text string) error {
	_, err := s.Do(s.ctx, guest.Op{Kmsg: &guest.Kmsg{Text: "<1>" + text}})
	return err
}

// between is what stands behind the line with the opening mark and before the
// line with the closing one.
func between(text []byte, end string) []byte {
	_, text, _ = bytes.Cut(text, []byte(opening))
	_, text, _ = bytes.Cut(text, []byte("\n"))
	if end == "" {
		return text
	}
	if i := bytes.Index(text, []byte(end)); i >= 0 {
		text = text[:bytes.LastIndexByte(text[:i], '\n')+1]
	}
	return text
}

// line is what a serial line says from now on.
type line struct {
	conn    net.Conn
	grown   chan []byte
	text    []byte
	machine *lab.Machine // user-mode Linux has no socket: its copy is exact
	from    int
}

func (s *stage) listen() (*line, error) {
	if s.Monitor() == nil {
		return &line{machine: s.Machine, from: len(s.Console())}, nil
	}
	conn, err := net.Dial("unix", s.ConsoleSocket())
	if err != nil {
		return nil, err
	}
	l := &line{conn: conn, grown: make(chan []byte, 1<<12)}
	go func() {
		defer close(l.grown)
		for {
			buf := make([]byte, 1<<16)
			n, err := conn.Read(buf)
			if n > 0 {
				l.grown <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return l, nil
}

func (l *line) close() {
	if l.conn != nil {
		l.conn.Close()
		for range l.grown {
		}
	}
}

func (l *line) all() []byte {
	if l.machine != nil {
		return l.machine.Console()[l.from:]
	}
	for {
		select {
		case more, ok := <-l.grown:
			if !ok {
				return l.text
			}
			l.text = append(l.text, more...)
		default:
			return l.text
		}
	}
}

// until waits until the line has said text, to its end.
func (l *line) until(ctx context.Context, from int, text string) (int, error) {
	if l.machine != nil {
		return l.machine.WaitConsole(ctx, l.from+from, text)
	}
	for {
		if i := bytes.Index(l.text[from:], []byte(text)); i >= 0 && bytes.IndexByte(l.text[from+i:], '\n') >= 0 {
			return from + i + len(text), nil
		}
		select {
		case more, ok := <-l.grown:
			if !ok {
				return 0, fmt.Errorf("the console ended before it said %q", text)
			}
			l.text = append(l.text, more...)
		case <-ctx.Done():
			return 0, fmt.Errorf("%w, and the console has not said %q", context.Cause(ctx), text)
		}
	}
}
