package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// apt is a package manager's state of our own: it reads the machine's mirrors
// and keys, and touches nothing of the machine.
type apt struct {
	dir  string
	arch string // as Debian writes it
	say  func(string)
}

// fresh is how long an index is used before it is read again.
const fresh = time.Hour

// newApt fetches the index for one architecture into dir, unless it has just
// been fetched.
func newApt(ctx context.Context, dir, arch string, suites []string, say func(string)) (*apt, error) {
	a := &apt{dir: dir, arch: arch, say: say}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	sources, err := readSources("/")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "lab.sources"), []byte(withSuites(sources, suites...)), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o644); err != nil {
		return nil, err
	}
	stamp := filepath.Join(dir, "updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < fresh {
		return a, nil
	}
	say(fmt.Sprintf("reading the archive's index for %s", arch))
	if err := a.retry(ctx, "update"); err != nil {
		// One suite that a mirror is just replacing need not be the one that
		// is wanted: what is missing will say so itself.
		say("the index is incomplete: " + err.Error())
		return a, ctx.Err()
	}
	return a, os.WriteFile(stamp, nil, 0o644)
}

// retry runs apt-get until it works: mirrors change while one reads them.
func (a *apt) retry(ctx context.Context, args ...string) error {
	var err error
	for attempt := range 4 {
		if attempt > 0 {
			a.say(fmt.Sprintf("apt-get %s failed, trying again", args[0]))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(attempt) * 3 * time.Second):
			}
		}
		if _, err = a.run(ctx, "apt-get", args...); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (a *apt) run(ctx context.Context, tool string, args ...string) ([]byte, error) {
	if _, err := exec.LookPath(tool); err != nil {
		return nil, fmt.Errorf("%s is needed to fetch kernels, and this is no Debian: put kernels into %s", tool, CacheDir())
	}
	options := []string{
		"-o", "Dir::State=" + filepath.Join(a.dir, "state"),
		"-o", "Dir::State::status=" + filepath.Join(a.dir, "status"),
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(a.dir, "lab.sources"),
		"-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::Etc::preferences=-",
		"-o", "Dir::Etc::preferencesparts=-",
		"-o", "APT::Architecture=" + a.arch,
		"-o", "APT::Architectures=" + a.arch,
		"-o", "APT::Sandbox::User=",
		"-o", "APT::Update::Error-Mode=any",
		"-o", "APT::Update::Post-Invoke::=", "-o", "APT::Update::Post-Invoke-Success::=",
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::Retries=2",
		"-o", "Debug::NoLocking=1",
		"-q",
	}
	cmd := exec.CommandContext(ctx, tool, append(options, args...)...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", tool, strings.Join(args, " "), err, lastLine(complaints.String()))
	}
	return out.Bytes(), nil
}

// names lists what the index offers with a prefix.
func (a *apt) names(ctx context.Context, prefix string) ([]string, error) {
	out, err := a.run(ctx, "apt-cache", "pkgnames", prefix)
	return strings.Fields(string(out)), err
}

// unpack downloads one package and lays its files out in dir.
func (a *apt) unpack(ctx context.Context, name, dir string) (version string, err error) {
	a.say("fetching " + name)
	if err := a.retry(ctx, "download", name); err != nil {
		return "", err
	}
	found, _ := filepath.Glob(filepath.Join(a.dir, name+"_*.deb"))
	if len(found) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d files", name, len(found))
	}
	defer os.Remove(found[0])
	a.say("unpacking " + name)
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", found[0], dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpack %s: %w: %s", name, err, lastLine(string(out)))
	}
	out, err := exec.CommandContext(ctx, "dpkg-deb", "-f", found[0], "Version").Output()
	return strings.TrimSpace(string(out)), err
}

var errNotOffered = errors.New("the archive does not offer it")

// newest picks the highest of the names that match, its numbers compared as
// numbers.
func newest(names []string, pattern *regexp.Regexp) (string, error) {
	var best string
	for _, n := range names {
		if pattern.MatchString(n) && (best == "" || compareNumbers(n, best) > 0) {
			best = n
		}
	}
	if best == "" {
		return "", errNotOffered
	}
	return best, nil
}

// compareNumbers orders names, each run of digits as one number.
func compareNumbers(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
