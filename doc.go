// Package sysrq is the vocabulary of Linux's Magic SysRq: keys, the commands
// behind them, the mask that permits them, the steps and sequences made of
// them, and what may be said of a step once it was tried.
//
// Everything here is a pure value. Nothing opens a file, starts a goroutine or
// asks the clock, so the package may be imported by anything from a locked
// agent to a web page.
//
// # Where things live
//
//   - [Key], [Command], [Commands], [Lookup]: what can be asked of a kernel.
//   - [Mask], [Door]: who may ask it, and how they come in.
//   - [Step], [Sequence], [ParseSteps]: what a person asks for.
//   - [Outcome], [Event], [Evidence]: what is known afterwards.
//   - [ParseHelp], [Header], [IsRefusal], [ParseLoglevel]: what the kernel says
//     about SysRq itself, in every wording since Linux 3.x.
//
// Facts name their source: a file of the kernel tree and the versions it was
// read in. "6.1, 6.12, 7.2" are the trees of Debian's linux-source packages
// 6.1.192, 6.12.117 and 7.2.13; testdata/sources has what they say.
package sysrq
