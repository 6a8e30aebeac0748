package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Kernel is a Debian kernel that lies unpacked in the cache.
type Kernel struct {
	Arch    string `json:"arch"`   // as GOARCH writes it, or "uml"
	Series  string `json:"series"` // what was asked for, such as 6.1
	Package string `json:"package"`
	Version string `json:"version"` // the package's
	Release string `json:"release"` // as uname -r will say it; empty for UML

	dir string
}

// Image is the file to boot.
func (k Kernel) Image() string {
	if k.Arch == "uml" {
		return filepath.Join(k.dir, "usr/bin/linux.uml")
	}
	for _, pattern := range []string{"boot/vmlinu[xz]-*", "usr/lib/modules/*/vmlinuz"} {
		if found, _ := filepath.Glob(filepath.Join(k.dir, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// modules is the directory with the kernel's loadable modules.
func (k Kernel) modules() string {
	if k.Arch == "uml" {
		found, _ := filepath.Glob(filepath.Join(k.dir, "usr/lib/uml/modules/*"))
		if len(found) > 0 {
			return found[0]
		}
	}
	dir := filepath.Join(k.dir, "lib/modules", k.Release)
	if _, err := os.Stat(dir); err != nil {
		return filepath.Join(k.dir, "usr/lib/modules", k.Release)
	}
	return dir
}

// Find returns the newest kernel of a series that Debian's archive offers, for
// an architecture as GOARCH writes it or "uml". It is fetched once, without
// root and without touching the machine's package manager; after that it is
// used as it is, offline, until its directory in [CacheDir] is deleted.
//
// progress, which may be nil, is told what takes time.
func Find(ctx context.Context, arch, series string, progress func(string)) (Kernel, error) {
	if progress == nil {
		progress = func(string) {}
	}
	m, ok := machines[arch]
	if !ok {
		return Kernel{}, fmt.Errorf("no lab for architecture %q", arch)
	}
	if arch == "uml" {
		series = "uml"
	}
	dir, err := cached(ctx, "kernel/"+arch+"-"+series, func(dir string) error {
		return fetchKernel(ctx, m, Kernel{Arch: arch, Series: series, dir: dir}, progress)
	})
	if err != nil {
		return Kernel{}, fmt.Errorf("find kernel %s for %s: %w", series, arch, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		return Kernel{}, fmt.Errorf("%w; delete %s to fetch it again", err, dir)
	}
	k := Kernel{dir: dir}
	if err := json.Unmarshal(data, &k); err != nil {
		return Kernel{}, fmt.Errorf("%s: %w; delete it to fetch it again", dir, err)
	}
	return k, nil
}

func fetchKernel(ctx context.Context, m machine, k Kernel, progress func(string)) error {
	a, unlock, err := index(ctx, m.debian, k.Series, progress)
	if err != nil {
		return err
	}
	defer unlock()
	if k.Package, err = a.kernelPackage(ctx, m, k.Series); err != nil {
		return err
	}
	if k.Version, err = a.unpack(ctx, k.Package, k.dir); err != nil {
		return err
	}
	if k.Image() == "" { // since 7.x, the package only names those that have it
		_, rest, _ := strings.Cut(k.Package, "linux-image-")
		for _, part := range []string{"linux-binary-", "linux-modules-"} {
			if _, err := a.unpack(ctx, part+rest, k.dir); err != nil {
				return err
			}
		}
	}
	// Documentation is of no use here.
	_ = os.RemoveAll(filepath.Join(k.dir, "usr/share"))
	if k.Image() == "" {
		return fmt.Errorf("%s has no kernel in it", k.Package)
	}
	if k.Arch != "uml" {
		var ok bool
		if _, k.Release, ok = strings.Cut(filepath.Base(k.Image()), "-"); !ok {
			k.Release = filepath.Base(filepath.Dir(k.Image()))
		}
	}
	data, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.dir, "kernel.json"), append(data, '\n'), 0o644)
}

// index opens our own package index for what a series needs. It is ours alone
// until unlock is called.
func index(ctx context.Context, debianArch, series string, progress func(string)) (_ *apt, unlock func(), err error) {
	var suites []string
	name := "apt-" + debianArch
	if inUnstable(series) {
		suites, name = []string{"sid"}, name+"-sid"
	}
	dir := filepath.Join(CacheDir(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("%w; set SYSRQ_LAB_CACHE to a directory that you may write", err)
	}
	unlock, err = lock(ctx, dir+".lock")
	if err != nil {
		return nil, nil, err
	}
	a, err := newApt(ctx, dir, debianArch, suites, progress)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return a, unlock, nil
}

// inUnstable reports whether a series is newer than any release.
func inUnstable(series string) bool {
	return series != "uml" && compareNumbers(series, "6.13") >= 0
}

// kernelPackage finds the package's name. Debian's unstable moves: when it has
// left the series, the next newer one is taken, which the kernel's release
// will show.
func (a *apt) kernelPackage(ctx context.Context, m machine, series string) (string, error) {
	if m.flavour == "" {
		return "user-mode-linux", nil
	}
	names, err := a.names(ctx, "linux-image-")
	if err != nil {
		return "", err
	}
	name, err := newest(names, imagePattern(regexp.QuoteMeta(series), m.flavour))
	if errors.Is(err, errNotOffered) && inUnstable(series) {
		name, err = newest(names, imagePattern(`[0-9]+\.[0-9]+`, m.flavour))
		if err == nil && compareNumbers(name, "linux-image-"+series) < 0 {
			err = errNotOffered
		}
	}
	if err != nil {
		return "", fmt.Errorf("linux-image-%s*-%s: %w", series, m.flavour, err)
	}
	return name, nil
}

// imagePattern matches packages with an image: linux-image-6.1.0-50-cloud-amd64-unsigned,
// linux-image-6.12.117+deb12-cloud-amd64-unsigned.
func imagePattern(series, flavour string) *regexp.Regexp {
	return regexp.MustCompile(`^linux-image-` + series + `[.+~-][^-]*(-[0-9]+)?-` + flavour + `(-unsigned)?$`)
}
