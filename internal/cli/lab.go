package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/drill"
	"github.com/sysrq/sysrq/rescue"
)

func (p *program) labCommand() *cobra.Command {
	var series string
	c := &cobra.Command{
		Use:   "lab",
		Short: "a disposable machine to practise on",
		Long: `lab boots a disposable machine on a real Debian kernel in QEMU, and gives you
its console. Every key can be tried there: the machine is thrown away.

On the console, Ctrl-] asks for steps to send ("w", "reisub"), and an empty
line goes back; Ctrl-] q ends it. Nothing is left behind, and no rights are
needed. Kernels are fetched from Debian's archive once, and kept in
$XDG_CACHE_HOME/sysrq/lab.

Exit status: 0 when the machine has ended; 1 when it could not be started.`,
		Example: `  sysrq lab                    # a console to practise on
  sysrq lab --kernel 6.12
  sysrq lab rescue             # wedge a machine, rescue it, count what survives`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.practise(cmd.Context(), series) },
	}
	c.PersistentFlags().StringVar(&series, "kernel", "6.1", "kernel `series`: 6.1, 6.12 or 7.2")
	c.AddCommand(p.drillCommand(&series))
	return c
}

func (p *program) drillCommand(series *string) *cobra.Command {
	var blind bool
	var pause time.Duration
	var seed uint64
	c := &cobra.Command{
		Use:   "rescue",
		Short: "wedge a machine full of unsaved data, and rescue it with proof",
		Long: `rescue boots a machine on a real kernel, leaves 150 MiB unsaved in its memory
in front of a slow disk, wedges its userspace, and then rescues it from outside
with this very program. Afterwards it compares every byte.

With --blind, a second machine is rescued as people do it by hand: the same
keys, with a fixed pause between them.

Exit status: 0 when the rescue by proof lost nothing; 1 when it did, or when
the machine could not be started.`,
		Example: `  sysrq lab rescue
  sysrq lab rescue --blind --pause 2s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return p.drill(cmd.Context(), drill.Config{Program: self, Series: *series, Seed: seed}, blind, pause)
		},
	}
	c.Flags().BoolVar(&blind, "blind", false, "also rescue a machine blindly, with fixed pauses")
	c.Flags().DurationVar(&pause, "pause", 2*time.Second, "the pause between blind keys")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of the unsaved data")
	return c
}

func (p *program) drill(ctx context.Context, c drill.Config, blind bool, pause time.Duration) error {
	t := p.teller()
	defer t.close()
	if p.json {
		c.Flags = append(c.Flags, "--json")
	}
	began := time.Now()
	proof, err := drill.Run(ctx, c, t)
	if err != nil {
		t.close()
		return err
	}
	var byHand drill.Report
	if blind {
		t.say("")
		t.say("And the same by hand, with %s between the keys:", pause)
		c.Blind = pause
		if byHand, err = drill.Run(ctx, c, t); err != nil {
			t.close()
			return err
		}
	}
	t.close()
	if p.json {
		newErrWriter(p.stdout).json(struct {
			Event string        `json:"event"`
			Proof drill.Report  `json:"proof"`
			Blind *drill.Report `json:"blind,omitempty"`
		}{"drill", proof, pointerIf(blind, &byHand)})
	} else {
		t.say("")
		t.result("by proof", proof)
		if blind {
			t.result("by hand", byHand)
		}
		t.say("%s in all", short(time.Since(began).Round(time.Second)))
	}
	if !proof.OK() {
		return errors.New("the rescue by proof lost something: that is a defect of sysrq; please report the output above")
	}
	return nil
}

func pointerIf[T any](ok bool, v *T) *T {
	if !ok {
		return nil
	}
	return v
}

// teller shows how a drill goes, with a line of progress while it waits.
type teller struct {
	p     *program
	out   io.Writer
	live  bool
	style style

	mu    sync.Mutex
	what  string
	since time.Time
	drawn bool
	done  chan struct{}
	once  sync.Once
}

func (p *program) teller() *teller {
	t := &teller{p: p, out: p.stdout, done: make(chan struct{}), style: styleFor(p.stdout, p.isTerminal)}
	if p.json {
		t.out = p.stderr // stdout is the program's own JSON
	}
	t.live = p.isTerminal(p.stderr) && os.Getenv("TERM") != "dumb"
	if t.live {
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-t.done:
					return
				case <-tick.C:
					t.mu.Lock()
					if t.what != "" {
						fmt.Fprintf(p.stderr, "\r\x1b[K%s", clip(fmt.Sprintf("… %s, %.1f s", t.what, time.Since(t.since).Seconds()), width(p.stderr)-1))
						t.drawn = true
					}
					t.mu.Unlock()
				}
			}
		}()
	}
	return t
}

func (t *teller) Waiting(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.live && what != t.what { // a log shows what is waited for, too
		fmt.Fprintf(t.p.stderr, "… %s\n", what)
	}
	t.what, t.since = what, time.Now()
}

func (t *teller) Told(what string) { t.say("%s", what) }

func (t *teller) result(how string, r drill.Report) {
	outcome := sysrq.Failed
	if r.OK() {
		outcome = sysrq.Done
	}
	label := fmt.Sprintf("%-9s %7s  ", how+":", short(r.Took.Round(100*time.Millisecond)))
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range wrap(r.Sentence(), width(t.out)-1-len(label)) {
		fmt.Fprintln(t.out, t.style.outcome(outcome, label+l))
		label = strings.Repeat(" ", len(label))
	}
}

func (t *teller) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.what = ""
	if t.drawn {
		fmt.Fprint(t.p.stderr, "\r\x1b[K")
		t.drawn = false
	}
	for _, l := range wrap(fmt.Sprintf(format, args...), width(t.out)) {
		fmt.Fprintln(t.out, l)
	}
}

// Run runs the program on the same terminal, so that what is seen is what it
// looks like. A dump goes through a filter.
func (t *teller) Run(cmd *exec.Cmd, headings []string) error {
	shown := append([]string{"sysrq"}, cmd.Args[1:]...)
	for i, a := range shown {
		if strings.ContainsAny(a, "?&*") {
			shown[i] = "'" + a + "'"
		}
	}
	t.say("")
	t.mu.Lock()
	fmt.Fprintln(t.out, t.style.bold("$ "+strings.Join(shown, " ")))
	t.mu.Unlock()
	cmd.Stdout, cmd.Stderr = t.p.stdout, t.p.stderr
	if headings != nil && !t.p.json {
		f := &filter{to: t.p.stdout, headings: headings}
		defer f.close()
		cmd.Stdout = f
	}
	return cmd.Run()
}

// filter passes a dump's headings on, and counts the rest.
type filter struct {
	to       io.Writer
	headings []string
	part     []byte
	hidden   int
}

func (f *filter) Write(p []byte) (int, error) {
	f.part = append(f.part, p...)
	for {
		line, rest, ok := bytes.Cut(f.part, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		f.part = rest
		text := string(line)
		_, record, stamped := strings.Cut(text, "] ")
		if stamped && !slices.ContainsFunc(f.headings, func(h string) bool { return strings.HasPrefix(record, h) }) {
			f.hidden++
			continue
		}
		f.tell()
		fmt.Fprintf(f.to, "%s\n", line)
	}
}

func (f *filter) tell() {
	if f.hidden > 0 {
		what := "lines"
		if f.hidden == 1 {
			what = "line"
		}
		fmt.Fprintf(f.to, "    ... %d more %s\n", f.hidden, what)
		f.hidden = 0
	}
}

func (f *filter) close() { f.tell() }

func (t *teller) close() {
	t.once.Do(func() { close(t.done) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.what = ""
	if t.drawn {
		fmt.Fprint(t.p.stderr, "\r\x1b[K")
		t.drawn = false
	}
}

// escape is telnet's, which everybody who has lost a console once knows.
const escape = 0x1d // Ctrl-]

// practise boots a machine and connects the terminal with its console.
func (p *program) practise(ctx context.Context, series string) error {
	in, ok := p.stdin.(*os.File)
	if !ok || !p.isTerminal(p.stdin) {
		return usagef("for a script: sysrq lab rescue", "the lab's console needs a terminal")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	t := p.teller()
	defer t.close()
	t.Waiting("finding a Debian kernel, series " + series)
	kernel, err := lab.Find(ctx, "amd64", series, t.Waiting)
	if err != nil {
		return err
	}
	t.Waiting("booting " + kernel.Release)
	m, err := lab.Start(ctx, lab.Config{
		Kernel: kernel, Init: self, Shell: true, Progress: t.Waiting, Panics: true,
		Append: []string{"sysctl.kernel.sysrq=1"}, // after each reboot as well
	})
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.WaitBoot(ctx); err != nil {
		return err
	}
	t.say("Linux %s is up. Ctrl-] sends SysRq steps, Ctrl-] q ends it.", kernel.Release)
	t.say("Every key is permitted here; Debian's own mask: echo 438 > /proc/sys/kernel/sysrq")
	t.close()

	console, err := net.Dial("unix", m.ConsoleSocket())
	if err != nil {
		return err
	}
	defer func() { console.Close() }()
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer term.Restore(int(in.Fd()), state)
	go io.Copy(p.stdout, console)
	fmt.Fprint(console, "\n") // makes the shell show its prompt

	typed := make(chan []byte)
	go func() {
		defer close(typed)
		for {
			buf := make([]byte, 256)
			n, err := in.Read(buf)
			if n > 0 {
				typed <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	ended := make(chan struct{})
	go func() { _ = m.Wait(ctx); close(ended) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			fmt.Fprint(p.stdout, "\r\nthe machine has ended\r\n")
			return nil
		case b, ok := <-typed:
			if !ok {
				return nil
			}
			before, _, found := strings.Cut(string(b), string(rune(escape)))
			if _, err := io.WriteString(console, before); err != nil {
				return err
			}
			if !found {
				continue
			}
			// The console's socket takes one client: ours leaves it to the
			// run, and comes back for what is said after it.
			console.Close()
			if quit := p.steps(ctx, m, typed); quit {
				return nil
			}
			if console, err = net.Dial("unix", m.ConsoleSocket()); err != nil {
				return err
			}
			go io.Copy(p.stdout, console)
		}
	}
}

// steps reads one line of steps from a raw terminal and carries them out.
func (p *program) steps(ctx context.Context, m *lab.Machine, typed <-chan []byte) (quit bool) {
	raw := &crlf{p.stdout}
	fmt.Fprint(raw, "\nsysrq> ")
	line := ""
	for {
		b, ok := <-typed
		if !ok {
			return true
		}
		for _, c := range string(b) {
			switch {
			case c == 3 || c == escape: // Ctrl-C, Ctrl-] once more
				fmt.Fprint(raw, "\n")
				return false
			case c == 0x7f || c == 8:
				if line != "" {
					line = line[:len(line)-1]
					fmt.Fprint(raw, "\b \b")
				}
				continue
			case c >= ' ' && c < 0x7f:
				line += string(c)
				fmt.Fprint(raw, string(c))
				continue
			case c != '\r' && c != '\n':
				continue
			}
			fmt.Fprint(raw, "\n")
			words := strings.Fields(line)
			if len(words) == 1 && words[0] == "q" || len(words) == 1 && words[0] == "quit" {
				return true
			}
			if len(words) > 0 {
				p.send(ctx, m, words, raw)
			}
			return false
		}
	}
}

func (p *program) send(ctx context.Context, m *lab.Machine, words []string, out io.Writer) {
	steps, err := sysrq.ParseSteps(words, nil, "amd64")
	if err != nil {
		fmt.Fprintf(out, "sysrq: %v\n", err)
		return
	}
	t, err := p.registry.Open(ctx, m.Target("qmp"))
	if err != nil {
		fmt.Fprintf(out, "sysrq: %v\n", err)
		return
	}
	defer t.Close()
	show := &textPrinter{out: out, err: out}
	for ev := range rescue.Run(ctx, t, steps, rescue.Options{}) {
		show.event(ev)
	}
}

// crlf writes for a terminal in raw mode.
type crlf struct{ w io.Writer }

func (c *crlf) Write(p []byte) (int, error) {
	_, err := io.WriteString(c.w, strings.ReplaceAll(string(p), "\n", "\r\n"))
	return len(p), err
}
