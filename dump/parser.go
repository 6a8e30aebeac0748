package dump

import "io"

// Parser reads blocks from a text.
type Parser struct{ block *Block }

// NewParser makes a Parser of r, which may hold any form of a kernel's log that
// kmsg.Log reads.
func NewParser(r io.Reader) *Parser { return &Parser{} }

// Scan waits for the next block. It returns false at the end of the text, and
// after an error.
func (p *Parser) Scan() bool { return false }

// Block is what the last Scan found. It changes with the next.
func (p *Parser) Block() *Block { return p.block }

// Err is why the last Scan found nothing, or nil at the end of the text.
func (p *Parser) Err() error { return nil }

// Counts says what became of the lines read so far.
func (p *Parser) Counts() Counts { return Counts{} }

// Counts is what became of the lines of a text.
type Counts struct {
	// Lines is how many there are; each is in a block, or empty, or one of Log.
	Lines int64 `json:"lines"`
	// Log is the lines that belong to no dump: the rest of the log.
	Log int64 `json:"log"`
	// Unread is the lines in blocks of KindUnread.
	Unread int64 `json:"unread"`
}
