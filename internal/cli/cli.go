// Package cli turns words into calls and events into lines. It is the only
// room that prints, asks and exits.
//
// The rules of what is printed where: stdout has what was asked for (the
// kernel's lines, outcomes, tables, JSON); stderr has everything else, with
// the prefix "sysrq: ". Progress is drawn on a terminal only and erased again.
// Every refusal ends with the next thing to type.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// The exit statuses. docs/exit-status.md explains them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnsupported = 4
	exitTimeout     = 5
	exitSent        = 6
	exitInterrupted = 130
	exitPipe        = 141 // as if SIGPIPE had ended us: our reader has enough
)

// statusError is an error that knows its exit status and the next thing to
// type.
type statusError struct {
	status int
	err    error
	hint   string
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func usagef(hint, format string, args ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, args...), hint}
}

// errQuiet ends the program with a status after everything was said.
var errQuiet = errors.New("said already")

// program is what a command needs of the world.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	registry       *transport.Registry
	// terminal questions go here when stdin and stderr are one.
	isTerminal func(any) bool

	targets []string // -t; one, so far
	json    bool
	helped  error // of --help, which cobra can not return
}

// Main runs the program with args (without its own name) and returns its exit
// status.
func Main(args []string, registry *transport.Registry) int {
	p := &program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, registry: registry,
		isTerminal: func(v any) bool {
			f, ok := v.(*os.File)
			return ok && term.IsTerminal(int(f.Fd()))
		},
	}
	return p.main(args)
}

func (p *program) main(args []string) int {
	// A reader that leaves must not end a rescue in the middle, as SIGPIPE
	// would: the write fails, and that is that.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if harmlessKeys(args) {
		late := time.AfterFunc(catchAfter, func() { catch(ctx, cancel) })
		defer late.Stop()
		return p.status(p.run(ctx, args, runOptions{}))
	}
	catch(ctx, cancel)

	root := p.rootCommand()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = p.helped
	}
	return p.status(err)
}

// harmlessKeys reports whether args are keys and nothing else, none of which
// ends anything: the shortest way, for which the tree of commands need not be
// built. Its measure is a program that does nothing but write the key.
func harmlessKeys(args []string) bool {
	for _, word := range args {
		if len(word) != 1 || !sysrq.Key(word[0]).HasSlot() ||
			sysrq.ForKeyOn(sysrq.Key(word[0]), runtime.GOARCH).Danger.Asks() {
			return false
		}
	}
	return len(args) > 0
}

// catchAfter is when harmless keys begin to catch signals: before, there is
// nothing that an interrupt would leave behind.
const catchAfter = 10 * time.Millisecond

// catch makes the first Ctrl-C end a run in an orderly way, and hands it back
// then, so that a second one ends the program whatever it is doing.
func catch(ctx context.Context, cancel context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	context.AfterFunc(ctx, func() { cancel(); stop() })
}

// status maps the error of a command to the exit status, saying it first.
func (p *program) status(err error) int {
	if err == nil {
		return exitOK
	}
	status, hint := exitFailed, hintOf(err)
	var se *statusError
	if errors.As(err, &se) {
		status = se.status
	}
	var oe *transport.OpError // a machine's socket breaks the same way
	switch {
	case errors.Is(err, errQuiet):
	case errors.Is(err, syscall.EPIPE) && !errors.As(err, &oe):
		// Whoever read our output has enough of it. That is no failure of
		// ours, and nobody is there to be told.
		return exitPipe
	case p.json:
		printJSONError(p.stderr, status, err, hint)
	default:
		p.errorf("%v", err)
		if hint != "" {
			p.hint(hint)
		}
	}
	return status
}

// complain says an error that does not end the program.
func (p *program) complain(err error) {
	if p.json {
		printJSONError(p.stderr, exitFailed, err, hintOf(err))
		return
	}
	p.errorf("%v", err)
	if hint := hintOf(err); hint != "" {
		p.hint(hint)
	}
}

// hintOf is the next thing to type after err, or empty.
func hintOf(err error) string {
	var se *statusError
	if errors.As(err, &se) && se.hint != "" {
		return se.hint
	}
	var oe *transport.OpError
	if errors.As(err, &oe) {
		return oe.Hint
	}
	return ""
}

func (p *program) errorf(format string, args ...any) {
	p.say("sysrq: ", fmt.Sprintf(format, args...))
}

func (p *program) hint(text string) { p.say("       ", text) }

// say writes to stderr.
func (p *program) say(prefix, text string) {
	for _, l := range fold(p.stderr, prefix, text) {
		fmt.Fprintln(p.stderr, l)
	}
}

// exitStatus is the status of a run with these outcomes: that of the worst.
func exitStatus(outcomes []sysrq.Outcome, strict bool) int {
	var worst sysrq.Outcome
	for _, o := range outcomes {
		worst = worst.Worse(o)
	}
	switch worst {
	case sysrq.Done:
		return exitOK
	case sysrq.Accepted:
		if strict {
			return exitSent
		}
		return exitOK
	case sysrq.Sent:
		return exitSent
	case sysrq.Timeout:
		return exitTimeout
	case sysrq.Unsupported:
		return exitUnsupported
	case sysrq.Refused:
		return exitRefused
	}
	return exitFailed
}

func (p *program) rootCommand() *cobra.Command {
	var opts runOptions
	root := &cobra.Command{
		Use:   "sysrq [-t TARGET] STEP...",
		Short: "trigger Magic SysRq, and prove what it did",
		Long: `sysrq asks a Linux kernel for its Magic SysRq commands, here or on another
machine, waits for the kernel's own evidence of each, and says what is known.

A STEP is a key (s), a kernel name or its beginning (sync, show-bl), a
sequence (reisub, reisuo, sub, observe), or keys behind an underscore (_lmw).
What one does: sysrq help STEP. TARGET is a URL; without one it is this
machine.

Sequences of your own stand in /etc/sysrq/config.toml or
~/.config/sysrq/config.toml, or in the file that SYSRQ_CONFIG names:

    [sequences.careful]
    summary = "look, save, reboot"
    steps = ["w", "s", {do = "u", deadline = "20s", on-timeout = "stop"}, "b"]

Exit status, of the worst step:

    0    every step is done or accepted (with --strict: done)
    1    a step failed: its key was not delivered
    2    what was asked for can not be; nothing was sent
    3    refused: the kernel's mask forbids it
    4    unsupported: this kernel has no such command
    5    timeout: no proof before the deadline
    6    sent blindly: delivered, but nothing can be heard
    130  interrupted`,
		Example: `  sysrq w                      # who is blocked on this machine?
  sysrq reisub                 # end programs, sync, remount, reboot: with proof
  sysrq --dry-run reisub       # what would be sent, and waited for
  sysrq -t 'qmp:/run/vm.qmp?console=/run/vm.serial' observe reisub
  sysrq --json --yes sub       # one event a line, for scripts`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: p.completeSteps,
		SilenceErrors:     true,
		SilenceUsage:      true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.run(cmd.Context(), args, opts)
		},
	}
	root.PersistentFlags().StringArrayVarP(&p.targets, "target", "t", nil, "the machine, as a `URL`: see sysrq targets")
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print one JSON object a line")
	opts.addFlags(root.Flags())
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(p.listCommand(), p.watchCommand(), p.versionCommand(), p.reportCommand(), p.labCommand(), p.targetsHelp(), p.completionCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(p.helpCommand())
	usual := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if words := cmd.Flags().Args(); cmd == root && len(words) > 0 { // sysrq w --help
			p.helped = p.explain(words)
			return
		}
		usual(cmd, args)
	})
	_ = root.RegisterFlagCompletionFunc("target", p.completeTargets)
	return root
}

// Command is the whole tree of commands, for what is made from their help.
func Command(registry *transport.Registry) *cobra.Command {
	root := (&program{registry: registry, isTerminal: func(any) bool { return false }}).rootCommand()
	root.InitDefaultHelpCmd()
	return root
}
