package corpus

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/internal/golden"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/kmsg"
)

// dir is where the golden files are.
const dir = "../../../diagnose/testdata/corpus"

// TestNames holds every committed file against what would be made: a file that
// nobody makes any more is a truth that nobody can check.
func TestNames(t *testing.T) {
	made := map[string]bool{}
	for _, s := range Sessions() {
		for _, sh := range s.state.shots {
			if sh.not == nil || !sh.not(s.Kernel) {
				made[s.String()+"-"+sh.label()] = true
			}
		}
	}
	files, err := golden.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !made[f.Name] {
			t.Errorf("%s: no state makes it", f.Name)
		}
		delete(made, f.Name)
	}
	for name := range made {
		t.Logf("%s could be made and is not there", name)
	}
}

// TestRecords reads every committed body as what its header says that it is.
func TestRecords(t *testing.T) {
	files, err := golden.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Source == golden.Console {
			continue
		}
		var rec kmsg.Record
		last := uint64(0)
		for record := range records(f.Body) {
			if err := kmsg.Parse(record, &rec); err != nil {
				t.Errorf("%s: %q: %v", f.Name, record, err)
				break
			}
			if last > 0 && rec.Seq != last+1 {
				t.Errorf("%s: record %d follows %d", f.Name, rec.Seq, last)
				break
			}
			last = rec.Seq
		}
	}
}

// records cuts a body: a record's dictionary is indented.
func records(body []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(body) > 0 {
			end := 0
			for {
				i := bytes.IndexByte(body[end:], '\n')
				if i < 0 {
					end = len(body)
				} else {
					end += i + 1
				}
				if end == len(body) || body[end] != ' ' {
					break
				}
			}
			if !yield(body[:end]) {
				return
			}
			body = body[end:]
		}
	}
}

// TestFresh makes two cheap states anew and sees that the dumps show what the
// headers say.
func TestFresh(t *testing.T) {
	lab.Need(t)
	for _, s := range Sessions() {
		name := s.String()
		if name != "amd64-6.1-frozen" && name != "amd64-6.1-vfork" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s.state.shots = s.state.shots[:1]
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			files, err := s.Make(ctx, func(what string) { t.Log(what) })
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				again, err := golden.Parse(f.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if again.Blocked < 3 {
					t.Errorf("%s: %d blocked", f.Name, again.Blocked)
				}
				for _, pid := range again.PIDs {
					if !strings.Contains(string(again.Body), fmt.Sprintf(" pid:%-6d", pid)) {
						t.Errorf("%s: task %d is blocked and not in the dump", f.Name, pid)
					}
				}
				if got := bytes.Count(again.Body, []byte("task:")); got != again.Blocked {
					t.Errorf("%s: the dump has %d tasks, not %d", f.Name, got, again.Blocked)
				}
			}
		})
	}
}

// TestBlocked holds what every committed dump of blocked tasks lists against
// the truth, by the one word that no kernel's form lacks.
func TestBlocked(t *testing.T) {
	files, err := golden.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Commands != "w" {
			continue
		}
		if got := bytes.Count(f.Body, []byte("task:")); got != f.Blocked {
			t.Errorf("%s: the dump has %d tasks, and %d were blocked", f.Name, got, f.Blocked)
		}
		for _, pid := range f.PIDs {
			if !strings.Contains(string(f.Body), fmt.Sprintf("pid:%-5d ", pid)) {
				t.Errorf("%s: task %d was blocked and is not in the dump", f.Name, pid)
			}
		}
	}
}

func TestBetween(t *testing.T) {
	text := "[ 1.0] older\r\n[ 2.0] " + opening + "\r\n[ 3.0] one\r\n[ 3.1] two\r\n[ 4.0] " + closing + "\r\n"
	if got := string(between([]byte(text), closing)); got != "[ 3.0] one\r\n[ 3.1] two\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(between([]byte(text), "")); !strings.HasSuffix(got, closing+"\r\n") {
		t.Errorf("%q", got)
	}
}

func TestSequence(t *testing.T) {
	for record, want := range map[string]uint64{"6,655,5123456,-;text": 655, "nonsense": 0, "": 0} {
		if got := sequence(record); got != want {
			t.Errorf("%q: %d", record, got)
		}
	}
}
