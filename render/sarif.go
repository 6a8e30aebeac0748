package render

import (
	"cmp"
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
)

// SARIF writes the findings as a log of SARIF 2.1.0, with the lines on which
// they rest.
func SARIF(w io.Writer, in Input) error {
	type text struct {
		Text string `json:"text"`
	}
	type rule struct {
		ID    string `json:"id"`
		Short text   `json:"shortDescription"`
	}
	type region struct {
		StartLine int64 `json:"startLine"`
		EndLine   int64 `json:"endLine,omitempty"`
	}
	type artifact struct {
		URI string `json:"uri"`
	}
	type physical struct {
		Artifact artifact `json:"artifactLocation"`
		Region   region   `json:"region"`
	}
	type location struct {
		Physical physical `json:"physicalLocation"`
	}
	type result struct {
		RuleID     string         `json:"ruleId"`
		RuleIndex  int            `json:"ruleIndex"`
		Level      string         `json:"level"`
		Kind       string         `json:"kind,omitempty"`
		Message    text           `json:"message"`
		Locations  []location     `json:"locations"`
		Related    []location     `json:"relatedLocations,omitempty"`
		Rank       float64        `json:"rank"`
		Properties map[string]any `json:"properties,omitempty"`
	}
	type driver struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
		Rules   []rule `json:"rules"`
	}
	type tool struct {
		Driver driver `json:"driver"`
	}
	type run struct {
		Tool       tool     `json:"tool"`
		Results    []result `json:"results"`
		ColumnKind string   `json:"columnKind"`
	}
	type log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []run  `json:"runs"`
	}

	uri := fileURI(cmp.Or(in.File, in.Title, "log"))
	r := run{ColumnKind: "unicodeCodePoints", Results: []result{}}
	r.Tool.Driver = driver{Name: "sysrq", Version: in.Version, Rules: []rule{}}
	for _, f := range ordered(in.report().Findings) {
		id := cmp.Or(f.ID, "finding")
		n := slices.IndexFunc(r.Tool.Driver.Rules, func(r rule) bool { return r.ID == id })
		if n < 0 {
			n = len(r.Tool.Driver.Rules)
			short := strings.ReplaceAll(id, "-", " ")
			r.Tool.Driver.Rules = append(r.Tool.Driver.Rules, rule{id, text{strings.ToUpper(short[:1]) + short[1:]}})
		}
		res := result{RuleID: id, RuleIndex: n, Level: "note", Locations: []location{}, Properties: map[string]any{
			"confidence": f.Confidence,
		}}
		switch f.Severity {
		case diagnose.Critical:
			res.Level = "error"
		case diagnose.Warning:
			res.Level = "warning"
		case diagnose.Info:
			res.Level, res.Kind = "none", "informational"
		}
		switch f.Confidence {
		case diagnose.Certain:
			res.Rank = 100
		case diagnose.Likely:
			res.Rank = 70
		default:
			res.Rank = 30
		}
		words := []string{sentence(f.Title)}
		for _, s := range []struct{ before, text string }{{"Suspect: ", f.Suspect}, {"", f.Detail}, {"Next: ", f.Next}} {
			if s.text != "" {
				words = append(words, sentence(s.before+s.text))
			}
		}
		// Braces stand for arguments there, unless they are doubled.
		res.Message.Text = strings.NewReplacer("{", "{{", "}", "}}").Replace(strings.Join(words, " "))
		if f.Suspect != "" {
			res.Properties["suspect"] = oneLine(f.Suspect)
		}
		for i, s := range f.Lines {
			l := location{physical{artifact{uri}, region{max(s.First, 1), max(s.Last, s.First, 1)}}}
			if i == 0 {
				res.Locations = append(res.Locations, l)
			} else {
				res.Related = append(res.Related, l)
			}
		}
		r.Results = append(r.Results, res)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(log{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []run{r}})
}

// fileURI is a file's name as SARIF wants it: relative, unless it is not.
func fileURI(file string) string {
	u := url.URL{Path: filepath.ToSlash(file)}
	if strings.HasPrefix(u.Path, "/") {
		u.Scheme = "file"
	}
	return u.String()
}

// sentence ends a text with a full stop, where it has no end of its own.
func sentence(s string) string {
	s = oneLine(s)
	if s == "" || strings.ContainsRune(".!?:", rune(s[len(s)-1])) {
		return s
	}
	return s + "."
}
