package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/sysrq/sysrq"
)

// printer shows the events of a run.
type printer interface {
	event(ev sysrq.Event)
	close()
}

func (p *program) printer(steps []sysrq.Step, opts runOptions) printer {
	after := asideAfter
	if sysrq.DangerOf(steps).Asks() {
		after = 0 // the machine may not be there any more by then
	}
	if p.json {
		return newAside(&jsonPrinter{enc: json.NewEncoder(p.stdout)}, after)
	}
	t := newTextPrinter(p, opts.verbose)
	for _, st := range steps {
		t.names = max(t.names, len(st.Command.Name))
	}
	return newAside(t, after)
}

// asideAfter is how long a harmless run may go on before anything is printed:
// most are over by then, and need no goroutine to print.
const asideAfter = 10 * time.Millisecond

// aside prints in a goroutine of its own: a terminal that is stopped, a pager
// that is not scrolled or a dead ssh session must not hold up a rescue.
type aside struct {
	to    printer
	mu    sync.Mutex
	queue []sysrq.Event
	ready chan struct{}
	ended chan struct{}
	over  bool
	begin *time.Timer
}

func newAside(to printer, after time.Duration) *aside {
	a := &aside{to: to, ready: make(chan struct{}, 1), ended: make(chan struct{})}
	a.begin = time.AfterFunc(after, a.run)
	return a
}

func (a *aside) event(ev sysrq.Event) {
	a.mu.Lock()
	a.queue = append(a.queue, ev)
	a.mu.Unlock()
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

func (a *aside) run() {
	defer close(a.ended)
	for range a.ready {
		for {
			a.mu.Lock()
			queue, over := a.queue, a.over
			a.queue = nil
			a.mu.Unlock()
			for _, ev := range queue {
				a.to.event(ev)
			}
			if len(queue) == 0 {
				if over {
					a.to.close()
					return
				}
				break
			}
		}
	}
}

// close waits until everything was printed.
func (a *aside) close() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	select {
	case a.ready <- struct{}{}:
	default:
	}
	if a.begin.Stop() { // it never began
		a.run()
		return
	}
	<-a.ended
}

type jsonPrinter struct{ enc *json.Encoder }

func (j *jsonPrinter) event(ev sysrq.Event) {
	// A reader that has gone must not stop a rescue that is under way.
	_ = j.enc.Encode(ev)
}
func (j *jsonPrinter) close() {}

// printJSONError is the last line of a run that could not begin, or failed
// beyond its steps' outcomes.
func printJSONError(w io.Writer, status int, err error, hint string) {
	_ = json.NewEncoder(w).Encode(struct {
		Event  string `json:"event"`
		Status int    `json:"status"`
		Text   string `json:"text"`
		Hint   string `json:"hint,omitempty"`
	}{"error", status, err.Error(), hint})
}

// textPrinter prints for a person. The kernel's lines and the outcomes go to
// stdout, notes and warnings to stderr, and while something is waited for, a
// line of progress lives on the terminal.
type textPrinter struct {
	out, err io.Writer
	verbose  bool
	style    style

	names int // columns of the longest name; at least minNames are used

	mu       sync.Mutex
	progress bool // whether there is a terminal to draw on
	drawn    bool
	done     chan struct{} // ends the drawing; nil when nobody draws
	step     sysrq.Event
	began    time.Time
	heard    int
	lastLine string
}

func newTextPrinter(p *program, verbose bool) *textPrinter {
	t := &textPrinter{
		out: p.stdout, err: p.stderr, verbose: verbose, style: styleFor(p.stdout, p.isTerminal),
		progress: p.isTerminal(p.stderr) && os.Getenv("TERM") != "dumb",
	}
	if t.progress {
		done := make(chan struct{})
		t.done = done
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					t.mu.Lock()
					t.draw()
					t.mu.Unlock()
				case <-done:
					return
				}
			}
		}()
	}
	return t
}

func (t *textPrinter) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done != nil {
		close(t.done)
		t.done = nil
	}
	t.step = sysrq.Event{} // a tick may be under way
	t.erase()
}

func (t *textPrinter) draw() {
	if t.step.Type == "" || time.Since(t.began) < 200*time.Millisecond {
		return
	}
	text := fmt.Sprintf("%d/%d %s %s … %.1f s", t.step.Step, t.step.Steps, t.step.Key, t.step.Name, time.Since(t.began).Seconds())
	if t.heard > 0 {
		text += fmt.Sprintf(", lines heard: %d", t.heard)
	}
	fmt.Fprintf(t.err, "\r\x1b[K%s", clip(text, width(t.err)-1))
	t.drawn = true
}

func (t *textPrinter) erase() {
	if t.drawn {
		fmt.Fprint(t.err, "\r\x1b[K")
		t.drawn = false
	}
}

func (t *textPrinter) event(ev sysrq.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch ev.Type {
	case sysrq.EventStep:
		t.step, t.began, t.heard = ev, time.Now(), 0
	case sysrq.EventHeard:
		t.heard++
		if t.shows(ev) {
			t.erase()
			fmt.Fprintln(t.out, t.line(*ev.Line))
			t.lastLine = ev.Line.Text
		}
	case sysrq.EventNote:
		if t.verbose {
			t.erase()
			t.say("sysrq: ", ev.Text)
		}
	case sysrq.EventWarning:
		t.erase()
		t.say(fmt.Sprintf("sysrq: %s %s: ", ev.Key, ev.Name), ev.Text)
	case sysrq.EventOutcome:
		t.erase()
		t.outcome(ev)
		t.step = sysrq.Event{}
	}
}

// say writes a note or a warning, whose words may come from elsewhere.
func (t *textPrinter) say(prefix, text string) {
	for _, l := range fold(t.err, prefix, printable(text)) {
		fmt.Fprintln(t.err, l)
	}
}

// minNames is how many columns a name gets, whatever the run: the same from
// reisub and from a lone key, so that a log of several lines up.
const minNames = 22

// shows reports whether a heard line is what the step was asked for: a dump,
// or HELP. Of all other steps the evidence is enough, which the outcome shows.
func (t *textPrinter) shows(ev sysrq.Event) bool {
	if t.verbose {
		return true
	}
	if action, ok := sysrq.Header(ev.Line.Text); ok && action == "Changing Loglevel" {
		return false // raised so that the dump shows, and put back
	}
	if _, ok := sysrq.ParseLoglevel(ev.Line.Text); ok {
		return false
	}
	if sysrq.IsHelp(ev.Line.Text) || strings.HasPrefix(ev.Line.Text, "sysrq[rescue]: ") {
		return ev.Key == sysrq.Ping && sysrq.IsHelp(ev.Line.Text)
	}
	for _, c := range sysrq.ForKey(ev.Key) {
		if c.Completion.Kind == sysrq.CompletesDump {
			return true
		}
	}
	return false
}

func (t *textPrinter) outcome(ev sysrq.Event) {
	head := fmt.Sprintf("%s  %-*s ", ev.Key, max(t.names, minNames), ev.Name)
	tail := ""
	if ev.Took > 0 {
		tail = fmt.Sprintf(" %9s", short(ev.Took))
	}
	proof := ""
	if n := len(ev.Evidence); n > 0 && ev.Outcome.OK() && ev.Text == "" {
		last := ev.Evidence[n-1].Text
		if !sysrq.IsHelp(last) && last != t.lastLine && !strings.HasPrefix(last, "sysrq[rescue]: ") {
			proof = "  " + strings.TrimPrefix(strings.Join(strings.Fields(printable(last)), " "), "sysrq: ")
		}
	}
	plain := fmt.Sprintf("%-11s", ev.Outcome)
	room := width(t.out) - len([]rune(head)) - len(plain) - len([]rune(tail))
	fmt.Fprintf(t.out, "%s%s%s%s\n", t.style.bold(head), t.style.outcome(ev.Outcome, plain), tail, clip(proof, room))
	if ev.Text != "" {
		for _, l := range wrap(printable(ev.Text), width(t.out)-3) {
			fmt.Fprintf(t.out, "   %s\n", l)
		}
	}
	if !ev.Outcome.OK() {
		for _, e := range ev.Evidence {
			if !sysrq.IsHelp(e.Text) {
				fmt.Fprintf(t.out, "   %s\n", t.line(e))
			}
		}
	}
}

// line is a kernel line as dmesg prints it.
func (t *textPrinter) line(e sysrq.Evidence) string {
	if !e.HasUptime {
		return printable(e.Text)
	}
	prefix := fmt.Sprintf("[%5d.%06d] ", e.Uptime/time.Second, e.Uptime%time.Second/time.Microsecond)
	return t.style.dim(prefix) + strings.ReplaceAll(printable(e.Text), "\n", "\n"+prefix)
}

// printable keeps what a machine prints from steering our terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, s)
}

// short is a duration in at most three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 100*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 10*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// clip shortens s to n columns.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	if n < 2 {
		return ""
	}
	return string(r[:n-1]) + "…"
}

// wrap breaks text into lines of at most n columns, at spaces.
func wrap(text string, n int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		switch {
		case line == "":
			line = w
		case len([]rune(line))+1+len([]rune(w)) > n:
			lines = append(lines, line)
			line = w
		default:
			line += " " + w
		}
	}
	return append(lines, line)
}

// fold breaks a sentence at words, where it is for a terminal. In a log it
// stays one line, and a text that has lines already keeps them.
func fold(w io.Writer, prefix, text string) []string {
	n := columns(w)
	if n == 0 || strings.Contains(text, "\n") {
		return []string{prefix + text}
	}
	indent := min(len(prefix), 7) // that of "sysrq: "
	lines := wrap(prefix+text, n-1-indent)
	for i := range lines {
		if i > 0 {
			lines[i] = strings.Repeat(" ", indent) + lines[i]
		} else if lead := len(prefix) - len(strings.TrimLeft(prefix, " ")); lead > 0 {
			lines[i] = prefix[:lead] + lines[i]
		}
	}
	return lines
}

// width is the terminal's, or that of a wide piece of paper.
func width(w io.Writer) int { return cmp.Or(columns(w), 120) }

// columns are the terminal's, or 0.
func columns(w io.Writer) int {
	if raw, ok := w.(*crlf); ok {
		w = raw.w
	}
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n >= 40 {
			return n
		}
	}
	return 0
}

// style paints, on a terminal that wants it (NO_COLOR, TERM=dumb).
type style struct{ on bool }

func styleFor(w io.Writer, isTerminal func(any) bool) style {
	return style{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s style) paint(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
func (s style) bold(text string) string { return s.paint("1", text) }
func (s style) dim(text string) string  { return s.paint("2", text) }

func (s style) outcome(o sysrq.Outcome, text string) string {
	switch o {
	case sysrq.Done:
		return s.paint("32", text)
	case sysrq.Accepted, sysrq.Sent:
		return s.paint("36", text)
	case sysrq.Timeout, sysrq.Unsupported:
		return s.paint("33", text)
	}
	return s.paint("31", text)
}

// errWriter remembers the first error, so that a table can be printed without
// an if behind each line and a closed pipe is still noticed.
type errWriter struct {
	w   io.Writer
	err error
}

func newErrWriter(w io.Writer) *errWriter { return &errWriter{w: w} }

func (e *errWriter) printf(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}

func (e *errWriter) json(v any) {
	if e.err == nil {
		e.err = json.NewEncoder(e.w).Encode(v)
	}
}
