package main

import (
	"archive/tar"
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
)

var tiny = map[string]string{
	"linux/Makefile": "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\n",
	"linux/include/linux/sysrq.h": "#define SYSRQ_ENABLE_SYNC	0x0010\n" +
		"struct sysrq_key_op { int x; };\nint register_sysrq_key(int key, const struct sysrq_key_op *op);\n",
	"linux/drivers/tty/sysrq.c": `
static const struct sysrq_key_op sysrq_sync_op = {
	.handler	= f,
	.help_msg	= "sync(s)", /* .help_msg = "not me" */
	.action_msg	= "Emergency "
			  "Sync",
	.enable_mask	= SYSRQ_ENABLE_SYNC,
};
static const struct sysrq_key_op *sysrq_key_table[62] = {
	&sysrq_sync_op,		/* 0 */
	/* a, b: a comment */
	NULL,			/* 1 */
};`,
	"linux/drivers/v.c": `static const struct sysrq_key_op v_op = { .help_msg = "force(v)", .action_msg = "Force", };
#else
static const struct sysrq_key_op v_op = { };
	unregister_sysrq_key('v', &v_op);
	register_sysrq_key('v', &v_op);`,
}

func run(t *testing.T, files map[string]string) (string, error) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(files[name])), Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	tree, err := read(&b)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = tree.write(&out, "a package")
	return out.String(), err
}

func TestRead(t *testing.T) {
	got, err := run(t, tiny)
	want := `# Linux 6.1.7 (a package), read by internal/cmd/sysrqsources; do not edit
# key	help	mask	action	file
0	sync(s)	0x10	Emergency Sync	drivers/tty/sysrq.c
v	force(v)	0x0	Force	drivers/v.c
`
	if err != nil || got != want {
		t.Errorf("%v\ngot:\n%swant:\n%s", err, got, want)
	}
}

// TestUnreadable: what can not be read must be an error, never a missing row.
func TestUnreadable(t *testing.T) {
	for change, why := range map[[3]string]string{
		{"linux/drivers/v.c", `.action_msg = "Force"`, `.action_msg = FORCE`}:                    "no action_msg",
		{"linux/drivers/v.c", `"force(v)"`, `HELP`}:                                              "no help_msg",
		{"linux/drivers/v.c", `'v', &v_op);` + "\n\tregister", `'v', &v_op);` + "\n\tforget"}:    "bound to no key",
		{"linux/drivers/v.c", `	register_sysrq_key('v'`, `	register_sysrq_key(KEY`}:              "not a character",
		{"linux/drivers/v.c", `struct sysrq_key_op v_op = { .`, `struct sysrq_key_op v[] = { .`}: "readable structures",
		{"linux/drivers/tty/sysrq.c", `NULL,`, `SOME_OP,`}:                                       "reads",
		{"linux/drivers/tty/sysrq.c", `SYSRQ_ENABLE_SYNC`, `SYSRQ_ENABLE_X`}:                     "not defined",
		{"linux/Makefile", "VERSION", "X"}:                                                       "not the archive",
	} {
		files := maps.Clone(tiny)
		files[change[0]] = strings.ReplaceAll(files[change[0]], change[1], change[2])
		if files[change[0]] == tiny[change[0]] {
			t.Fatalf("nothing changed: %q", change)
		}
		if change[0] == "linux/Makefile" {
			files = map[string]string{"linux/x.c": ""}
		}
		if out, err := run(t, files); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: want an error with %q, have %v and\n%s", change, why, err, out)
		}
	}
}
