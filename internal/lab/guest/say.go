package guest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// What the guest prints on its console begins with Says. A boot line goes on
// with `boot ID RELEASE UPTIME`, a piece of a reply as [Piece] says.
const Says = "sysrq-lab: "

// Piece is one line's worth of a reply that goes by the console.
type Piece struct {
	Boot string // the boot's ID
	ID   int    // the reply's
	N    int    // which piece, from 1
	Of   int    // how many there are
	Text string // part of the base64 of the reply's JSON
}

// Pieces cuts a reply to what fits into records of the kernel's log.
func Pieces(bootID string, r Reply) []Piece {
	const most = 640
	line, _ := json.Marshal(r)
	text := base64.StdEncoding.EncodeToString(line)
	count := (len(text) + most - 1) / most
	pieces := make([]Piece, count)
	for i := range pieces {
		pieces[i] = Piece{bootID, r.ID, i + 1, count, text[i*most : min(len(text), (i+1)*most)]}
	}
	return pieces
}

// String is the line, with a checksum: some consoles cut what they print.
func (p Piece) String() string {
	return fmt.Sprintf("reply %s %d %d/%d %08x %s", p.Boot, p.ID, p.N, p.Of, crc32.ChecksumIEEE([]byte(p.Text)), p.Text)
}

// ParsePiece reads what String gave. It refuses what has been damaged.
func ParsePiece(line string) (p Piece, ok bool) {
	var sum uint32
	_, err := fmt.Sscanf(line, "reply %s %d %d/%d %x %s", &p.Boot, &p.ID, &p.N, &p.Of, &sum, &p.Text)
	ok = err == nil && sum == crc32.ChecksumIEEE([]byte(p.Text)) && p.N >= 1 && p.N <= p.Of && p.Of < 1<<16
	return p, ok
}

// Join puts all pieces of a reply together again.
func Join(texts []string) (r Reply, err error) {
	var text []byte
	for _, t := range texts {
		text = append(text, t...)
	}
	data, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}
