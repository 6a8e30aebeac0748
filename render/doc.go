// Package render shows findings and dumps to people, and to the programs that
// people use: text, a page, pictures, and the formats of graph drawers, code
// scanners and profilers. It does not know where a log came from, and reads and
// opens nothing: it gets an [Input] and writes to an [io.Writer].
//
// What comes out depends on the input alone: the same log gives the same bytes.
//
// Whatever a log holds is shown as text. No name in it can steer a terminal,
// end a tag, or break a line of a format.
package render
