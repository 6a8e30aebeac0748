package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/bundle"
	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/internal/logfile"
	"github.com/sysrq/sysrq/redact"
	"github.com/sysrq/sysrq/render"
	"github.com/sysrq/sysrq/render/pprof"
	"github.com/sysrq/sysrq/rescue"
)

// reportOptions are the flags of sysrq report.
type reportOptions struct {
	details bool
	redact  bool
	output  string
	bundle  string
	steps   string
	forms   map[string]*bool
}

// reportForm is a way to write a report.
type reportForm struct {
	flag, usage string
	// page: it is no text that a terminal should show.
	page  bool
	write func(io.Writer, render.Input) error
}

var reportForms = []reportForm{
	{"html", "one self-contained page", true, func(w io.Writer, in render.Input) error {
		return render.HTML(w, in, render.HTMLOptions{})
	}},
	{"svg", "a picture of who waits for whom", true, render.WaitSVG},
	{"flame", "a flame graph of the stacks, as a picture", true, render.FlameSVG},
	{"dot", "who waits for whom, for graphviz", false, render.DOT},
	{"mermaid", "who waits for whom, for Mermaid", false, render.Mermaid},
	{"folded", "folded stacks, for flame graph tools", false, render.Folded},
	{"pprof", "the stacks for go tool pprof", true, pprof.Write},
	{"raw", "the log itself, unpacked; with --redact, what may be shared", false, writeRaw},
	{"sarif", "the findings as SARIF 2.1.0", false, render.SARIF},
}

func (p *program) reportCommand() *cobra.Command {
	o := reportOptions{forms: map[string]*bool{}}
	c := &cobra.Command{
		Use:   "report [FILE...]",
		Short: "explain a hang from its dump",
		Long: `report reads logs in which a kernel has said what its tasks, processors and
memory do, and explains them: what is wrong, who is the likely culprit, on
which lines that rests, and what to do next. Where it can not tell, it says so
and what to capture next.

A FILE is what dmesg, journalctl or a console printed, a syslog file, a pstore
or vmcore-dmesg file, as it is or packed by gzip, xz or zstd; "-" is standard
input. With -t TARGET it captures first: the steps of "sysrq observe" (blocked
tasks, processors, memory, all tasks), or those of --steps.

Several files are several reports. Dumps of one machine are compared over time
when they are in one: cat monday.log tuesday.log | sysrq report -

What a report says is a help to think, not a verdict: each finding has the
lines it rests on, and what would refute it.

Exit status: 0 when the report was made, whatever it found; 1 when something
could not be read or captured; 2 when the words make no sense.`,
		Example: `  sysrq report hang.log                 # findings first
  dmesg | sysrq report -
  sysrq report --details hang.log.xz    # with stacks and the wait graph
  sysrq report --html -o hang.html hang.log
  sysrq report --redact --raw hang.log >shareable.log
  sysrq report --redact --bundle hang.tar.zst hang.log
  sysrq report --json hang.log | jq -r '.findings[].title'
  sysrq -t 'qmp:/run/vm.qmp?console=/run/vm.serial' report`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return p.report(cmd.Context(), args, o) },
	}
	f := c.Flags()
	f.BoolVarP(&o.details, "details", "d", false, "with stacks, folded where alike, and the wait graph")
	f.BoolVar(&o.redact, "redact", false, "take out names of machines, users and programs, addresses and paths")
	f.StringVarP(&o.output, "output", "o", "", "write to `FILE` instead of standard output")
	f.StringVar(&o.bundle, "bundle", "", "write log, findings, page and facts into one `FILE`.tar.zst")
	f.StringVar(&o.steps, "steps", "observe", "with -t: the `STEPS` to capture, none of which may change anything")
	for _, form := range reportForms {
		o.forms[form.flag] = f.Bool(form.flag, false, form.usage)
	}
	return c
}

// form is the one that the flags choose, or nil for text.
func (o *reportOptions) form(json bool) (*reportForm, error) {
	var chosen []string
	var form *reportForm
	if json {
		chosen = append(chosen, "--json")
		form = &reportForm{flag: "json", write: render.JSON}
	}
	for i := range reportForms {
		if *o.forms[reportForms[i].flag] {
			chosen = append(chosen, "--"+reportForms[i].flag)
			form = &reportForms[i]
		}
	}
	if o.bundle != "" {
		chosen = append(chosen, "--bundle")
	}
	if len(chosen) > 1 {
		return nil, usagef("run it once for each", "%s: a report has one form at a time", strings.Join(chosen, " "))
	}
	return form, nil
}

// source is a log that can be read more than once.
type source struct {
	name string
	open func() (io.ReadCloser, error)
}

func (p *program) report(ctx context.Context, files []string, o reportOptions) error {
	form, err := o.form(p.json)
	switch {
	case err != nil:
		return err
	case len(p.targets) > 0 && len(files) > 0:
		return usagef("give files, or -t", "a report is of files or of a target, not of both")
	case len(p.targets) == 0 && len(files) == 0 && p.isTerminal(p.stdin):
		return usagef("for example: dmesg | sysrq report -, or: sysrq -t local: report", "no file to report on")
	case len(files) > 1 && (form != nil && form.flag != "json" || o.output != ""):
		return usagef("run it once for each", "%d files do not fit into one output", len(files))
	case form != nil && form.page && o.output == "" && p.isTerminal(p.stdout):
		return usagef("add -o FILE, for example: sysrq report --"+form.flag+" -o hang."+form.suffix()+" …", "--%s is no text for a terminal", form.flag)
	case o.bundle != "" && (len(files) > 1 || o.output != ""):
		return usagef("run it once for each, without --output", "--bundle is one archive of one log")
	case slices.Contains(files, o.bundle) && o.bundle != "":
		return usagef("choose another name", "--bundle %s is the log itself", o.bundle)
	case slices.Contains(files, o.output) && o.output != "":
		return usagef("choose another name", "--output %s is the log itself", o.output)
	}

	var sources []source
	failed := false
	switch {
	case len(p.targets) > 0:
		s, done, err := p.capture(ctx, o.steps)
		if err != nil {
			return err
		}
		defer done()
		sources = append(sources, s)
	case len(files) == 0:
		files = []string{"-"}
	}
	for _, name := range files {
		if name == "-" {
			s, done, err := spooled("standard input", p.stdin)
			if err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
			defer done()
			sources = append(sources, s)
			continue
		}
		sources = append(sources, source{name, func() (io.ReadCloser, error) { return logfile.Open(name) }})
	}

	out := p.stdout
	var file *os.File
	for i, s := range sources {
		if o.redact {
			if s, err = redacted(s); err != nil {
				p.complain(unreadable(sources[i], err))
				failed = true
				continue
			}
		}
		in, err := examine(ctx, s)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			p.complain(unreadable(s, err))
			failed = true
			if in.Report == nil {
				continue
			}
		}
		if o.bundle != "" {
			if err := p.bundle(o, s, in); err != nil {
				return err
			}
			continue
		}
		if o.output != "" && file == nil { // only now: what failed leaves nothing behind
			if file, err = os.Create(o.output); err != nil {
				return err
			}
			out = file
		}
		if i > 0 && form == nil {
			fmt.Fprintln(out)
		}
		if form != nil {
			err = form.write(out, in)
		} else {
			err = render.Text(out, in, render.TextOptions{Width: width(out), Color: styleFor(out, p.isTerminal).on, Details: o.details})
		}
		if err != nil {
			return err
		}
	}
	if file != nil {
		if err := file.Close(); err != nil {
			return err
		}
	}
	if failed {
		return &statusError{exitFailed, errQuiet, ""}
	}
	return nil
}

// bundle writes the archive, whole or not at all.
func (p *program) bundle(o reportOptions, s source, in render.Input) (err error) {
	log, err := s.open()
	if err != nil {
		return err
	}
	defer log.Close()
	f, err := os.CreateTemp(filepath.Dir(o.bundle), ".sysrq-bundle-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	c := bundle.Contents{Capture: log, Input: in, Redacted: o.redact, When: time.Now()}
	if len(p.targets) > 0 && p.targets[0] == "local:" && !o.redact {
		c.Machine = here()
	}
	err = bundle.Write(f, c)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), o.bundle)
}

// here is what this machine says of itself.
func here() map[string]string {
	facts := map[string]string{}
	for name, file := range map[string]string{"uname": "/proc/version", "os_release": "/etc/os-release", "cmdline": "/proc/cmdline"} {
		if b, err := os.ReadFile(file); err == nil {
			facts[name] = strings.TrimSpace(string(b))
		}
	}
	return facts
}

// unreadable says what could not be read. An error of the system's names the
// file already.
func unreadable(s source, err error) error {
	var pe *os.PathError
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &statusError{exitFailed, err, "a FILE is a log that is there; to capture one now: sysrq -t local: report"}
	case errors.As(err, &pe):
		return err
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// suffix is what a file of the form is usually called by.
func (f *reportForm) suffix() string {
	switch f.flag {
	case "html":
		return "html"
	case "pprof":
		return "pb.gz"
	}
	return "svg"
}

// writeRaw writes the log as it was read.
func writeRaw(w io.Writer, in render.Input) error {
	b := bufio.NewWriter(w)
	for line := range in.Lines {
		b.WriteString(line)
		if err := b.WriteByte('\n'); err != nil {
			return err
		}
	}
	return b.Flush()
}

// redacted is a source without what tells whose it is. Everything is made from
// its text, so that nothing can hold what it does not.
func redacted(s source) (source, error) {
	r, err := s.open()
	if err != nil {
		return s, err
	}
	defer r.Close()
	red := redact.New()
	if err := red.Learn(r); err != nil {
		return s, err
	}
	return source{"redacted log", func() (io.ReadCloser, error) {
		r, err := s.open()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{red.Reader(r), r}, nil
	}}, nil
}

// examine reads a log once for its findings. What it returns reads it again
// when blocks or lines are wanted, so that memory does not grow with the log.
// With an error, what was read before it is still there, unless nothing was.
func examine(ctx context.Context, s source) (render.Input, error) {
	version, _ := buildVersion()
	in := render.Input{Title: s.name, File: s.name, Version: version}
	r, err := s.open()
	if err != nil {
		return in, err
	}
	defer r.Close()
	var a diagnose.Analyzer
	parser := dump.NewParser(&interruptible{ctx, r})
	parser.Log = a.Log
	for parser.Scan() {
		a.Add(parser.Block())
	}
	if ctx.Err() != nil {
		return in, &statusError{exitInterrupted, errors.New("interrupted"), ""}
	}
	in.Counts = parser.Counts()
	a.Counts(in.Counts)
	if in.Counts.Lines == 0 && parser.Err() != nil {
		return in, parser.Err()
	}
	in.Report = a.Report()
	in.Blocks = s.blocks()
	in.Lines = s.lines()
	return in, parser.Err()
}

func (s source) blocks() iter.Seq[*dump.Block] {
	return func(yield func(*dump.Block) bool) {
		r, err := s.open()
		if err != nil {
			return // it was there a moment ago, and said so if it was not
		}
		defer r.Close()
		for parser := dump.NewParser(r); parser.Scan(); {
			if !yield(parser.Block()) {
				return
			}
		}
	}
}

func (s source) lines() iter.Seq[string] {
	return func(yield func(string) bool) {
		r, err := s.open()
		if err != nil {
			return
		}
		defer r.Close()
		b := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := b.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); (err == nil || line != "") && !yield(line) {
				return
			}
			if err != nil {
				return
			}
		}
	}
}

// interruptible ends a long read at Ctrl-C.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read reads.
func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// spooled keeps what can be read only once in a file without a name.
func spooled(name string, r io.Reader) (s source, done func(), err error) {
	f, err := os.CreateTemp("", "sysrq-report-")
	if err != nil {
		return s, nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return s, nil, errors.Join(err, f.Close())
	}
	size, err := io.Copy(f, r)
	if err != nil {
		return s, nil, errors.Join(err, f.Close())
	}
	open := func() (io.ReadCloser, error) {
		return logfile.New(io.NewSectionReader(f, 0, size)), nil
	}
	return source{name, open}, func() { f.Close() }, nil
}

// capture has a target print its dumps, and keeps what the kernel said.
func (p *program) capture(ctx context.Context, words string) (s source, done func(), err error) {
	target, err := p.parseTarget()
	if err != nil {
		return s, nil, err
	}
	steps, err := p.parseSteps(strings.Fields(strings.ReplaceAll(words, ",", " ")), target)
	if err != nil {
		return s, nil, err
	}
	if i := slices.IndexFunc(steps, func(st sysrq.Step) bool { return st.Command.Danger != sysrq.Observe }); i >= 0 {
		return s, nil, usagef("for example: --steps wlm; to do it all the same, run sysrq "+steps[i].Command.Key.String()+" before",
			"--steps: %s does more than look", steps[i].Command.Name)
	}
	t, err := target.Open(ctx)
	if err != nil {
		return s, nil, err
	}
	defer t.Close()
	show := newTextPrinter(p, false)
	defer show.close()
	var text strings.Builder
	heard := 0
	for ev := range rescue.Run(ctx, t, steps, rescue.Options{}) {
		switch ev.Type {
		case sysrq.EventHeard:
			heard++
			writeHeard(&text, ev.Line)
			continue
		case sysrq.EventOutcome:
			if !ev.Outcome.OK() {
				p.complain(fmt.Errorf("%s %s: %s %s", ev.Key, ev.Name, ev.Outcome, ev.Text))
			}
		}
		if ev.Type == sysrq.EventStep {
			show.event(ev)
		}
	}
	show.close()
	if ctx.Err() != nil {
		return s, nil, &statusError{exitInterrupted, errors.New("interrupted"), ""}
	}
	if heard == 0 {
		return s, nil, &statusError{exitFailed, fmt.Errorf("%s: nothing was heard", target), "see what there is: sysrq list"}
	}
	return spooled(target.String(), strings.NewReader(text.String()))
}

// writeHeard writes a line as dmesg does.
func writeHeard(w *strings.Builder, e *sysrq.Evidence) {
	prefix := ""
	if e.HasUptime {
		us := e.Uptime.Microseconds()
		prefix = fmt.Sprintf("[%5d.%06d] ", us/1e6, us%1e6)
	}
	for l := range strings.SplitSeq(e.Text, "\n") {
		w.WriteString(prefix)
		w.WriteString(l)
		w.WriteByte('\n')
	}
}
