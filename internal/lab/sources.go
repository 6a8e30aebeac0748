package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// archiveSource is one of the system's own Debian archives, from which the lab
// fetches: mirrors and keys are the machine's, never ours.
type archiveSource struct {
	URIs     string
	Suites   []string
	SignedBy string // as it stands, possibly a key in the middle of the file
}

// readSources reads the archives that the machine in root is set up for.
func readSources(root string) ([]archiveSource, error) {
	var sources []archiveSource
	old, _ := filepath.Glob(filepath.Join(root, "etc/apt/sources.list.d/*.list"))
	for _, f := range append([]string{filepath.Join(root, "etc/apt/sources.list")}, old...) {
		if data, err := os.ReadFile(f); err == nil {
			sources = append(sources, parseList(string(data))...)
		}
	}
	stanzas, _ := filepath.Glob(filepath.Join(root, "etc/apt/sources.list.d/*.sources"))
	for _, f := range stanzas {
		if data, err := os.ReadFile(f); err == nil {
			sources = append(sources, parseStanzas(string(data))...)
		}
	}
	if len(sources) == 0 {
		return nil, errors.New("this machine has no Debian archive in /etc/apt: add one to /etc/apt/sources.list")
	}
	return sources, nil
}

// parseList reads the one-line format: deb [options] URI suite component…
func parseList(text string) (sources []archiveSource) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var s archiveSource
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			options, after, _ := strings.Cut(rest[1:], "]")
			rest = after
			for o := range strings.FieldsSeq(options) {
				if by, ok := strings.CutPrefix(o, "signed-by="); ok {
					s.SignedBy = by
				}
			}
		}
		fields := strings.Fields(rest)
		if len(fields) < 3 || !has(fields[2:], "main") {
			continue
		}
		s.URIs, s.Suites = fields[0], fields[1:2]
		sources = append(sources, s)
	}
	return sources
}

// parseStanzas reads the deb822 format.
func parseStanzas(text string) (sources []archiveSource) {
	for stanza := range strings.SplitSeq("\n"+text, "\n\n") {
		fields := map[string]string{}
		var last string
		for line := range strings.Lines(stanza) {
			line = strings.TrimRight(line, "\n")
			switch {
			case strings.HasPrefix(line, "#") || line == "":
			case line[0] == ' ' || line[0] == '\t':
				fields[last] += "\n" + line
			default:
				name, value, _ := strings.Cut(line, ":")
				last = strings.ToLower(name)
				fields[last] = strings.TrimSpace(value)
			}
		}
		if !has(strings.Fields(fields["types"]), "deb") ||
			!has(strings.Fields(fields["components"]), "main") ||
			strings.EqualFold(fields["enabled"], "no") {
			continue
		}
		sources = append(sources, archiveSource{
			URIs:     fields["uris"],
			Suites:   strings.Fields(fields["suites"]),
			SignedBy: fields["signed-by"],
		})
	}
	return sources
}

// withSuites gives the sources in apt's format, limited to what a lab needs,
// with more suites of the main archive beside those that are there.
func withSuites(sources []archiveSource, more ...string) string {
	var b strings.Builder
	base := -1
	for i, s := range sources {
		fmt.Fprint(&b, s.stanza(s.Suites))
		for _, suite := range s.Suites {
			if base < 0 && !strings.ContainsAny(suite, "-/") {
				base = i
			}
		}
	}
	if base >= 0 && len(more) > 0 {
		fmt.Fprint(&b, sources[base].stanza(more))
	}
	return b.String()
}

func (s archiveSource) stanza(suites []string) string {
	text := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n", s.URIs, strings.Join(suites, " "))
	if s.SignedBy != "" {
		text += "Signed-By: " + s.SignedBy + "\n"
	}
	return text + "\n"
}

func has(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}
