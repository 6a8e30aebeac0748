package lab

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// BuildModule compiles a kernel module from its source files against the
// headers that Debian has for this very kernel, and returns the file. It takes
// make and gcc; the rest is fetched as kernels are.
func (k Kernel) BuildModule(ctx context.Context, source fs.FS, name string, progress func(string)) (string, error) {
	if progress == nil {
		progress = func(string) {}
	}
	for _, tool := range []string{"make", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", missing(tool, tool)
		}
	}
	headers, err := k.headers(ctx, progress)
	if err != nil {
		return "", fmt.Errorf("build module %s: %w", name, err)
	}
	dir := filepath.Join(CacheDir(), "module", k.Release)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := copyChanged(source, dir); err != nil {
		return "", fmt.Errorf("build module %s: %w", name, err)
	}
	cc := "gcc"
	if inUnstable(k.Series) { // built with a compiler that no release has
		cc = filepath.Join(dir, "cc")
		if err := os.WriteFile(cc, []byte(compiler), 0o755); err != nil {
			return "", err
		}
	}
	progress("building module " + name + " for " + k.Release)
	args := []string{
		"-C", filepath.Join(headers, "usr/src/linux-headers-"+k.Release), "M=" + dir, "LAB_HEADERS=" + headers,
		"CC=" + cc, "HOSTCC=gcc", "PAHOLE=true", "modules",
	}
	cmd := exec.CommandContext(ctx, "make", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build module %s: %w\n%s", name, err, out)
	}
	return filepath.Join(dir, name+".ko"), nil
}

// copyChanged copies files that differ from those that are there: what has not
// changed is not compiled again.
func copyChanged(source fs.FS, dir string) error {
	return fs.WalkDir(source, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.Base(name))
		if there, err := os.ReadFile(to); err == nil && bytes.Equal(there, data) {
			return nil
		}
		return os.WriteFile(to, data, 0o644)
	})
}

// headers fetches what a module is built against.
func (k Kernel) headers(ctx context.Context, progress func(string)) (string, error) {
	return cached(ctx, "headers/"+k.Release, func(dir string) error {
		a, unlock, err := index(ctx, machines[k.Arch].debian, k.Series, progress)
		if err != nil {
			return err
		}
		defer unlock()
		flavour := regexp.MustCompile(`-(cloud-)?[a-z0-9]+$`)
		base := flavour.ReplaceAllString(k.Release, "")
		kbuild, err := a.kbuild(ctx, base)
		if err != nil {
			return err
		}
		for _, name := range []string{"linux-headers-" + k.Release, "linux-headers-" + base + "-common", kbuild} {
			if _, err := a.unpack(ctx, name, dir); err != nil {
				return fmt.Errorf("%w; a kernel that is too old for the archive is fetched anew when %s is deleted", err, k.dir)
			}
		}
		if inUnstable(k.Series) {
			if err := a.tools(ctx, dir, kbuild); err != nil {
				return err
			}
		}
		// Without it, nothing is made of the types of the kernel for BPF.
		top := filepath.Join(dir, "usr/src/linux-headers-"+k.Release)
		_ = os.Remove(filepath.Join(top, "vmlinux"))
		// The package expects to lie in /usr/src. Where it lies instead is said
		// to make each time: the cache gives it another name than it has now.
		makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
		if err != nil {
			return err
		}
		makefile = bytes.ReplaceAll(makefile, []byte("/usr/src/"), []byte("$(LAB_HEADERS)/usr/src/"))
		return os.WriteFile(filepath.Join(top, "Makefile"), makefile, 0o644)
	})
}

// compiler is gcc without the options that only a newer one has, which the
// kernel was built with: each is tried once.
const compiler = `#!/bin/bash
# gcc, without the options that it does not know.
args=()
for a in "$@"; do
	case $a in
	-f*|-m*|-W*|-std=*)
		case $a in -Wp,*|-fmacro-prefix-map=*|-fdebug-prefix-map=*) args+=("$a"); continue ;; esac
		key=$(dirname "$0")/known${a//[^a-zA-Z0-9=_-]/_}
		if [ ! -e "$key" ]; then
			if echo | LC_ALL=C gcc $a -x c -S -o /dev/null - 2>&1 | grep -qE 'unrecognized|not supported|unknown'; then echo no; else echo yes; fi >"$key.$$"
			mv "$key.$$" "$key"
		fi
		[ "$(<"$key")" = no ] || args+=("$a") ;;
	*) args+=("$a") ;;
	esac
done
exec gcc "${args[@]}"
`

// kbuild is the package with the tools: the one with the longest name that the
// release begins with.
func (a *apt) kbuild(ctx context.Context, base string) (string, error) {
	names, err := a.names(ctx, "linux-kbuild-")
	if err != nil {
		return "", err
	}
	best := ""
	for _, n := range names {
		if strings.HasPrefix(base, strings.TrimPrefix(n, "linux-kbuild-")) && len(n) > len(best) {
			best = n
		}
	}
	if best == "" {
		return "", fmt.Errorf("linux-kbuild for %s: %w", base, errNotOffered)
	}
	return best, nil
}

// tools makes the tools of a kernel that is newer than any release runnable:
// they want libraries that are as new, and get them from the same suite.
func (a *apt) tools(ctx context.Context, dir, kbuild string) error {
	for _, lib := range []string{"libc6", "libelf1t64", "zlib1g", "libzstd1", "libssl3t64"} {
		if _, err := a.unpack(ctx, lib, filepath.Join(dir, "root")); err != nil {
			return err
		}
	}
	return filepath.WalkDir(filepath.Join(dir, "usr/lib", kbuild), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(data, []byte("\x7fELF")) {
			return err
		}
		if err := os.Rename(path, path+".elf"); err != nil {
			return err
		}
		up, err := filepath.Rel(filepath.Dir(path), dir)
		if err != nil {
			return err
		}
		name := filepath.Base(path)
		script := "#!/bin/sh\nhere=$(dirname \"$(realpath \"$0\")\")\nroot=$here/" + up + "/root\n" +
			"exec $root/usr/lib64/ld-linux-x86-64.so.2 --library-path $root/usr/lib/x86_64-linux-gnu" +
			" --argv0 \"$here/" + name + "\" \"$here/" + name + ".elf\" \"$@\"\n"
		return os.WriteFile(path, []byte(script), 0o755)
	})
}
