package pprof

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/render"
)

func hang() render.Input {
	stack := []dump.Frame{{Func: "schedule"}, {Func: "percpu_rwsem_wait"}, {Func: "nfs_open", Module: "nfs", Source: "fs/nfs/file.c:12"}, {Func: "do_syscall_64"}}
	var blocks []*dump.Block
	var blocked []diagnose.Blocked
	for i := range 7 {
		blocks = append(blocks, &dump.Block{Kind: dump.KindTask, First: int64(i + 1), Last: int64(i + 1), Body: &dump.Task{Comm: "cp\xff", PID: 100 + i, State: "D", Stack: stack[i%2:]}})
		blocked = append(blocked, diagnose.Blocked{Comm: "cp\xff", PID: 100 + i, Wait: "superblock freeze"})
	}
	return render.Input{Title: "hang.log", Blocks: slices.Values(blocks), Report: &diagnose.Report{Blocked: blocked}}
}

func TestProfile(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, hang()); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, s := range p.Sample {
		sum += s.Value[0]
		if s.Label["wait"][0] != "superblock freeze" || s.Label["state"][0] != "D" || s.Label["comm"][0] != "cp\ufffd" || s.NumLabel["pid"][0] < 100 {
			t.Errorf("labels: %v %v", s.Label, s.NumLabel)
		}
	}
	if sum != 7 || len(p.Location) != 4 || len(p.Mapping) != 2 {
		t.Errorf("%d tasks, %d locations, %d mappings", sum, len(p.Location), len(p.Mapping))
	}
	if err := Write(&b, render.Input{}); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

// The program itself must take it.
func TestGoToolPprof(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hang.pb.gz")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(f, hang()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "pprof", "-top", "-cum", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"Type: tasks", "schedule", "percpu_rwsem_wait"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if !strings.Contains(string(out), fmt.Sprint(7)) {
		t.Errorf("no 7 tasks in\n%s", out)
	}
}
