package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/rescue"
	"github.com/sysrq/sysrq/transport"
)

// inventory is what is known of one kernel's SysRq.
type inventory struct {
	target  string
	items   []sysrq.HelpItem // nil: the kernel was not heard
	why     string           // why not
	err     error
	mask    sysrq.Mask
	hasMask bool
	maskWhy string // why it is not known, or not what it seems
	arch    string
	outcome sysrq.Outcome // of the question
	bulk    string        // whether '_' is a prefix there: "yes", "no", or empty for not known
}

// notAsked is the error of a kernel that did not answer. What is known was
// printed before.
func (inv *inventory) notAsked() error {
	switch {
	case inv.err != nil:
		return inv.err
	case inv.items == nil:
		return &statusError{
			exitStatus([]sysrq.Outcome{inv.outcome}, false),
			fmt.Errorf("the kernel was not heard: %s", cmp.Or(inv.why, "interrupted")), "",
		}
	}
	return nil
}

func (p *program) listCommand() *cobra.Command {
	var timeout time.Duration
	var mask string
	c := &cobra.Command{
		Use:   "list",
		Short: "what this kernel has, and who may run it",
		Long: `list asks the kernel itself which commands it has, and holds each against the
mask: what the keyboard and the serial line may do, and what the trigger file
may. Where the kernel can not be asked it says why, and prints what is known of
all kernels. What a command does: sysrq help NAME.

Exit status: 0 when the kernel has answered; else as for any step, which
sysrq --help lists.`,
		Example: `  sysrq list
  sysrq list --json | jq -r 'select(.keyboard) | .name'
  sysrq -t 'qmp:/run/vm.qmp?console=/run/vm.serial' list --mask 176`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			target, err := p.parseTarget()
			if err != nil {
				return err
			}
			var given sysrq.Mask
			if mask != "" {
				if given, err = sysrq.ParseMask(mask); err != nil {
					return usagef("for example: --mask 438", "--mask: %w", err)
				}
			}
			if timeout <= 0 {
				return usagef("for example: --timeout 10s", "--timeout %s: nobody could answer in that", timeout)
			}
			inv := p.ask(cmd.Context(), target, timeout)
			if mask != "" {
				inv.mask, inv.hasMask, inv.maskWhy = given, true, "as given"
			}
			if inv.err != nil && target.Scheme() != "local" {
				return inv.err
			}
			if err := p.printList(inv); err != nil {
				return err
			}
			return inv.notAsked()
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "wait this long for the kernel's answer")
	c.Flags().StringVar(&mask, "mask", "", "show what this `value` of kernel.sysrq would permit")
	return c
}

// ask pings the kernel and reads what is known of its mask.
func (p *program) ask(ctx context.Context, target transport.Target, timeout time.Duration) inventory {
	inv := inventory{target: target.String(), arch: target.Arch()}
	if target.Scheme() == "local" {
		inv.arch = runtime.GOARCH
		inv.readMask()
	} else {
		inv.maskWhy = "a mask can not be read from outside"
	}
	t, err := target.Open(ctx)
	if err != nil {
		inv.err, inv.why = err, err.Error()
		return inv
	}
	defer t.Close()
	steps := []sysrq.Step{{Command: sysrq.ForKeyOn(sysrq.Ping, inv.arch), Deadline: timeout}}
	for ev := range rescue.Run(ctx, t, steps, rescue.Options{}) {
		if ev.Type != sysrq.EventOutcome {
			continue
		}
		inv.why, inv.outcome = ev.Text, ev.Outcome
		for _, e := range ev.Evidence {
			if items, ok := sysrq.ParseHelp(e.Text); ok {
				inv.items = items
			}
		}
	}
	if inv.items != nil {
		inv.bulk = bulkPrefix(ctx, t, timeout)
	}
	return inv
}

// bulkPrefix finds out whether '_' makes the trigger file take every byte of
// a write for a key, which came with Linux 6.8. A lone '_' changes nothing:
// kernels that know it print nothing, older ones print HELP
// (drivers/tty/sysrq.c, write_sysrq_trigger, 6.1, 6.12). It is answered only
// where our own line can be put behind it to end the wait.
func bulkPrefix(ctx context.Context, t transport.Transport, timeout time.Duration) string {
	m, ok := t.(transport.Marker)
	if !ok || t.Properties().Door != sysrq.DoorTrigger || t.Properties().Deaf {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nonce := time.Now().UnixNano()
	begin, end := fmt.Sprintf("sysrq[list]: asks for _ %x", nonce), fmt.Sprintf("sysrq[list]: has asked for _ %x", nonce)
	if m.Mark(begin) != nil || t.Trigger(ctx, '_') != nil || m.Mark(end) != nil {
		return ""
	}
	answer := ""
	for {
		h, err := t.Hear(ctx)
		if err != nil {
			return ""
		}
		text := string(h.Record.Text)
		switch {
		case h.Record.Lost > 0:
			return ""
		case strings.Contains(text, begin):
			answer = "yes"
		case h.Record.Facility == 0 && sysrq.IsHelp(text) && answer != "":
			answer = "no"
		case strings.Contains(text, end):
			return answer
		}
	}
}

func (inv *inventory) readMask() {
	b, err := os.ReadFile("/proc/sys/kernel/sysrq")
	if err != nil {
		inv.maskWhy = "this kernel has no kernel.sysrq"
		return
	}
	m, err := sysrq.ParseMask(string(b))
	if err != nil {
		inv.maskWhy = err.Error()
		return
	}
	inv.mask, inv.hasMask = m, true
	if cmdline, err := os.ReadFile("/proc/cmdline"); err == nil && alwaysEnabled(string(cmdline)) {
		inv.maskWhy = "booted with sysrq_always_enabled, which permits everything and hides the value that was set"
	}
}

// alwaysEnabled reports whether a boot line has sysrq_always_enabled. The kernel
// compares the beginning of a word only, so that =1 does it as well, and =0, and
// takes - for _ (init/main.c, obsolete_checksetup).
func alwaysEnabled(cmdline string) bool {
	return slices.ContainsFunc(strings.Fields(cmdline), func(w string) bool {
		return strings.HasPrefix(strings.ReplaceAll(w, "-", "_"), "sysrq_always_enabled")
	})
}

// none reports whether the kernel is known to have no SysRq.
func (inv *inventory) none() bool { return errors.Is(inv.err, transport.ErrNoSysRq) }

// name is the target as a sentence has it.
func (inv *inventory) name() string {
	if inv.target == "local:" {
		return "this machine"
	}
	return inv.target
}

// rows are the commands to show: those that the kernel has, or could have.
func (inv *inventory) rows() []sysrq.Command {
	var rows []sysrq.Command
	if inv.items == nil {
		for _, c := range sysrq.Commands() {
			if c.Key > '0' && c.Key <= '9' || c.Key == sysrq.Ping || inv.arch != "" && !c.OnArch(inv.arch) {
				continue
			}
			rows = append(rows, c)
		}
		return rows
	}
	for _, it := range inv.items {
		c := sysrq.ForKeyOn(it.Key, inv.arch)
		for _, same := range sysrq.ForKey(it.Key) {
			if same.Name == it.Name {
				c = same
			}
		}
		if c.Name != it.Name { // a module's, or a name that changed
			c.Name = it.Name
		}
		rows = append(rows, c)
	}
	return rows
}

func (p *program) printList(inv inventory) error {
	w := newErrWriter(p.stdout)
	if p.json {
		for _, c := range inv.rows() {
			row := struct {
				Key      string `json:"key"`
				Name     string `json:"name"`
				Danger   string `json:"danger"`
				Effect   string `json:"effect"`
				MaskBit  int    `json:"mask_bit"`
				Present  *bool  `json:"present"`  // null: not known
				Trigger  bool   `json:"trigger"`  // what the trigger file may do
				Keyboard *bool  `json:"keyboard"` // null: the mask is not known
				Serial   *bool  `json:"serial"`
				Source   string `json:"source"`
			}{Key: keyLabel(c), Name: c.Name, Danger: c.Danger.String(), Effect: c.Effect, MaskBit: int(c.Mask), Trigger: !inv.none(), Source: c.Source}
			if inv.items != nil || inv.none() {
				has := inv.items != nil
				row.Present = &has
			}
			if inv.hasMask {
				may := inv.mask.Permits(c, sysrq.DoorKeyboard)
				row.Keyboard, row.Serial = &may, &may
			}
			w.json(row)
		}
		return w.err
	}
	switch {
	case inv.items != nil:
		w.prose("", inv.name()+" has these commands, by its own word:")
	case inv.none():
		w.prose("", inv.name()+" has none of these; what a kernel can have:")
	default:
		w.prose("", inv.name()+" could not be asked, or has not answered; what a kernel can have:")
	}
	if inv.hasMask {
		w.printf("mask: kernel.sysrq = %s", inv.mask)
		if inv.maskWhy != "" {
			w.printf(", %s", inv.maskWhy)
		}
		w.printf("\n")
	} else {
		w.printf("mask: not known (%s)\n      what a value would permit: sysrq list --mask 438\n", inv.maskWhy)
	}
	switch inv.bulk {
	case "yes":
		w.printf("bulk prefix _: yes (Linux 6.8 or later)\n")
	case "no":
		w.printf("bulk prefix _: no (older than Linux 6.8); sysrq _wl works all the same, a key a write\n")
	}
	w.printf("\n%-4s%-31s%-8s%-9s%-9s%s\n", "key", "name", "danger", "trigger", "keyboard", "serial")
	for _, c := range inv.rows() {
		may := "?"
		if inv.hasMask {
			may = map[bool]string{true: "yes", false: "no"}[inv.mask.Permits(c, sysrq.DoorKeyboard)]
		}
		w.printf("%-4s%-31s%-8s%-9s%-9s%s\n", keyLabel(c), c.Name, c.Danger, map[bool]string{true: "no", false: "yes"}[inv.none()], may, may)
	}
	w.printf("\nthe keyboard and the serial line ask the mask, the trigger file does not\nwhat one does: sysrq help NAME\n\nsequences:\n")
	known := sysrq.Sequences()
	if own, err := loadSequences(); err == nil {
		known = append(known, own...)
	} else {
		p.complain(err)
	}
	nameWidth := 10
	for _, s := range known {
		nameWidth = max(nameWidth, len(s.Name))
	}
	for _, s := range known {
		w.printf("  %-*s %s\n", nameWidth, s.Name, s.Summary)
	}
	return w.err
}

func keyLabel(c sysrq.Command) string {
	if c.Name == "loglevel" {
		return "0-9"
	}
	return c.Key.String()
}

// overview is `sysrq` without words: what would SysRq do for me here, now?
func (p *program) overview(ctx context.Context) error {
	target, err := p.parseTarget()
	if err != nil {
		return err
	}
	inv := p.ask(ctx, target, 2*time.Second)
	w := newErrWriter(p.stdout)
	if p.json {
		return p.printList(inv)
	}
	switch {
	case inv.items != nil:
		w.prose("", fmt.Sprintf("%s answers: %d commands.", inv.name(), len(inv.items)))
	case inv.err != nil:
		w.prose("", inv.why)
		if hint := hintOf(inv.err); hint != "" {
			w.prose("  ", hint)
		}
	default:
		w.prose("", inv.target+": "+inv.why)
	}
	if inv.hasMask {
		w.printf("Keyboard and serial line: kernel.sysrq = %s.\n", inv.mask)
		var no []string
		for _, k := range []sysrq.Key("reisub") {
			if !inv.mask.Allows(sysrq.ForKeyOn(k, inv.arch)) {
				no = append(no, k.String())
			}
		}
		if len(no) == 0 {
			w.printf("REISUB works from the keyboard.\n")
		} else {
			w.printf("REISUB from the keyboard lacks %s: sysctl kernel.sysrq=1 permits all.\n", strings.Join(no, ", "))
		}
	}
	if inv.err != nil { // nothing can be sent this way: what does work
		w.printf(`
  sysrq targets       other ways              sysrq help w    what a step does
  sysrq lab           a place to practise     sysrq --help    everything else
`)
		return w.err
	}
	w.printf(`
  sysrq w             who is blocked?         sysrq list      what there is
  sysrq reisub        save all it can, reboot sysrq --help    everything else
`)
	return w.err
}

// prose prints a sentence for a person.
func (e *errWriter) prose(indent, text string) {
	for _, l := range fold(e.w, indent, text) {
		e.printf("%s\n", l)
	}
}

// field prints a sentence behind its label, below which a terminal's further
// lines stand.
func (e *errWriter) field(label, text string) {
	lines := []string{text}
	if n := columns(e.w); n > 0 {
		lines = wrap(text, n-1-len(label))
	}
	for i, l := range lines {
		if i > 0 {
			label = strings.Repeat(" ", len(label))
		}
		e.printf("%s%s\n", label, l)
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("see: "+cmd.CommandPath()+" --help", "%s takes no %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func (p *program) targetsHelp() *cobra.Command {
	var b strings.Builder
	b.WriteString("A TARGET is a URL. Secrets in it are never printed.\n\n")
	for _, f := range p.registry.Factories() {
		fmt.Fprintf(&b, "    %-7s %s\n            %s\n", f.Scheme+":", f.Summary, f.Example)
	}
	return &cobra.Command{
		Use: "targets", Short: "the ways to reach a machine", Long: b.String() + "\nExit status: 0.",
		Example: "  sysrq -t local: w",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(p.stdout, b.String())
			return err
		},
	}
}
