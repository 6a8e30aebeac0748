package sysrq

import (
	"fmt"
	"strconv"
)

// Key is the byte that names a SysRq command: '0'-'9', 'a'-'z' or 'A'-'Z'.
// Keys are case-sensitive. Any other byte is legal to send and makes the
// kernel print its HELP line (drivers/tty/sysrq.c, sysrq_key_table_key2index).
type Key byte

// Ping is a key that every kernel answers with its HELP line and that changes
// nothing: slot 'h' is empty in all kernels read (drivers/tty/sysrq.c). HELP is
// never held against the mask, it only needs SysRq to be on at all.
const Ping Key = 'h'

// HasSlot reports whether the kernel's table has a slot for k. A key without
// one can never name a command.
func (k Key) HasSlot() bool {
	return k >= '0' && k <= '9' || k >= 'a' && k <= 'z' || k >= 'A' && k <= 'Z'
}

// IsUpper reports whether k needs Shift on a keyboard. Upper-case keys exist
// since Linux 5.10, when the table grew from 36 to 62 slots.
func (k Key) IsUpper() bool { return k >= 'A' && k <= 'Z' }

// String is the key as the kernel prints it, or a quoted byte.
func (k Key) String() string {
	if k > ' ' && k < 0x7f {
		return string(rune(k))
	}
	return fmt.Sprintf("%q", byte(k))
}

// MarshalText makes a key a one-character string in JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *Key) UnmarshalText(b []byte) error {
	switch {
	case len(b) == 1:
		*k = Key(b[0])
		return nil
	default:
		s, err := strconv.Unquote(string(b))
		r := []rune(s)
		if err != nil || b[0] != '\'' || len(r) != 1 || r[0] > 0xff {
			return fmt.Errorf("sysrq: %q is not a key", b)
		}
		*k = Key(r[0])
		return nil
	}
}
