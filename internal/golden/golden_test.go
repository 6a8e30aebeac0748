package golden

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const sample = `kernel: 6.12.117+deb12-cloud-amd64
arch: amd64
state: frozen
commands: w
source: kmsg
blocked: 2
pids: 131 132
root: superblock-freeze
note: of no importance

6,655,5123456,-;sysrq: Show Blocked State

key: value of the body
`

func TestParse(t *testing.T) {
	f, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if f.Blocked != 2 || !slices.Equal(f.PIDs, []int{131, 132}) || f.Culprit != "" ||
		!strings.HasPrefix(string(f.Body), "6,655") || !strings.HasSuffix(string(f.Body), "\n\nkey: value of the body\n") {
		t.Errorf("%+v", f)
	}
	if got := string(f.Bytes()); got != sample {
		t.Errorf("written again:\n%s", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for what, text := range map[string]string{
		"nothing":              "",
		"no end of the header": "kernel: 6.1\narch: amd64\n",
		"no body":              strings.SplitAfter(sample, "\n\n")[0],
		"a key twice":          "kernel: 6.1\n" + sample,
		"an unknown key":       "colour: red\n" + sample,
		"another root":         strings.Replace(sample, "superblock-freeze", "bad-luck", 1),
		"another source":       strings.Replace(sample, "kmsg", "hearsay", 1),
		"a number of no task":  strings.Replace(sample, "131", "x", 1),
		"too few tasks":        strings.Replace(sample, "131 ", "", 1),
		"no state":             strings.Replace(sample, "state: frozen\n", "", 1),
		"a line without a key": "hello\n" + sample,
	} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestCorpus reads every file that is committed.
func TestCorpus(t *testing.T) {
	files, err := Read("../../diagnose/testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there is no file")
	}
	size := 0
	for _, f := range files {
		size += len(f.Body)
		if f.Source == Kmsg && !strings.Contains(string(f.Body[:min(len(f.Body), 60)]), ";") {
			t.Errorf("%s does not begin with a record", f.Name)
		}
		if f.Root == "none" && f.Blocked > 0 {
			t.Errorf("%s: an idle machine with %d blocked tasks", f.Name, f.Blocked)
		}
	}
	if size > 6<<20 {
		t.Errorf("%d bytes in all: more than a repository should carry", size)
	}
}
