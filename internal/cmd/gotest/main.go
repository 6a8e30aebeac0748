// Command gotest runs "go test -json" with its arguments and ends with one line
// that counts: "412 passed, 0 failed". A test that failed is shown with its
// output, a skipped one by name and reason, a passed one not at all. Every
// test and subtest counts; so does a package that could not be built or that
// ended before its tests did, as one failure.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// quiet is how long nothing may be printed before the running tests are named.
const quiet = 30 * time.Second

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	s := newSummary(os.Stdout)
	s.follow(out)
	err = cmd.Wait()
	s.end(err != nil)
	if err != nil || s.failed > 0 {
		os.Exit(1)
	}
}

// event is a line of go test -json (go doc test2json).
type event struct {
	Time    time.Time
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type summary struct {
	w              io.Writer
	passed, failed int
	skipped        []string
	output         map[string][]string // by package and test, until it is over
	running        map[string]time.Time
	failedTests    map[string]int // by package
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, output: map[string][]string{}, running: map[string]time.Time{}, failedTests: map[string]int{}}
}

// follow reads events to the end, and names the running tests when nothing
// else is said.
func (s *summary) follow(r io.Reader) {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		in := bufio.NewReader(r)
		for {
			line, err := in.ReadBytes('\n')
			if len(line) > 0 {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			if s.line(line) {
				tick.Reset(quiet)
			}
		case now := <-tick.C:
			s.waiting(now)
		}
	}
}

// line takes one event, and reports whether something was printed.
func (s *summary) line(b []byte) bool {
	var e event
	if json.Unmarshal(b, &e) != nil {
		_, _ = s.w.Write(b) // the build's own words
		return true
	}
	id := e.Package + " " + e.Test
	switch e.Action {
	case "run", "cont":
		s.running[id] = e.Time
	case "pause": // waits for its turn
		delete(s.running, id)
	case "output", "build-output":
		if e.Test == "" && (e.Action == "build-output" || !strings.HasPrefix(e.Output, "PASS")) {
			fmt.Fprint(s.w, e.Output)
			return true
		}
		s.output[id] = append(s.output[id], e.Output)
	case "pass", "skip", "fail":
		defer delete(s.output, id)
		delete(s.running, id)
		return s.over(e, id)
	}
	return false
}

func (s *summary) over(e event, id string) bool {
	switch {
	case e.Test == "" && e.Action == "fail" && s.failedTests[e.Package] == 0:
		s.failed++ // it was not built, or died, or ran out of time
		// What the tests that were still running had to say.
		for id, out := range s.output {
			if strings.HasPrefix(id, e.Package+" ") {
				fmt.Fprint(s.w, strings.Join(out, ""))
			}
		}
		return true
	case e.Test == "":
	case e.Action == "pass":
		s.passed++
	case e.Action == "skip":
		s.skipped = append(s.skipped, id+": "+reason(s.output[id]))
	case e.Action == "fail":
		s.failed++
		s.failedTests[e.Package]++
		fmt.Fprint(s.w, strings.Join(s.output[id], ""))
		return true
	}
	return false
}

// reason is what a test said before it was skipped.
func reason(output []string) string {
	for _, l := range output {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			return l
		}
	}
	return "no reason given"
}

func (s *summary) waiting(now time.Time) {
	var names []string
	for id, since := range s.running {
		names = append(names, fmt.Sprintf("%s (%s)", id, now.Sub(since).Round(time.Second)))
	}
	slices.Sort(names)
	fmt.Fprintf(s.w, "... %d passed, %d failed so far; running: %s\n", s.passed, s.failed, strings.Join(names, ", "))
}

// end prints the skipped tests and the count. A go test that failed without
// any test to blame is a failure as well.
func (s *summary) end(bad bool) {
	if bad && s.failed == 0 {
		s.failed++
	}
	for _, name := range s.skipped {
		fmt.Fprintf(s.w, "skipped: %s\n", name)
	}
	fmt.Fprintf(s.w, "%d passed, %d failed\n", s.passed, s.failed)
}
