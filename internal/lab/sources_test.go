package lab

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSources(t *testing.T) {
	const list = `# a comment
deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian bookworm main non-free # more
deb-src http://mirror.example/debian bookworm main
deb http://other.example/apt stable extra
`
	const stanzas = `Types: deb deb-src
URIs: http://mirror.example/debian
# between
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main contrib
Signed-By: /k.gpg

Enabled: no
Types: deb
URIs: http://no.example/
Suites: bookworm
Components: main
`
	got := append(parseList(list), parseStanzas(stanzas)...)
	want := []archiveSource{
		{URIs: "http://mirror.example/debian", Suites: []string{"bookworm"}, SignedBy: "/k.gpg"},
		{
			URIs: "http://mirror.example/debian", Suites: []string{"bookworm", "bookworm-updates"},
			SignedBy: "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n -----END PGP PUBLIC KEY BLOCK-----",
		},
		{URIs: "http://mirror.example/debian-security", Suites: []string{"bookworm-security"}, SignedBy: "/k.gpg"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	const both = `Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /k.gpg

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
Signed-By: /k.gpg

Types: deb
URIs: http://mirror.example/debian
Suites: sid
Components: main
Signed-By: /k.gpg

`
	if diff := cmp.Diff(both, withSuites([]archiveSource{want[2], want[0]}, "sid")); diff != "" {
		t.Errorf("more suites come from the main archive (-want +got):\n%s", diff)
	}
}
