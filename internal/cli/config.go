package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/sysrq/sysrq"
)

// configFiles are read in this order; a sequence of a later one replaces one
// of the same name. SYSRQ_CONFIG stands for all of them.
func configFiles() []string {
	if f := os.Getenv("SYSRQ_CONFIG"); f != "" {
		return []string{f}
	}
	files := []string{"/etc/sysrq/config.toml"}
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "sysrq", "config.toml"))
	}
	return files
}

// config is the file's form:
//
//	[sequences.careful]
//	summary = "look, sync, reboot"
//	steps = ["w", "s", {do = "u", deadline = "20s", on-timeout = "stop"}, "b"]
type config struct {
	Sequences map[string]struct {
		Summary string `toml:"summary"`
		Steps   []any  `toml:"steps"`
	} `toml:"sequences"`
}

// loadSequences reads the user's own sequences. The hint of its errors is for
// whoever has no time to mend the file now.
func loadSequences() ([]sysrq.Sequence, error) {
	const without = "nothing was sent; to go on without the file, put SYSRQ_CONFIG=/dev/null in front"
	var all []sysrq.Sequence
	for _, file := range configFiles() {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			if os.Getenv("SYSRQ_CONFIG") == "" {
				continue
			}
			return nil, usagef(without, "the configuration that SYSRQ_CONFIG names: %w", err)
		}
		if err != nil {
			return nil, usagef(without, "the configuration can not be read: %w", err)
		}
		seqs, err := parseConfig(file, string(b))
		if err != nil {
			return nil, &statusError{exitUsage, err, without}
		}
		all = append(all, seqs...)
	}
	return all, nil
}

// parseConfig reads one file; its sequences come in the file's order. Errors
// name the file and the line, and mark the place.
func parseConfig(file, text string) ([]sysrq.Sequence, error) {
	var c config
	dec := toml.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		var syntax *toml.DecodeError
		switch {
		case errors.As(err, &strict) && len(strict.Errors) > 0:
			first := &strict.Errors[0]
			row, col := first.Position()
			return nil, fmt.Errorf("%s:%d:%d: unknown setting %q: a sequence has summary and steps\n%s",
				file, row, col, strings.Join(first.Key(), "."), printable(first.String()))
		case errors.As(err, &syntax):
			row, col := syntax.Position()
			what := strings.TrimPrefix(err.Error(), "toml: ")
			return nil, fmt.Errorf("%s:%d:%d: %s\n%s", file, row, col, printable(what), printable(syntax.String()))
		}
		return nil, fmt.Errorf("%s: %s", file, printable(strings.TrimPrefix(err.Error(), "toml: ")))
	}
	var all []sysrq.Sequence
	lines := map[string]int{}
	for name := range c.Sequences {
		lines[name] = lineOf(text, name)
		all = append(all, sysrq.Sequence{Name: name})
	}
	slices.SortFunc(all, func(a, b sysrq.Sequence) int {
		return cmp.Or(cmp.Compare(lines[a.Name], lines[b.Name]), cmp.Compare(a.Name, b.Name))
	})
	for i := range all {
		seq := &all[i]
		s := c.Sequences[seq.Name]
		fail := func(word, format string, args ...any) error {
			what := fmt.Sprintf("sequence %q: %s", seq.Name, fmt.Sprintf(format, args...))
			return errors.New(printable(mark(file, text, lines[seq.Name], word, what)))
		}
		if err := goodName(seq.Name); err != nil {
			return nil, fail(seq.Name, "%v", err)
		}
		if len(s.Steps) == 0 {
			return nil, fail("steps", `it has no steps; for example: steps = ["s", "u"]`)
		}
		seq.Summary = s.Summary
		for n, raw := range s.Steps {
			steps, word, err := configStep(raw)
			if err != nil {
				return nil, fail(word, "step %d: %v", n+1, err)
			}
			for _, st := range steps {
				st.Of = seq.Name
				seq.Steps = append(seq.Steps, st)
			}
		}
	}
	return all, nil
}

// subcommands are words that never reach a sequence.
var subcommands = []string{"report", "list", "watch", "targets", "lab", "version", "completion", "help"}

func goodName(name string) error {
	switch {
	case len(name) < 2 || strings.HasPrefix(name, "_") || strings.HasPrefix(name, "-") || strings.ContainsAny(name, " \t\n"):
		return errors.New("a name has two letters or more, no space, and does not begin with _ or -")
	case slices.Contains(subcommands, name):
		return fmt.Errorf("the name is taken: sysrq %s is a command of its own", name)
	}
	for _, c := range sysrq.Commands() {
		if strings.EqualFold(c.Name, name) {
			return fmt.Errorf("the name is taken: the kernel calls its key %s so", c.Key)
		}
	}
	return nil
}

// configStep reads one step. With an error it returns the word of the file
// that is wrong.
func configStep(raw any) (steps []sysrq.Step, word string, err error) {
	switch v := raw.(type) {
	case string:
		steps, err := sysrq.ParseSteps([]string{v}, nil, "")
		return steps, v, err
	case map[string]any:
		do, _ := v["do"].(string)
		if do == "" {
			return nil, "{", errors.New(`do = "KEY OR NAME" is missing`)
		}
		steps, err := sysrq.ParseSteps([]string{do}, nil, "")
		if err != nil {
			return nil, do, err
		}
		st := &steps[len(steps)-1]
		for key, val := range v {
			text, isText := val.(string)
			switch key {
			case "do":
			case "deadline", "grace":
				d, err := time.ParseDuration(text)
				if !isText || err != nil || d <= 0 {
					return nil, fmt.Sprint(val), fmt.Errorf(`%s = %#v: it should be like "20s"`, key, val)
				}
				if key == "deadline" {
					st.Deadline = d
				} else {
					st.Grace = d
				}
			case "on-timeout":
				switch text {
				case "go-on":
					st.OnTimeout = sysrq.GoOn
				case "stop":
					st.OnTimeout = sysrq.StopThere
				default:
					return nil, fmt.Sprint(val), fmt.Errorf(`on-timeout = %#v: it should be "go-on" or "stop"`, val)
				}
			default:
				return nil, key, fmt.Errorf("%q is no setting of a step (there are do, deadline, grace, on-timeout)", key)
			}
		}
		return steps, "", nil
	}
	return nil, fmt.Sprint(raw), fmt.Errorf("%v is neither a key, a name nor a table", raw)
}

// lineOf finds the line that a sequence begins on, or 1.
func lineOf(text, name string) int {
	below := false // in the table [sequences]
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if head, ok := strings.CutPrefix(l, "["); ok {
			head, _, _ = strings.Cut(head, "]")
			parts := strings.Split(head, ".")
			for j := range parts {
				parts[j] = strings.Trim(parts[j], " \t\"'")
			}
			below = len(parts) == 1 && parts[0] == "sequences"
			if parts[0] == "sequences" && strings.Join(parts[1:], ".") == name {
				return i + 1
			}
			continue
		}
		key, _, _ := strings.Cut(l, "=")
		key = strings.TrimSpace(key)
		if !below {
			var ok bool
			if key, ok = strings.CutPrefix(key, "sequences."); !ok {
				continue
			}
		}
		key, _, _ = strings.Cut(key, ".")
		if strings.Trim(key, " \t\"'") == name {
			return i + 1
		}
	}
	return 1
}

// mark is an error of the sequence that begins on line from, with a marker
// under word, or under the sequence's first line when word is not found before
// the next table.
func mark(file, text string, from int, word, what string) string {
	lines := strings.Split(text, "\n")
	row, col := from-1, -1
	for i := from - 1; i < len(lines) && word != ""; i++ {
		if i >= from && strings.HasPrefix(strings.TrimSpace(lines[i]), "[") {
			break
		}
		if c := strings.Index(lines[i], word); c >= 0 {
			row, col = i, c
			break
		}
	}
	line := strings.ReplaceAll(strings.TrimSuffix(lines[row], "\r"), "\t", " ")
	if col < 0 {
		col = len(line) - len(strings.TrimLeft(line, " "))
		word = line[col:]
	}
	number := fmt.Sprintf("%d| ", row+1)
	under := strings.Repeat(" ", len(number)-2) + "| " + strings.Repeat(" ", len([]rune(line[:min(col, len(line))]))) +
		strings.Repeat("~", max(1, len([]rune(word))))
	return fmt.Sprintf("%s:%d:%d: %s\n%s%s\n%s", file, row+1, col+1, what, number, line, under)
}
