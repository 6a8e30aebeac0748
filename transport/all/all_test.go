package all

import "testing"

// Every example can be typed as it stands.
func TestExamples(t *testing.T) {
	r := Registry()
	for _, f := range r.Factories() {
		target, err := r.Parse(f.Example)
		if err != nil || target.String() != f.Example {
			t.Errorf("%s: %v, %v", f.Example, target, err)
		}
		if f.Summary == "" {
			t.Errorf("%s has no summary", f.Scheme)
		}
	}
}
