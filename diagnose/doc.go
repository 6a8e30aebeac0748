// Package diagnose finds out from the blocks of package dump who waits for
// whom, who is the likely culprit, how sure that is, and on which lines it
// rests. It does not know where the log came from, nor how findings are shown.
//
// Feed an [Analyzer] with every block of a log, and with the lines that belong
// to none, and ask it for a [Report]:
//
//	p := dump.NewParser(file)
//	var a diagnose.Analyzer
//	p.Log = a.Log
//	for p.Scan() {
//		a.Add(p.Block())
//	}
//	r := a.Report()
//
// What it knows of kernels stands in three tables: waits.txt says what a stack
// waits for, holds.txt who has what others wait for, signs.txt which lines of a
// log name a cause. The code gathers tasks that wait alike (unit.go), links them
// (graph.go), follows the chains to their ends (chain.go), and joins what stands
// around them (context.go). A finding is never surer than its evidence: only
// what the kernel says itself is certain.
package diagnose
