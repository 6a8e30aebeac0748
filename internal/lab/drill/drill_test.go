package drill_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/drill"
)

// seeds is how many machines are rescued by proof, and how many by hand.
const seeds = 10

// logTeller runs the program, and keeps the outcomes that it told.
type logTeller struct {
	t        *testing.T
	outcomes []sysrq.Event
}

func (l *logTeller) Waiting(string)   {}
func (l *logTeller) Told(what string) { l.t.Log(what) }

func (l *logTeller) Run(cmd *exec.Cmd, _ []string) error {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if stderr.Len() > 0 {
		l.t.Logf("stderr: %s", stderr.String())
	}
	for line := range strings.Lines(stdout.String()) {
		var ev sysrq.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			l.t.Errorf("not an event: %q: %v", line, err)
		}
		if ev.Type == sysrq.EventOutcome {
			l.outcomes = append(l.outcomes, ev)
		}
	}
	return err
}

// TestNothingIsLost is the promise: whatever the seed, every byte survives a
// rescue by proof, and the file system is clean. And the same machine, rescued
// by hand with the pauses that people recommend, loses data: else the first
// half would prove nothing.
func TestNothingIsLost(t *testing.T) {
	lab.Need(t)
	program := filepath.Join(t.TempDir(), "sysrq")
	if err := lab.Build(t.Context(), "amd64", lab.Program, program); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("proof/%d", seed), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := lab.Within(t.Context(), 5*time.Minute, "the drill")
			defer cancel()
			teller := &logTeller{t: t}
			r, err := drill.Run(ctx, drill.Config{Program: program, Seed: seed, Flags: []string{"--json"}}, teller)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r.Took.Round(time.Millisecond), r.Sentence())
			if !r.OK() {
				t.Errorf("lost something: %+v", r)
			}
			if r.Unsaved < r.Size*9/10 || r.Stuck < 4 {
				t.Errorf("it was not wedged: %d MiB unsaved, %d stuck", r.Unsaved>>20, r.Stuck)
			}
			want := "w=done r=accepted e=accepted i=accepted s=done u=done b=done"
			var got []string
			for _, ev := range teller.outcomes {
				got = append(got, ev.Key.String()+"="+ev.Outcome.String())
				if ev.Outcome == sysrq.Done && len(ev.Evidence) == 0 {
					t.Errorf("%s is done without evidence", ev.Name)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("outcomes %q, want %q", got, want)
			}
		})
		t.Run(fmt.Sprintf("hand/%d", seed), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := lab.Within(t.Context(), 5*time.Minute, "the drill")
			defer cancel()
			r, err := drill.Run(ctx, drill.Config{Program: program, Seed: seed, Blind: 2 * time.Second}, &logTeller{t: t})
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r.Took.Round(time.Millisecond), r.Sentence())
			if r.Kept == r.Size {
				t.Error("nothing was lost by hand: this scenario proves nothing")
			}
		})
	}
}
