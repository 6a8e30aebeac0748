package diagnose

// verdicts are what is said when nothing else can be.
func (a *Analyzer) verdicts(g *waitGraph, fs []*finding) []*finding {
	if len(fs) > 0 {
		return nil
	}
	f := &finding{}
	f.Severity, f.Confidence = Info, Likely
	f.ID, f.Title = "not-enough", "This log does not say enough to tell what is wrong."
	f.Next = "sysrq observe"
	return []*finding{f}
}
