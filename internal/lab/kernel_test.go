package lab

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

// offered is what apt-cache pkgnames says on a Debian 12 with unstable beside
// it, shortened.
const offered = `linux-image-6.1.0-9-cloud-amd64-unsigned
linux-image-6.1.0-50-cloud-amd64-unsigned
linux-image-6.1.0-50-cloud-amd64
linux-image-6.1.0-50-cloud-amd64-dbg
linux-image-6.1.0-50-rt-amd64-unsigned
linux-image-6.1.0-50-amd64-unsigned
linux-image-6.12.107+deb12-cloud-amd64-unsigned
linux-image-6.12.90+deb12-cloud-amd64-unsigned
linux-image-6.12-cloud-amd64-dbg
linux-image-7.2.13+deb14-cloud-amd64
linux-image-7.2.13+deb14-cloud-amd64-dbg
linux-image-cloud-amd64
linux-image-6.1.0-50-powerpc64le
linux-image-6.1.0-49-powerpc64le
linux-image-6.1.0-50-5kc-malta`

func TestNewest(t *testing.T) {
	for _, c := range []struct{ series, flavour, want string }{
		{"6.1", "cloud-amd64", "linux-image-6.1.0-50-cloud-amd64-unsigned"},
		{"6.12", "cloud-amd64", "linux-image-6.12.107+deb12-cloud-amd64-unsigned"},
		{"7.2", "cloud-amd64", "linux-image-7.2.13+deb14-cloud-amd64"},
		{"6.1", "powerpc64le", "linux-image-6.1.0-50-powerpc64le"},
		{"6.1", "5kc-malta", "linux-image-6.1.0-50-5kc-malta"},
		{"6.1", "s390x", ""},
		{"6", "cloud-amd64", "linux-image-6.12.107+deb12-cloud-amd64-unsigned"},
	} {
		got, err := newest(strings.Fields(offered), imagePattern(regexp.QuoteMeta(c.series), c.flavour))
		if got != c.want || (err != nil) != (c.want == "") || err != nil && !errors.Is(err, errNotOffered) {
			t.Errorf("%s %s: %q, %v; want %q", c.series, c.flavour, got, err, c.want)
		}
	}
}

func TestCompareNumbers(t *testing.T) {
	ordered := []string{"", "6", "6.1", "6.1.0-9", "6.1.0-50", "6.1.0-50-unsigned", "6.12", "6.13", "7.2", "10.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareNumbers(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compare %q with %q: %d", a, b, got)
			}
		}
	}
	if compareNumbers("a007", "a7") != 0 {
		t.Error("leading zeros count")
	}
}
