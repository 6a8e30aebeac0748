package diagnose

// context joins what stands outside of stacks with what the stacks say.
func (a *Analyzer) context(g *waitGraph, fs []*finding) []*finding {
	return fs
}
