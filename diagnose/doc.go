// Package diagnose finds out from the blocks of package dump who waits for
// whom, who is the likely culprit, how sure that is, and on which lines it
// rests. It does not know where the log came from, nor how findings are shown.
//
// Feed an [Analyzer] with every block of a log and ask it for a [Report].
package diagnose
