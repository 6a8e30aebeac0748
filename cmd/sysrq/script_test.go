package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// hurry keeps the race detector from sleeping a second at each exit.
const hurry = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	// Scripts wait for sockets, not for a processor. -parallel still wins.
	_ = flag.Set("test.parallel", "8")
	testscript.Main(m, map[string]func(){"sysrq": main})
}

// TestScripts runs the scripts of testdata, one for each theme. Besides
// testscript's own commands they have:
//
//	machine WORD...       starts a machine on the sockets m and c: see startMachine
//	pressed KEYS          the keys that the machine got since the last pressed
//	status N sysrq ...    runs sysrq, which has to exit with N
//	helped COMMAND        its help is complete
//	wide N FILE           no line of the file has more columns
//	lastof FILE N         the JSON lines of a run with N steps are whole
//	unread N sysrq ...  runs sysrq with a stdout that nobody reads, to end with N
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Values["machine"] = new(*machine)
			env.Setenv("SYSRQ_CONFIG", "/dev/null")
			env.Setenv("VM", "qmp:m?console=c")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "sysrq-here":
				return exists("/proc/sysrq-trigger"), nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no such condition: %s", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"machine": func(ts *testscript.TestScript, _ bool, words []string) {
				at := ts.Value("machine").(**machine)
				if *at != nil {
					(*at).close()
				}
				m, err := startMachine(ts.MkAbs("."), words...)
				ts.Check(err)
				*at = m
				ts.Defer(m.close)
			},
			"pressed": func(ts *testscript.TestScript, neg bool, args []string) {
				want := strings.Join(args, "")
				if got := (*ts.Value("machine").(**machine)).received(); (got == want) == neg {
					ts.Fatalf("keys pressed: %q, want %q", got, want)
				}
			},
			"status": func(ts *testscript.TestScript, neg bool, args []string) {
				runStatus(ts, neg, args, false)
			},
			"fed": func(ts *testscript.TestScript, neg bool, args []string) { // with a file on stdin
				f, err := os.Open(ts.MkAbs(args[0]))
				ts.Check(err)
				defer f.Close()
				runOn(ts, f, neg, args[1:], false)
			},
			"helped": func(ts *testscript.TestScript, _ bool, args []string) {
				runStatus(ts, false, append(append([]string{"0", "sysrq"}, args...), "--help"), false)
				help := ts.ReadFile("out")
				for _, want := range []string{"Examples:", "Exit status"} {
					if !strings.Contains(help, want) {
						ts.Fatalf("help of %v has no %q", args, want)
					}
				}
				tooWide(ts, 80, help)
			},
			"wide": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[0])
				ts.Check(err)
				tooWide(ts, n, ts.ReadFile(args[1]))
			},
			"lastof": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(wholeRun(ts.ReadFile(args[0]), args[1]))
			},
			"unread": func(ts *testscript.TestScript, neg bool, args []string) {
				runStatus(ts, neg, args, true)
			},
		},
	})
}

func tooWide(ts *testscript.TestScript, n int, text string) {
	for line := range strings.Lines(text) {
		if w := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); w > n {
			ts.Fatalf("%d columns: %s", w, line)
		}
	}
}

// wholeRun reports what is wrong with the lines of a run with so many steps.
func wholeRun(lines, steps string) error {
	step := 0
	for line := range strings.Lines(lines) {
		var ev map[string]any
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			return fmt.Errorf("%w: %s", err, line)
		}
		for _, field := range []string{"event", "time", "target", "step", "steps", "key", "name"} {
			if _, ok := ev[field]; !ok && ev["event"] != "note" {
				return fmt.Errorf("no %s: %s", field, line)
			}
		}
		if ev["event"] != "outcome" {
			continue
		}
		step++
		for _, field := range []string{"outcome", "evidence", "took_ms"} {
			if _, ok := ev[field]; !ok {
				return fmt.Errorf("no %s: %s", field, line)
			}
		}
		if ev["step"] != float64(step) {
			return fmt.Errorf("outcome %d is of step %v", step, ev["step"])
		}
	}
	if strconv.Itoa(step) != steps {
		return fmt.Errorf("%d outcomes, want %s", step, steps)
	}
	return nil
}

func exists(name string) bool { _, err := os.Lstat(name); return err == nil }

// runStatus runs a program that has to end with a status. What it printed is
// in the files out and err.
func runStatus(ts *testscript.TestScript, neg bool, args []string, unread bool) {
	runOn(ts, nil, neg, args, unread)
}

func runOn(ts *testscript.TestScript, stdin io.Reader, neg bool, args []string, unread bool) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM WORD...")
	}
	env := []string{"PATH=" + ts.Getenv("PATH"), hurry}
	for _, name := range []string{"HOME", "SYSRQ_CONFIG", "NO_COLOR", "TERM", "XDG_CONFIG_HOME", "GOCOVERDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	path := ""
	for _, dir := range strings.Split(ts.Getenv("PATH"), ":") {
		if exists(dir + "/" + args[1]) {
			path = dir + "/" + args[1]
			break
		}
	}
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = ts.MkAbs("."), env, stdin
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if unread {
		r, w, err := os.Pipe()
		ts.Check(err)
		r.Close()
		defer w.Close()
		cmd.Stdout = w
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		ts.Fatalf("%v", err)
	}
	ts.Logf("[stdout]\n%s[stderr]\n%s", out.String(), errs.String())
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(errs.String()), 0o600))
	if got := cmd.ProcessState.ExitCode(); args[0] != strconv.Itoa(got) {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}
