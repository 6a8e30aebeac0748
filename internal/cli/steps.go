package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/rescue"
	"github.com/sysrq/sysrq/transport"
)

// runOptions are the flags of a run.
type runOptions struct {
	dryRun, yes, strict, verbose bool
	timeout                      time.Duration
	reason                       string
	consoleLevel                 int
	keepConsole                  bool
}

func (o *runOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be sent and awaited; send nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask before steps that lose something")
	f.BoolVar(&o.strict, "strict", false, "exit 6, not 0, when a step is only accepted")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print everything that is heard")
	f.DurationVar(&o.timeout, "timeout", 0, "wait this long for each step's proof")
	f.StringVar(&o.reason, "reason", "", "why: a `text` for the machine's kernel log")
	f.IntVar(&o.consoleLevel, "console-level", 0, "the log `level`, 1-9, to put the console back to")
	f.BoolVar(&o.keepConsole, "keep-console", false, "do not raise the console's log level for proof")
}

func (o *runOptions) validate() error {
	switch {
	case o.timeout < 0:
		return usagef("for example: --timeout 30s", "--timeout %s: a wait can not be negative", o.timeout)
	case o.consoleLevel < 0 || o.consoleLevel > 9:
		return usagef("for example: --console-level 4", "--console-level %d: levels go from 1 to 9", o.consoleLevel)
	case strings.ContainsAny(o.reason, "\n\r"):
		return usagef(`for example: --reason "disk is gone, ticket 17"`, "--reason: one line only")
	}
	return nil
}

// run is `sysrq STEP...`. Everything is validated before anything is opened,
// and opened before anybody is asked and anything is sent.
func (p *program) run(ctx context.Context, words []string, opts runOptions) error {
	if err := opts.validate(); err != nil {
		return err
	}
	target, err := p.parseTarget()
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return p.overview(ctx)
	}
	steps, err := p.parseSteps(words, target)
	if err != nil {
		return err
	}
	if opts.dryRun {
		return p.dryRun(target, steps, opts)
	}
	t, err := target.Open(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	// Asked last, so that nobody says yes to what can not be done.
	if err := p.mayGoOn(ctx, target, steps, opts); err != nil {
		return err
	}

	out := p.printer(steps, opts)
	var outcomes []sysrq.Outcome
	for ev := range rescue.Run(ctx, t, steps, rescue.Options{
		Timeout: opts.timeout, Reason: opts.reason,
		ConsoleLevel: opts.consoleLevel, KeepConsole: opts.keepConsole,
	}) {
		out.event(ev)
		if ev.Type == sysrq.EventOutcome {
			outcomes = append(outcomes, ev.Outcome)
		}
	}
	// The machine first: what is frozen there must not wait for whoever reads
	// our output.
	closed := t.Close()
	out.close()
	if closed != nil {
		p.complain(closed)
	}
	status := exitStatus(outcomes, opts.strict)
	left := steps[len(outcomes):]
	switch {
	case ctx.Err() != nil && (len(left) > 0 || status == exitTimeout || status == exitFailed):
		what := "interrupted"
		if len(left) > 0 {
			what += "; not sent: " + names(left)
		}
		return &statusError{exitInterrupted, errors.New(what), ""}
	case len(left) > 0:
		return &statusError{status, errors.New("stopped; not sent: " + names(left)), ""}
	case status != exitOK:
		return &statusError{status, errQuiet, ""}
	}
	return nil
}

func names(steps []sysrq.Step) string {
	var all []string
	for _, st := range steps {
		all = append(all, st.Command.Name)
	}
	return strings.Join(all, ", ")
}

func (p *program) parseTarget() (transport.Target, error) {
	word := "local:"
	switch len(p.targets) {
	case 0:
	case 1:
		word = p.targets[0]
	default:
		return transport.Target{}, usagef("nothing was sent; run sysrq once for each", "%d targets were given, and one run reaches one machine", len(p.targets))
	}
	t, err := p.registry.Parse(word)
	if err != nil {
		return t, &statusError{exitUsage, err, "see: sysrq targets"}
	}
	return t, nil
}

func (p *program) parseSteps(words []string, target transport.Target) ([]sysrq.Step, error) {
	known := sysrq.Sequences()
	// A key needs no configuration; so the shortest way does not look for one.
	if slices.ContainsFunc(words, func(w string) bool { return len(w) > 1 && w[0] != '_' }) {
		own, err := loadSequences()
		if err != nil {
			return nil, err
		}
		known = append(known, own...)
	}
	arch := target.Arch()
	if target.Scheme() == "local" {
		arch = runtime.GOARCH
	}
	steps, err := sysrq.ParseSteps(words, known, arch)
	var unknown *sysrq.UnknownError
	switch {
	case errors.As(err, &unknown) && unknown.Word == "loglevel" && unknown.Ambiguous:
		return nil, usagef("type the level itself, 0 to 9: sysrq 4", "%q needs a level", unknown.Word)
	case errors.As(err, &unknown) && unknown.Ambiguous:
		return nil, &statusError{exitUsage, fmt.Errorf("%q may be several commands", unknown.Word), "one of: " + strings.Join(unknown.Nearest, ", ")}
	case errors.As(err, &unknown):
		return nil, &statusError{exitUsage, fmt.Errorf("%q is not a key, a command or a sequence", unknown.Word), instead(words, unknown)}
	case err != nil:
		return nil, &statusError{exitUsage, err, "see: sysrq --help"}
	}
	return steps, nil
}

// mayGoOn asks, where something will be lost.
func (p *program) mayGoOn(ctx context.Context, target transport.Target, steps []sysrq.Step, opts runOptions) error {
	if opts.yes || !sysrq.DangerOf(steps).Asks() {
		return nil
	}
	if p.json || !p.isTerminal(p.stdin) || !p.isTerminal(p.stderr) {
		return usagef("to go on, add --yes; to see what it would do, --dry-run",
			"nothing was sent, since nobody can be asked here: on %s this %s", where(target), loss(steps))
	}
	fmt.Fprintf(p.stderr, "On %s this %s. Go on? [y/N] ", where(target), loss(steps))
	// Nothing can end a read from a terminal; Ctrl-C leaves it behind.
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(p.stdin).ReadString('\n')
		if err != nil { // Ctrl-D, a line that hung up: no whole answer is no answer
			fmt.Fprintln(p.stderr)
			line = ""
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(p.stderr)
		return &statusError{exitInterrupted, errors.New("interrupted; nothing was sent"), ""}
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
	}
	return usagef("", "nothing was sent")
}

func where(t transport.Target) string {
	if t.Scheme() == "local" {
		return "this machine"
	}
	return t.String()
}

// loss says in one plain clause what steps do to the machine, and what is lost
// by it.
func loss(steps []sysrq.Step) string {
	var does, loses []string
	saved := false
	for _, st := range steps {
		c := st.Command
		if c.Key == 's' || c.Key == 'u' {
			saved = true
		}
		if !c.Danger.Asks() {
			continue
		}
		verb := map[sysrq.Key]string{
			'e': "ends every program", 'i': "kills every program", 'f': "kills a program", 'k': "kills the current terminal's programs",
			'u': "makes every file system read-only", 'b': "reboots", 'o': "switches it off", 'c': "crashes the kernel",
			'g': "stops it in the debugger", 'x': "stops it in the debugger",
		}[c.Key]
		if verb == "" {
			verb = "runs " + c.Name
		}
		if c.Key == 'i' && slices.Contains(does, "ends every program") {
			continue
		}
		does = append(does, verb)
		l := c.Loses
		if saved && (c.Key == 'b' || c.Key == 'o' || c.Key == 'c') {
			l = "" // what s and u could save is saved
		}
		if c.Key == 'u' && steps[len(steps)-1].Command.Danger >= sysrq.Reboot {
			l = "" // there is no later
		}
		if l != "" && !slices.Contains(loses, l) {
			loses = append(loses, l)
		}
	}
	text := strings.Join(does, ", ")
	if n := len(does); n > 1 {
		text = strings.Join(does[:n-1], ", ") + " and " + does[n-1]
	}
	if len(loses) > 0 {
		text += "; lost: " + strings.Join(loses, ", and ")
	} else if saved {
		text += "; lost: what programs have in memory"
	}
	return text
}

// dryRun says exactly what a run would do.
func (p *program) dryRun(target transport.Target, steps []sysrq.Step, opts runOptions) error {
	type plan struct {
		Event    string    `json:"event"`
		Target   string    `json:"target"`
		Step     int       `json:"step"`
		Key      sysrq.Key `json:"key"`
		Name     string    `json:"name"`
		Danger   string    `json:"danger"`
		Send     string    `json:"send"`
		Await    string    `json:"await"`
		Deadline float64   `json:"deadline_s"`
		Then     string    `json:"on_timeout"`
		Grace    float64   `json:"grace_s,omitempty"`
		Besides  string    `json:"besides,omitempty"`
	}
	w := newErrWriter(p.stdout)
	if !p.json {
		w.printf("to %s, one after another; nothing is sent now\n", where(target))
	}
	for i, st := range steps {
		deadline := st.Wait()
		if opts.timeout > 0 {
			deadline = opts.timeout
		}
		c := st.Command
		pl := plan{
			Event: "plan", Target: target.String(), Step: i + 1, Key: c.Key, Name: c.Name, Danger: c.Danger.String(),
			Send: target.Sends(c.Key), Await: cmp.Or(target.Awaits(c.Key), awaits(c)), Deadline: deadline.Seconds(), Then: st.OnTimeout.String(), Grace: st.Grace.Seconds(),
			Besides: besides(target, c, opts),
		}
		if p.json {
			w.json(pl)
			continue
		}
		w.field(fmt.Sprintf("%d. %s  ", i+1, c.Key), c.Name+": "+c.Effect)
		w.field("     send   ", pl.Send)
		then := ""
		if i+1 < len(steps) {
			then = map[sysrq.OnTimeout]string{sysrq.GoOn: "; without it, go on", sysrq.StopThere: "; without it, stop"}[st.OnTimeout]
		}
		w.field("     await  ", fmt.Sprintf("%s, for up to %s%s", pl.Await, short(deadline), then))
		if pl.Besides != "" {
			w.field("     maybe  ", pl.Besides)
		}
		if st.Grace > 0 && i+1 < len(steps) {
			w.field("     then   ", fmt.Sprintf("leave programs up to %s to end", short(st.Grace)))
		}
	}
	return w.err
}

// besides says what else may be sent so that a step's proof can be seen on a
// console.
func besides(target transport.Target, c sysrq.Command, opts runOptions) string {
	if target.Scheme() == "local" {
		return ""
	}
	var all []string
	kind := c.Completion.Kind
	if (kind == sysrq.CompletesLine || kind == sysrq.CompletesDump) && c.Name != "loglevel" && c.Completion.Level > 0 && !opts.keepConsole {
		all = append(all, fmt.Sprintf("8, so that a quiet console shows that; %d when all is over", cmp.Or(opts.consoleLevel, 7)))
	}
	if kind == sysrq.CompletesDump {
		all = append(all, "h, whose answer ends the dump")
	}
	return strings.Join(all, "; ")
}

// awaits says what proof a command's step waits for.
func awaits(c sysrq.Command) string {
	switch c.Completion.Kind {
	case sysrq.CompletesHelp:
		return "the kernel's HELP line"
	case sysrq.CompletesLine:
		return "'" + strings.TrimPrefix(c.Completion.Lines[0], "sysrq: ") + "'"
	case sysrq.CompletesDump:
		return "'" + c.Action + "' and the end of what is printed behind it"
	case sysrq.CompletesReboot:
		return "'" + c.Action + "' and a new boot"
	}
	if c.Action == "" {
		return "whatever the kernel announces"
	}
	return "'" + c.Action + "', which is all that is printed of it"
}

func (p *program) completeSteps(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, s := range sysrq.Sequences() {
		if strings.HasPrefix(s.Name, toComplete) {
			all = append(all, s.Name+"\t"+s.Summary)
		}
	}
	if own, err := loadSequences(); err == nil {
		for _, s := range own {
			if strings.HasPrefix(s.Name, toComplete) {
				all = append(all, s.Name+"\t"+s.Summary)
			}
		}
	}
	for _, c := range sysrq.Commands() {
		if c.Name != "loglevel" && strings.HasPrefix(c.Name, toComplete) && c.OnArch(runtime.GOARCH) {
			all = append(all, c.Name+"\t"+c.Key.String()+": "+c.Effect)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

func (p *program) completeTargets(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, f := range p.registry.Factories() {
		if strings.HasPrefix(f.Scheme+":", toComplete) {
			all = append(all, f.Scheme+":\t"+f.Summary)
		}
	}
	return all, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
