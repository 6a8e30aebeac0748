package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/redact"
	"github.com/sysrq/sysrq/render"
)

// read is a report of a log, made as sysrq report makes it.
func read(t *testing.T, log string) render.Input {
	t.Helper()
	p := dump.NewParser(strings.NewReader(log))
	var a diagnose.Analyzer
	var blocks []*dump.Block
	for p.Scan() {
		a.Add(p.Block())
		blocks = append(blocks, p.Block().Clone())
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return render.Input{
		Title: "hang.log", Version: "test", Report: a.Report(), Counts: p.Counts(), Blocks: slices.Values(blocks),
		Lines: slices.Values(strings.Split(strings.TrimSuffix(log, "\n"), "\n")),
	}
}

func unpack(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
}

func hang(host, user, comm, ip string) string {
	var b strings.Builder
	say := func(format string, args ...any) {
		fmt.Fprintf(&b, "Nov 25 01:02:03 %s kernel: [  100.000001] %s\n", host, fmt.Sprintf(format, args...))
	}
	say("nfs: server %s not responding, still trying", ip)
	say("EXT4-fs warning: /home/%s/x is full", user)
	say("sysrq: Show Blocked State")
	for i := range 5 {
		say("task:%-15s state:D stack:0     pid:%d   tgid:%d   ppid:1      flags:0x00000002", comm, 700+i, 700+i)
		say("Call Trace:")
		say(" <TASK>")
		for _, f := range []string{"__schedule", "schedule", "percpu_rwsem_wait", "__percpu_down_read", "mnt_want_write", "path_openat", "do_filp_open", "do_sys_openat2", "__x64_sys_openat", "do_syscall_64"} {
			say(" %s+0x10/0x20", f)
		}
		say(" </TASK>")
	}
	say("INFO: task %s:700 blocked for more than 120 seconds.", comm)
	say("      Not tainted 6.12.95 #1")
	fmt.Fprintf(&b, "Nov 25 01:02:04 %s login[99]: session opened for user %s\n", host, user)
	return b.String()
}

func TestBundle(t *testing.T) {
	log := hang("db7", "alice", "payrolld", "192.0.2.9")
	c := Contents{Input: read(t, log), Capture: strings.NewReader(log), Machine: map[string]string{"uname": "Linux 6.12.95"}, TempDir: t.TempDir()}
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	var m Manifest
	if err := json.Unmarshal([]byte(files["sysrq-report/manifest.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 5 || len(files) != 6 {
		t.Errorf("%d files, %d in the manifest", len(files), len(m.Files))
	}
	for _, f := range m.Files {
		text := files["sysrq-report/"+f.Name]
		sum := sha256.Sum256([]byte(text))
		if f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes != int64(len(text)) || f.What == "" {
			t.Errorf("%+v is not what is there", f)
		}
	}
	if files["sysrq-report/capture.log"] != log {
		t.Error("the capture is not the log")
	}
	var facts Facts
	if err := json.Unmarshal([]byte(files["sysrq-report/facts.json"]), &facts); err != nil || facts.Machine["uname"] == "" || facts.Dumps != 1 {
		t.Errorf("facts: %+v, %v", facts, err)
	}
	c.Capture = strings.NewReader(log)
	var again bytes.Buffer
	if err := Write(&again, c); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("equal contents, but another bundle (%v)", err)
	}
	left, _ := os.ReadDir(c.TempDir)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// Everybody's tar must open it.
	if tarProgram, err := exec.LookPath("tar"); err == nil {
		if _, err := exec.LookPath("zstd"); err == nil {
			file := filepath.Join(t.TempDir(), "b.tar.zst")
			_ = os.WriteFile(file, b.Bytes(), 0o644)
			if out, err := exec.CommandContext(t.Context(), tarProgram, "--zstd", "-tf", file).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("sysrq-report/report.html")) {
				t.Errorf("tar: %v\n%s", err, out)
			}
		}
	}
}

// TestRedactedBundleHasNoSecret goes the whole way, from a log to every file
// that is made of it.
func TestRedactedBundleHasNoSecret(t *testing.T) {
	for _, s := range [][4]string{
		{"db7", "alice", "payrolld", "192.0.2.9"},
		{"mx-1.corp.example.com", "bob_x", "Web Content", "203.0.113.254"},
		{"zaphod", "carol.d", "mysqld_safe", "198.51.100.77"},
	} {
		log := hang(s[0], s[1], s[2], s[3])
		r := redact.New()
		if err := r.Learn(strings.NewReader(log)); err != nil {
			t.Fatal(err)
		}
		clean, err := io.ReadAll(r.Reader(strings.NewReader(log)))
		if err != nil {
			t.Fatal(err)
		}
		in, was := read(t, string(clean)), read(t, log)
		in.Title = r.Text(s[0] + ".log, from /home/" + s[1])
		if len(in.Report.Blocked) != 5 || len(in.Report.Findings) != len(was.Report.Findings) {
			t.Errorf("%v: %d blocked tasks and %d findings, %d without redaction", s, len(in.Report.Blocked), len(in.Report.Findings), len(was.Report.Findings))
		}
		var b bytes.Buffer
		c := Contents{Input: in, Capture: bytes.NewReader(clean), Redacted: true, Machine: map[string]string{"uname": r.Text("Linux " + s[0] + " 6.12.95")}}
		if err := Write(&b, c); err != nil {
			t.Fatal(err)
		}
		files := unpack(t, b.Bytes())
		for name, f := range map[string]func(io.Writer, render.Input) error{
			"svg": render.WaitSVG, "flame": render.FlameSVG, "dot": render.DOT, "mermaid": render.Mermaid, "folded": render.Folded, "sarif": render.SARIF,
		} {
			var out bytes.Buffer
			if err := f(&out, in); err != nil {
				t.Fatal(err)
			}
			files[name] = out.String()
		}
		for name, text := range files {
			for _, secret := range s {
				if strings.Contains(text, secret) {
					t.Errorf("%s still has %q", name, secret)
				}
			}
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no more paper") }

func TestErrorsSayWhere(t *testing.T) {
	err := Write(io.Discard, Contents{Capture: broken{}})
	if err == nil || !strings.Contains(err.Error(), "capture.log: no more paper") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"../x", "a/b", "..", `a\b`} {
		if err := Write(io.Discard, Contents{Name: name}); err == nil {
			t.Errorf("%q became a directory", name)
		}
	}
}
