package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// loadSequences reads the user's own sequences.
func loadSequences() ([]sysrq.Sequence, error) {
	var all []sysrq.Sequence
	for _, file := range configFiles() {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && os.Getenv("SYSRQ_CONFIG") == "" {
			continue
		}
		if err != nil {
			return nil, usagef("nothing was sent; keys need no configuration (sysrq s)", "configuration: %v", err)
		}
		seqs, err := parseConfig(file, string(b))
		if err != nil {
			return nil, &statusError{exitUsage, err, "nothing was sent; keys need no configuration (sysrq s)"}
		}
		all = append(all, seqs...)
	}
	return all, nil
}

// parseConfig reads one file. Its errors name the file and the line, and mark
// the place.
func parseConfig(file, text string) ([]sysrq.Sequence, error) {
	var c config
	dec := toml.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		var syntax *toml.DecodeError
		switch {
		case errors.As(err, &strict) && len(strict.Errors) > 0:
			row, _ := strict.Errors[0].Position()
			return nil, fmt.Errorf("%s:%d: unknown setting\n%s", file, row, strict.String())
		case errors.As(err, &syntax):
			row, col := syntax.Position()
			return nil, fmt.Errorf("%s:%d:%d: %w\n%s", file, row, col, err, syntax.String())
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var all []sysrq.Sequence
	for name, s := range c.Sequences {
		seq := sysrq.Sequence{Name: name, Summary: s.Summary}
		fail := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: sequence %q: %s", file, lineOf(text, name), name, fmt.Sprintf(format, args...))
		}
		if len(name) < 2 || strings.HasPrefix(name, "_") || strings.ContainsAny(name, " \t") {
			return nil, fail("a name has two letters or more, no space, and does not begin with _")
		}
		if len(s.Steps) == 0 {
			return nil, fail("it has no steps")
		}
		for i, raw := range s.Steps {
			steps, err := configStep(raw)
			if err != nil {
				return nil, fail("step %d: %v", i+1, err)
			}
			for _, st := range steps {
				st.Of = name
				seq.Steps = append(seq.Steps, st)
			}
		}
		all = append(all, seq)
	}
	return all, nil
}

func configStep(raw any) ([]sysrq.Step, error) {
	switch v := raw.(type) {
	case string:
		return sysrq.ParseSteps([]string{v}, nil, "")
	case map[string]any:
		do, _ := v["do"].(string)
		if do == "" {
			return nil, errors.New(`do = "KEY OR NAME" is missing`)
		}
		steps, err := sysrq.ParseSteps([]string{do}, nil, "")
		if err != nil {
			return nil, err
		}
		st := &steps[len(steps)-1]
		for key, val := range v {
			text, isText := val.(string)
			switch key {
			case "do":
			case "deadline", "grace":
				d, err := time.ParseDuration(text)
				if !isText || err != nil || d <= 0 {
					return nil, fmt.Errorf(`%s = %v: it should be like "20s"`, key, val)
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
					return nil, fmt.Errorf(`on-timeout = %v: it should be "go-on" or "stop"`, val)
				}
			default:
				return nil, fmt.Errorf("%q is no setting of a step (there are do, deadline, grace, on-timeout)", key)
			}
		}
		return steps, nil
	}
	return nil, fmt.Errorf("%v is neither a key, a name nor a table", raw)
}

// lineOf finds the line that a sequence begins on, for messages.
func lineOf(text, name string) int {
	for i, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(l), "[sequences.") && strings.Contains(l, name) {
			return i + 1
		}
	}
	return 1
}
