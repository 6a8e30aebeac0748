package cli

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sysrq/sysrq"
)

// flagError says what is wrong with a flag, and how it would be right.
func flagError(cmd *cobra.Command, err error) error {
	hint := "see: " + cmd.CommandPath() + " --help"
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := sysrq.Nearest(unknown.GetSpecifiedName(), names); len(near) > 0 && len(unknown.GetSpecifiedName()) > 1 {
			hint = "did you mean --" + near[0] + "?"
		}
		return usagef(hint, "%s has no flag %s", cmd.CommandPath(), dashed(unknown.GetSpecifiedName()))
	case errors.As(err, &value) && value.GetFlag().Value.Type() == "duration":
		name := value.GetFlag().Name
		hint = "for example: --" + name + " 30s"
		if v := value.GetValue(); v != "" && strings.Trim(v, "0123456789.") == "" {
			hint = "did you mean --" + name + " " + v + "s?"
		}
		return usagef(hint, "--%s %q is not a time", name, value.GetValue())
	case errors.As(err, &value):
		return usagef(hint, "--%s %q is not a %s", value.GetFlag().Name, value.GetValue(), value.GetFlag().Value.Type())
	}
	return usagef(hint, "%w", err)
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func (p *program) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [STEP... or COMMAND]",
		Short: "what a step or a command does",
		Long: `help says what steps do: what is sent, what is lost by it, what may permit it,
and what proves it. Nothing is sent.

Exit status: 0; 2 for a word that names nothing.`,
		Example: `  sysrq help w
  sysrq help reisub
  sysrq help list`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			words, directive := p.completeSteps(cmd, args, toComplete)
			for _, c := range cmd.Root().Commands() {
				if strings.HasPrefix(c.Name(), toComplete) {
					words = append(words, c.Name()+"\t"+c.Short)
				}
			}
			return words, directive
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if c, _, err := cmd.Root().Find(args); err == nil && (c != cmd.Root() || len(args) == 0) {
				c.InitDefaultHelpFlag()
				return c.Help()
			}
			return p.explain(args)
		},
	}
}

// explain says what steps are.
func (p *program) explain(words []string) error {
	target, err := p.parseTarget()
	if err != nil {
		return err
	}
	steps, err := p.parseSteps(words, target)
	if err != nil {
		return err
	}
	arch := target.Arch()
	if target.Scheme() == "local" {
		arch = runtime.GOARCH
	}
	w := newErrWriter(p.stdout)
	for _, st := range steps {
		c := st.Command
		w.field(c.Key.String()+"  ", c.Name+": "+c.Effect)
		w.field("     class  ", class(c.Danger))
		if c.Loses != "" {
			w.field("     loses  ", c.Loses)
		}
		switch {
		case c.Completion.Kind == sysrq.CompletesHelp:
			w.field("     mask   ", "none forbids it")
		case c.Mask == 0:
			w.field("     mask   ", "by keyboard and serial line only where kernel.sysrq is 1")
		default:
			w.field("     mask   ", fmt.Sprintf("by keyboard and serial line where kernel.sysrq has bit %d, or is 1", int(c.Mask)))
		}
		if needs := needs(c, arch); needs != "" {
			w.field("     needs  ", needs)
		}
		w.field("     proof  ", fmt.Sprintf("%s, within %s", awaits(c), short(st.Wait())))
	}
	typed := strings.Join(words, " ")
	w.printf("\n  sysrq %s\n  sysrq --dry-run %s\n", typed, typed)
	return w.err
}

// class is what a class of danger means.
func class(d sysrq.Danger) string {
	return d.String() + map[sysrq.Danger]string{
		sysrq.Observe: ": prints, and changes nothing",
		sysrq.Tune:    ": changes a setting, or writes what should be written anyway",
		sysrq.Stop:    ": ends programs, or takes writing from them",
		sysrq.Reboot:  ": ends the running system",
		sysrq.Crash:   ": stops the kernel itself",
	}[d]
}

func needs(c sysrq.Command, arch string) string {
	var all []string
	if c.Since != "" {
		all = append(all, "Linux "+c.Since)
	}
	if c.Until != "" {
		all = append(all, "a Linux before "+c.Until)
	}
	if c.Config != "" {
		all = append(all, c.Config)
	}
	if len(c.Arch) > 0 && !slices.Contains(c.Arch, arch) {
		all = append(all, "another architecture ("+strings.Join(c.Arch, ", ")+")")
	}
	return strings.Join(all, ", ")
}

func (p *program) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print what makes a shell complete sysrq's words",
		Long: `completion prints a script that makes a shell complete commands, steps,
sequences, targets and flags.

Exit status: 0; 2 for another shell.`,
		Example: `  . <(sysrq completion bash)                        # this shell
  sysrq completion bash > /etc/bash_completion.d/sysrq
  sysrq completion zsh > "${fpath[1]}/_sysrq"
  sysrq completion fish > ~/.config/fish/completions/sysrq.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			const hint = "one of: sysrq completion bash, sysrq completion zsh, sysrq completion fish"
			if len(args) != 1 {
				return usagef(hint, "completion is for one shell")
			}
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.stdout, true)
			case "zsh":
				return root.GenZshCompletion(p.stdout)
			case "fish":
				return root.GenFishCompletion(p.stdout, true)
			}
			return usagef(hint, "there is no completion for %q", args[0])
		},
	}
}

// needsQuotes reports whether a shell would not take a word as it is.
func needsQuotes(word string) bool {
	return word == "" || strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.' && r != '/'
	})
}

// isFile reports whether a word looks like a file's name.
func isFile(word string) bool { return strings.ContainsAny(word, "./") || word == "-" }

// instead is what to type in place of a word that names nothing.
func instead(words []string, unknown *sysrq.UnknownError) string {
	near := slices.Clone(unknown.Nearest)
	if cmds := sysrq.Nearest(unknown.Word, subcommands); len(cmds) > 0 && words[0] == unknown.Word && slices.ContainsFunc(words[1:], isFile) {
		near = cmds[:1] // no step takes a file
	} else if len(cmds) > 0 && len(words) == 1 {
		near = slices.DeleteFunc(near, func(w string) bool { return strings.HasPrefix(w, "_") })
		near = append(cmds[:1], near...)
	}
	switch {
	case slices.Contains(subcommands, unknown.Word):
		return unknown.Word + " is a command of its own: sysrq " + unknown.Word
	case unknown.Word == "_":
		return "keys are missing behind the underscore; for example: sysrq _lmw"
	case len(near) == 0:
		return "see what there is: sysrq list"
	case len(near) == 1 && strings.HasPrefix(near[0], "_") && len(near[0]) > 1:
		// Every word of these letters is keys; say what they would do.
		var names []string
		for _, k := range []byte(near[0][1:]) {
			names = append(names, sysrq.ForKeyOn(sysrq.Key(k), "").Name)
		}
		return fmt.Sprintf("see what there is: sysrq list; or, if each letter is a key (%s): sysrq %s", strings.Join(names, ", "), near[0])
	}
	for i, word := range near {
		typed := []string{word}
		if !slices.ContainsFunc(words, needsQuotes) {
			typed = slices.Clone(words)
			typed[slices.Index(typed, unknown.Word)] = word
		}
		near[i] = "sysrq " + strings.Join(typed, " ")
	}
	if n := len(near); n > 1 {
		return "did you mean: " + strings.Join(near[:n-1], ", ") + " or " + near[n-1] + "?"
	}
	return "did you mean: " + near[0] + "?"
}
