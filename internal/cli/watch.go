package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

func (p *program) watchCommand() *cobra.Command {
	var only bool
	c := &cobra.Command{
		Use:   "watch",
		Short: "print what the kernel says, as it says it",
		Long: `watch listens to the target and prints each record as it comes, until Ctrl-C.
Records that were lost are counted, never passed over.

Exit status: 0 after Ctrl-C, or when the console ends; 1 when nothing can be
heard.`,
		Example: `  sysrq watch
  sysrq watch --sysrq          # only SysRq's own lines: who pressed what?
  sysrq -t 'qmp:/run/vm.qmp?console=/run/vm.serial' watch --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.watch(cmd.Context(), only) },
	}
	c.Flags().BoolVar(&only, "sysrq", false, "only SysRq's own lines")
	return c
}

func (p *program) watch(ctx context.Context, only bool) error {
	target, err := p.parseTarget()
	if err != nil {
		return err
	}
	t, err := target.Open(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	if t.Properties().Deaf {
		return &statusError{exitFailed, fmt.Errorf("%s: %w", target, transport.ErrDeaf), "a qmp: target needs console=SOCKET; a local one needs to read /dev/kmsg (root)"}
	}
	text := &textPrinter{out: p.stdout, style: styleFor(p.stdout, p.isTerminal)}
	w := newErrWriter(p.stdout)
	for w.err == nil {
		h, err := t.Hear(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		line := sysrq.Evidence{Text: h.Text}
		kind := "seen"
		if h.What == transport.SawRecord {
			r := &h.Record
			kind = "heard"
			line = sysrq.Evidence{Seq: r.Seq, HasSeq: r.HasSeq, Uptime: r.Time, HasUptime: r.HasTime, Text: string(r.Text)}
			if r.Lost > 0 {
				kind = "lost"
				line.Text = fmt.Sprintf("(%d records were lost here)", r.Lost)
			}
		}
		if only && kind == "heard" && !ofSysRq(line.Text) {
			continue
		}
		if p.json {
			w.json(struct {
				Event  string         `json:"event"`
				Time   time.Time      `json:"time"`
				Target string         `json:"target"`
				Line   sysrq.Evidence `json:"line"`
			}{kind, time.Now(), target.String(), line})
			continue
		}
		w.printf("%s\n", text.line(line))
	}
	return w.err
}

func ofSysRq(line string) bool {
	_, header := sysrq.Header(line)
	_, level := sysrq.ParseLoglevel(line)
	return header || level || sysrq.IsHelp(line) || sysrq.IsRefusal(line)
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: noArgs,
		Long: "version prints the version, the platform, and what it was built with.\n\nExit status: 0.",
		Example: `  sysrq version
  sysrq version --json`,
		RunE: func(*cobra.Command, []string) error {
			version, revision := buildVersion()
			w := newErrWriter(p.stdout)
			if p.json {
				w.json(map[string]string{"version": version, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
				return w.err
			}
			w.printf("sysrq %s %s/%s %s", version, runtime.GOOS, runtime.GOARCH, runtime.Version())
			if revision != "" {
				w.printf(" %.12s", revision)
			}
			w.printf("\n")
			return w.err
		},
	}
}

// buildVersion is what this program was built from.
func buildVersion() (version, revision string) {
	version = "devel"
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return version, revision
}
