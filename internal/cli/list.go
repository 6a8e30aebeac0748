package cli

import (
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
}

func (p *program) listCommand() *cobra.Command {
	var timeout time.Duration
	var mask string
	c := &cobra.Command{
		Use:   "list",
		Short: "what this kernel has, and who may run it",
		Long: `list asks the kernel itself which commands it has, and holds each against the
mask: what the keyboard and the serial line may do, and what the trigger file
may. Where the kernel can not be asked it prints what is known of all kernels.`,
		Example: `  sysrq list
  sysrq list --json | jq -r 'select(.keyboard) | .name'
  sysrq -t 'qmp:/run/vm.qmp?console=/run/vm.serial' list --mask 176`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			target, err := p.parseTarget()
			if err != nil {
				return err
			}
			inv := p.ask(cmd.Context(), target, timeout)
			if mask != "" {
				m, err := sysrq.ParseMask(mask)
				if err != nil {
					return usagef("for example: --mask 438", "--mask: %v", err)
				}
				inv.mask, inv.hasMask, inv.maskWhy = m, true, "as given"
			}
			if inv.err != nil && !errors.Is(inv.err, transport.ErrNoSysRq) && target.Scheme() != "local" {
				return inv.err
			}
			return p.printList(inv)
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
		inv.why = ev.Text
		for _, e := range ev.Evidence {
			if items, ok := sysrq.ParseHelp(e.Text); ok {
				inv.items = items
			}
		}
	}
	return inv
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
	if cmdline, err := os.ReadFile("/proc/cmdline"); err == nil && slices.Contains(strings.Fields(string(cmdline)), "sysrq_always_enabled") {
		inv.maskWhy = "booted with sysrq_always_enabled, which permits everything and hides the value that was set"
	}
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
			}{Key: keyLabel(c), Name: c.Name, Danger: c.Danger.String(), Effect: c.Effect, MaskBit: int(c.Mask), Trigger: true, Source: c.Source}
			if inv.items != nil {
				yes := true
				row.Present = &yes
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
		w.printf("%s has these commands, by its own word:\n", inv.target)
	case inv.err != nil:
		w.printf("%s\n", inv.why)
		var oe *transport.OpError
		if errors.As(inv.err, &oe) && oe.Hint != "" {
			w.printf("  %s\n", oe.Hint)
		}
		w.printf("What a kernel of this architecture could have:\n")
	default:
		w.printf("the kernel could not be heard (%s); what it could have:\n", inv.why)
	}
	if inv.hasMask {
		w.printf("mask: kernel.sysrq = %s", inv.mask)
		if inv.maskWhy != "" {
			w.printf(", %s", inv.maskWhy)
		}
		w.printf("\n")
	} else {
		w.printf("mask: not known (%s); to see what a value permits: --mask 438\n", inv.maskWhy)
	}
	w.printf("\n%-4s%-31s%-8s%-9s%-9s%s\n", "key", "name", "danger", "trigger", "keyboard", "serial")
	for _, c := range inv.rows() {
		may := "?"
		if inv.hasMask {
			may = map[bool]string{true: "yes", false: "no"}[inv.mask.Permits(c, sysrq.DoorKeyboard)]
		}
		w.printf("%-4s%-31s%-8s%-9s%-9s%s\n", keyLabel(c), c.Name, c.Danger, "yes", may, may)
	}
	w.printf("\nthe keyboard and the serial line ask the mask, the trigger file does not\n\nsequences:\n")
	known := sysrq.Sequences()
	if own, err := loadSequences(); err == nil {
		known = append(known, own...)
	} else {
		p.errorf("%v", err)
	}
	for _, s := range known {
		w.printf("    %-12s%s\n", s.Name, s.Summary)
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
		w.printf("%s answers: %d commands.\n", inv.target, len(inv.items))
	case inv.err != nil:
		w.printf("%s\n", inv.why)
		var oe *transport.OpError
		if errors.As(inv.err, &oe) && oe.Hint != "" {
			w.printf("  %s\n", oe.Hint)
		}
	default:
		w.printf("%s: %s\n", inv.target, inv.why)
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
	w.printf(`
  sysrq w            who is blocked?          sysrq list      what there is
  sysrq reisub       reboot without loss      sysrq --help    everything else
`)
	return w.err
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
		fmt.Fprintf(&b, "  %-7s %s\n          %s\n", f.Scheme+":", f.Summary, f.Example)
	}
	return &cobra.Command{
		Use: "targets", Short: "the ways to reach a machine", Long: b.String(),
		Example: "  sysrq -t local: w",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(p.stdout, b.String())
			return err
		},
	}
}
