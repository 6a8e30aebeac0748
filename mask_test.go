package sysrq

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// keys that the mask permits, in the table's order.
func permitted(m Mask, d Door, arch string) string {
	var keys []byte
	for _, c := range Commands() {
		if c.OnArch(arch) && m.Permits(c, d) {
			keys = append(keys, byte(c.Key))
		}
	}
	return string(keys)
}

func TestPermits(t *testing.T) {
	const everything = "0123456789bcdefghijklmnopqrstuvwyzDRS"
	tests := []struct {
		mask Mask
		want string // on amd64, by keyboard or serial line
	}{
		{0, ""},
		{1, everything},
		{2, "0123456789h"},
		{3, "0123456789h"}, // bit 0 means nothing beside another
		{4, "hkr"},
		{8, "chlmptwyzR"},
		{16, "hs"},
		{32, "hu"},
		{64, "efhij"}, // j as well, though it signals nobody
		{128, "bho"},
		{256, "hnDS"},
		{512, "h"}, // on, and permits nothing
		{176, "bhosu"},
		{184, "bchlmopstuwyzR"},
		{438, "0123456789bhknorsuDS"},
		{-1, "0123456789bcefhijklmnoprstuwyzDRS"}, // every bit, yet no d, g, q, v
		{99999, "0123456789bchklmoprstwyzR"},      // 0x1869f
	}
	for _, tt := range tests {
		for _, d := range []Door{DoorKeyboard, DoorSerial} {
			if got := permitted(tt.mask, d, "amd64"); got != tt.want {
				t.Errorf("%d, %s: permits %q, want %q", tt.mask, d, got, tt.want)
			}
		}
		if got := permitted(tt.mask, DoorTrigger, "amd64"); got != everything {
			t.Errorf("%d, trigger file: permits %q, want everything", tt.mask, got)
		}
	}
	if MaskAll-2 != -1 || Mask(-1).Allows(ForKeyOn('q', "")) {
		t.Error("-1 must not permit q")
	}
	if Mask(-1).Allows(ForKeyOn('x', "ppc64le")) || !Mask(8).Allows(ForKeyOn('x', "mips64le")) {
		t.Error("x is xmon, without a bit, on PowerPC, and a dump on MIPS")
	}
}

func TestMaskOn(t *testing.T) {
	for m, want := range map[Mask]bool{0: false, 1: true, 3: true, 512: true, -1: true} {
		if m.On() != want {
			t.Errorf("%d: on is %v", m, !want)
		}
	}
}

func TestParseMask(t *testing.T) {
	good := map[string]Mask{
		"0": 0, "1": 1, "3": 3, "-1": -1, "438": 438, "438\n": 438, " 438 ": 438, "\t16": 16,
		"010": 8, "0x1b6": 438, "0X1B6": 438, "0x0": 0, "00": 0, "-0": 0, "-010": -8, "-0x10": -16,
		"1 2": 1, "1\tx": 1, "99999": 99999,
		"2147483647": 1<<31 - 1, "-2147483648": -1 << 31,
	}
	for s, want := range good {
		if got, err := ParseMask(s); got != want || err != nil {
			t.Errorf("ParseMask(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", " ", "\n", "-", "- 1", "+1", "--1", "-+1", "x", "on", "08", "0x", "0xg", "0x-5", "1.5", "1,2", "1_000", "0b1",
		"438\r", "\x00", "2147483648", "-2147483649", "4294967295", "0xffffffff", "99999999999999999999",
	} {
		if got, err := ParseMask(s); !errors.Is(err, ErrMask) || got != 0 {
			t.Errorf("ParseMask(%q) = %d, %v; want an ErrMask", s, got, err)
		}
	}
}

func TestMaskString(t *testing.T) {
	for m, want := range map[Mask]string{
		0:   "0 (off)",
		1:   "1 (everything)",
		3:   "3 (log, 0x1 means nothing)",
		16:  "16 (sync)",
		176: "176 (sync, remount, boot)",
		438: "438 (log, keyboard, sync, remount, boot, rtnice)",
		512: "512 (on, but permits nothing)",
		520: "520 (dump, 0x200 means nothing)",
		-1:  "-1 (log, keyboard, dump, sync, remount, signal, boot, rtnice)",
	} {
		if got := m.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMaskWith(t *testing.T) {
	key := func(k Key) Command { return ForKeyOn(k, "") }
	tests := []struct {
		mask Mask
		key  Key
		want Mask
	}{
		{0, 's', 16},
		{0, 'q', 1},
		{0, 'h', 2}, // HELP needs no bit of its own, but SysRq has to be on
		{512, 'h', 512},
		{16, 's', 16},
		{176, '4', 178},
		{438, 'e', 502},
		{438, 'q', 1},
		{1, 'q', 1},
		{-1, 'q', 1},
	}
	for _, tt := range tests {
		if got := tt.mask.With(key(tt.key)); got != tt.want {
			t.Errorf("%d with %s: got %d, want %d", tt.mask, tt.key, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := Mask(rapid.Int32().Draw(t, "mask"))
		c := rapid.SampledFrom(Commands()).Draw(t, "command")
		with := m.With(c)
		if !with.Allows(c) {
			t.Fatalf("%d with %s is %d, which refuses it", m, c.Key, with)
		}
		for _, other := range Commands() {
			if m.Allows(other) && !with.Allows(other) {
				t.Fatalf("%d with %s is %d, which takes %s away", m, c.Key, with, other.Key)
			}
		}
	})
}

func TestDoorString(t *testing.T) {
	for d, want := range map[Door]string{DoorTrigger: "trigger file", DoorKeyboard: "keyboard", DoorSerial: "serial line", 0: "unknown door"} {
		if d.String() != want {
			t.Errorf("got %q, want %q", d, want)
		}
	}
}

func FuzzParseMask(f *testing.F) {
	for _, s := range []string{"438", "010", "0x1b6", "-1", "1 2", "4294967295", "", "-", "0x", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMask(s)
		if err != nil {
			if m != 0 || !errors.Is(err, ErrMask) {
				t.Fatalf("%q: %d and %v", s, m, err)
			}
			return
		}
		// The kernel reads its value back in decimal.
		word := m.String()
		if again, err := ParseMask(word); again != m || err != nil {
			t.Fatalf("%q reads %d, and %q reads %d (%v)", s, m, word, again, err)
		}
		if m.On() != (m != 0) || m.On() != m.Permits(ForKeyOn(Ping, ""), DoorSerial) {
			t.Fatalf("%d: on and HELP disagree", m)
		}
	})
}
