package kmsg

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// logLine is a record and where it came from.
type logLine struct {
	Record
	first, last int64
}

func logAll(t testing.TB, r io.Reader) []logLine {
	t.Helper()
	l := NewLog(r)
	var all []logLine
	for l.Scan() {
		first, last := l.Lines()
		all = append(all, logLine{l.Record().Clone(), first, last})
	}
	if err := l.Err(); err != nil {
		t.Fatalf("Err() = %v", err)
	}
	return all
}

// showLog writes records as the tables below do: lines, number, time, caller,
// facility.level, flags (k kernel, u user, c continues, t torn), text, dict.
func showLog(all []logLine) string {
	var b strings.Builder
	for i := range all {
		r := &all[i]
		fmt.Fprintf(&b, "%d", r.first)
		if r.last != r.first {
			fmt.Fprintf(&b, "-%d", r.last)
		}
		if r.Lost > 0 {
			fmt.Fprintf(&b, " lost %d\n", r.Lost)
			continue
		}
		if r.HasSeq {
			fmt.Fprintf(&b, " #%d", r.Seq)
		}
		if r.HasTime {
			fmt.Fprintf(&b, " %d.%06d", r.Time/time.Second, r.Time%time.Second/time.Microsecond)
		}
		if r.Caller.Kind != 0 {
			fmt.Fprintf(&b, " %c%d", r.Caller.Kind, r.Caller.ID)
		}
		if r.Level >= 0 {
			fmt.Fprintf(&b, " %d.%d", r.Facility, r.Level)
		}
		b.WriteByte(' ')
		for _, f := range []struct {
			is   bool
			name string
		}{{r.Kernel, "k"}, {r.User, "u"}, {r.Continues, "c"}, {r.Torn, "t"}} {
			if f.is {
				b.WriteString(f.name)
			}
		}
		text := r.Text
		if len(text) > 200 {
			text = append(bytes.Clone(text[:200]), "…"...)
		}
		fmt.Fprintf(&b, "%q", text)
		if len(r.Dict) > 0 {
			fmt.Fprintf(&b, " %q", r.Dict)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var logs = []struct{ name, in, want string }{
	{"empty", "", ""},
	{"only line ends", "\r\n\n\r\r\n", ""},
	{"plain", "[    3.772366] a\n\n[    3.772367]  b+0x1/0x2\n", `
1 3.772366 k"a"
3 3.772367 k" b+0x1/0x2"`},
	{"lines are an editor's", "a\r\nb\rc\r\r\n\nd", `
1 "a"
2 "b"
2 "c"
4 t"d"`},
	{"no stamps", "sysrq: Show Blocked State\n  task                        PC stack   pid father\n\tx\n", `
1 "sysrq: Show Blocked State"
2 "  task                        PC stack   pid father"
3 "\tx"`},
	{"dmesg -T", "[Mon Nov 23 21:51:00 2026] a\n[Sun Mar  1 00:00:00 2026]  b\n", `
1 k"a"
2 k" b"`},
	{"dmesg -T elsewhere", "[Mi Nov 25 21:51:00 2026] a\n[Mär Mo  1 00:00:00 2026] b\n[月 11月 23 21:51:00 2026]  c\n[lun. nov. 23 21:51:00 2026] d\n", `
1 k"a"
2 k"b"
3 k" c"
4 k"d"`},
	{"dmesg -x", "kern  :warn  : [    3.772366] a\nkern  :info  : [    3.772367]  b\nuser  :notice: [    3.772368] c\nkern  :err   : [    3.772369] d\n", `
1 3.772366 0.4 k"a"
2 3.772367 0.6 k" b"
3 3.772368 1.5 ku"c"
4 3.772369 0.3 k"d"`},
	{"dmesg -x -T", "kern  :warn  : [Mon Nov 23 21:51:00 2026] a\n", `
1 0.4 k"a"`},
	{"dmesg --time-format=iso", "2026-11-23T21:51:00,123456+00:00 a\n2026-11-23T21:51:00,123457+00:00  b\nkern  :warn  : 2026-11-23T21:51:00,123456+00:00  c\n", `
1 k"a"
2 k" b"
3 0.4 k" c"`},
	{"dmesg --time-format=delta", "[<    0.000000>] a\n[<    1.000000>]  b\n", `
1 k"a"
2 k" b"`},
	{"dmesg -d", "[    3.772366 <    0.000012>] a\n[Mon Nov 23 21:51:00 2026 <    0.000012>]  b\n", `
1 3.772366 k"a"
2 k" b"`},
	{"dmesg --reltime", "[Nov23 21:51] a\n[  +0.000012] b\n[Nov 3 21:51]  c\n[ +12.000000] d\n[  -0.000012] e\n", `
1 k"a"
2 k"b"
3 k" c"
4 k"d"
5 k"e"`},
	{"dmesg with several times", "[Mon Nov 23 21:51:00 2026] [    3.772366] a\n", `
1 3.772366 k"a"`},
	{"dmesg -r", "<4>[    3.772366] a\n<14>[    3.772366] b\n<6>c\n", `
1 3.772366 0.4 k"a"
2 3.772366 1.6 ku"b"
3 0.6 k"c"`},
	{"dmesg in colours", "\x1b[32m[    3.772366] \x1b[0m\x1b[33musb 1-1: \x1b[0mnew\nkern  :err   : \x1b[32m[   27.000000] \x1b[0m\x1b[31mb\x1b[0m\n", `
1 3.772366 k"usb 1-1: new"
2 27.000000 0.3 k"b"`},
	{"callers", "[    3.772366][  T123] a\n[    C0] b\n<4>[    3.772366][   T38] c\n[    3.772366] [  T123]  d\n[    3.772366][T38] e\n[T38] f\n", `
1 3.772366 T123 k"a"
2 C0 k"b"
3 3.772366 T38 0.4 k"c"
4 3.772366 T123 k" d"
5 3.772366 T38 k"e"
6 T38 k"f"`},
	{"stamps of other kernels and of people", "[  240.] a\n[  240.123] b\n[\u00a0 880.020641] c\n[\u00a0 880.020641]\u00a0\u00a0d\n[   12.345678] [c000000062] e\n", `
1 240.000000 k"a"
2 240.123000 k"b"
3 880.020641 k"c"
4 880.020641 k" d"
5 12.345678 k"[c000000062] e"`},
	{"no-break spaces", "[12345.020641]\u00a0 a\n[12345.020641] \u00a0b\n\u00a0\u00a0c\nx\u00a0y\n", `
1 12345.020641 k" a"
2 12345.020641 k" b"
3 "  c"
4 "x y"`},
	{"nobody's no-break spaces", "[12345.020641] x\u00a0y\n\u00a0 [12345.020641] a\n", `
1 12345.020641 k"x\u00a0y"
2 12345.020641 k"a"`},
	{"byte order mark", "\ufeff[    3.772366] a\n\ufeffb\n", `
1 3.772366 k"a"
2 "\ufeffb"`},
	{"grep in several files", "/var/log/kern.log:Nov  5 12:00:00 host kernel: [   12.345678] a\nmessages:Nov  5 12:00:01 host kernel:  b\ntask:x [   12\nx:1\nconsole:[   12.345678] c\n", `
1 12.345678 k"a"
2 k" b"
3 "task:x [   12"
4 "x:1"
5 12.345678 k"c"`},
	{"dates with strokes", "2026/11/23 21:51:00 [   12.345678] a\n[2026/11/23 21:51:00] [   12.345678] b\n", `
1 12.345678 k"a"
2 12.345678 k"b"`},
	{"no stamps either", "[  OK  ] Started\n[1] 4711\n[ 12.5%] x\n[<ffffffff810>] f+0x1/0x2\n[ 1804]    89  1804 y\n[drm] z\n", `
1 "[  OK  ] Started"
2 "[1] 4711"
3 "[ 12.5%] x"
4 "[<ffffffff810>] f+0x1/0x2"
5 "[ 1804]    89  1804 y"
6 "[drm] z"`},
	{"/dev/kmsg", "6,1234,5678,-;a\\x0ab\n SUBSYSTEM=usb\n DEVICE=+usb:1-1\n4,1235,5679,c,caller=T1; c\n\n14,1236,5680,-;d\n e\n", `
1-3 #1234 0.005678 0.6 k"a\nb" "SUBSYSTEM=usb\nDEVICE=+usb:1-1\n"
4 #1235 0.005679 T1 0.4 kc" c"
6 #1236 0.005680 1.6 ku"d"
7 " e"`},
	{"/dev/kmsg, the end missing", "6,1234,5678,-;a\n SUBSYS", `
1 #1234 0.005678 0.6 k"a"
2 t" SUBSYS"`},
	{"extended netconsole with the release", "6.12.1-amd64,6,1234,5678,-,caller=C0;a\n", `
1 #1234 0.005678 C0 0.6 k"a"`},
	{"/dev/kmsg in a system log", "May 21 19:56:44 x 6,2902,86761111625,-;out of puff#012 SUBSYSTEM=virtio#012 DEVICE=+virtio:virtio0\nMay 21 20:00:40 x 3,2903,86997972896,-; b\n", `
1 #2902 86761.111625 0.6 k"out of puff" "SUBSYSTEM=virtio\nDEVICE=+virtio:virtio0\n"
2 #2903 86997.972896 0.3 k" b"`},
	{"grep -n", "440:6,375,5748211,-;a\n12-[    3.772366] b\n13:x\n", `
1 #375 5.748211 0.6 k"a"
2 3.772366 k"b"
3 "13:x"`},
	{"syslog", "Nov  5 12:00:00 host kernel: [   12.345678] a\nNov  5 12:00:00 host kernel: [   12.345679]  b\nNov  5 12:00:01 host systemd[1]: c\nNov  5 12:00:01 host sudo:  d\nNov 15 12:00:01 host kernel:  e\nNov 15 12:00:01 host kernel:\n", `
1 12.345678 k"a"
2 12.345679 k" b"
3 u"c"
4 u" d"
5 k" e"
6 k""`},
	{"syslog, finer", "Nov  5 12:00:00.123456 host kernel: [   12.345678] a\nNov  5 12:00:00.123457 host kernel: [   12.345678]  b\n", `
1 12.345678 k"a"
2 12.345678 k" b"`},
	{"syslog without a host", "Nov  5 12:00:00 kernel: [   12.345678] a\nNov  5 12:00:00 cron[12]: b\n", `
1 12.345678 k"a"
2 u"b"`},
	{"syslog with levels", "Nov  5 12:00:00.974658 err CFPU-1 kernel: [  279.991760] a\nNov  5 12:00:00 kern.warn host kernel: [  279.991760]  b\nNov  5 12:00:00 host daemon.info x: c\n", `
1 279.991760 0.3 k"a"
2 279.991760 0.4 k" b"
3 3.6 u"c"`},
	{"logread", "Tue Mar 11 09:26:00 2025 kern.debug kernel: [331456.657971] a\nTue Mar 11 09:26:00 2025 daemon.info dnsmasq[12]: b\n", `
1 331456.657971 0.7 k"a"
2 3.6 u"b"`},
	{"syslog in ISO", "2016-03-26T20:52:22.526357+00:00 mira108 kernel: ====\n2016-03-26T20:52:22.526854+00:00 mira108 kernel: #012but#011x\n2016-03-26T20:52:22.526854+00:00 mira108 su: c\n", `
1 k"===="
2 k"\nbut\tx"
3 u"c"`},
	{"RFC 5424", "<4>1 2026-11-23T21:51:00.123456+00:00 host kernel - - - [   12.345678] a\n<30>1 2026-11-23T21:51:00Z host systemd 1 - [x y=\"]\\\"\"][z] \ufeffb\n", `
1 12.345678 0.4 k"a"
2 3.6 u"b"`},
	{"RFC 3164 as it is sent", "<4>Nov  5 12:00:00 host kernel: [   12.345678] a\n<30>Nov  5 12:00:00 host x[1]: b\n<6>Nov a\n", `
1 12.345678 0.4 k"a"
2 3.6 u"b"
3 0.6 k"Nov a"`},
	{"journalctl", "Nov 05 12:00:00 host kernel: a\nNov 05 12:00:00 host kernel:  <TASK>\nNov 05 12:00:00 host Web Content[12]: b\n-- Boot 0123 --\n", `
1 k"a"
2 k" <TASK>"
3 u"b"
4 "-- Boot 0123 --"`},
	{"journalctl -o short-iso", "2026-11-23T21:51:00+0000 host kernel: a\n2026-11-23T21:51:00.123456+01:00 host kernel:  b\n2026-11-23T21:51:00+0000 host systemd[1]: c\n", `
1 k"a"
2 k" b"
3 u"c"`},
	{"journalctl -o short-full", "Mon 2026-11-23 21:51:00 UTC host kernel: a\nMon 2026-11-23 21:51:00 UTC host kernel:  b\nMon 2026-11-23 21:51:00 UTC host init[1]: c\n", `
1 k"a"
2 k" b"
3 u"c"`},
	{"journalctl -o short-unix", "1700000000.123456 host kernel: a\n", `
1 k"a"`},
	{"journalctl -o short-monotonic", "[    3.772366] host kernel: a\n[    3.772367] host kernel:  b\n[    3.772368] host systemd[1]: c\n[    3.772368] other: d\n", `
1 3.772366 k"a"
2 3.772367 k" b"
3 3.772368 u"c"
4 3.772368 k"other: d"`},
	{"journalctl -o short-delta", "[    3.772366 <    0.000000 >] host kernel: a\n[    3.772367 <    0.000001 >] host kernel:  b\n", `
1 3.772366 k"a"
2 3.772367 k" b"`},
	{"journalctl elsewhere", "Mär 05 12:00:00 host kernel: a\n11月 05 12:00:00 host kernel: b\n", `
1 k"a"
2 k"b"`},
	{"only kernel:", "kernel:  </TASK>\nkernel: a\nkernel: [   12.345678] b\n", `
1 k" </TASK>"
2 k"a"
3 12.345678 k"b"`},
	{"CI clocks", "2024-01-01T00:00:00.000Z [    3.772366] a\n[00:01:02] [    3.772366]  b\n00:01:02.123 <6>[    3.772366] c\n[2024-01-01 00:00:00.000] d\nNov 05 12:00:00 [    3.772366] e\n", `
1 3.772366 k"a"
2 3.772366 k" b"
3 3.772366 0.6 k"c"
4 "d"
5 3.772366 k"e"`},
	{"no program's name", "2025-06-10 09:57:14 sysrq: Show State\n2025-06-10 09:57:14 Call Trace:\n2025-06-10 09:57:14  f+0x1/0x2\nNov 05 12:00:00 INFO: task x:1 blocked\nNov 05 12:00:00 Call Trace: x\n", `
1 "sysrq: Show State"
2 "Call Trace:"
3 " f+0x1/0x2"
4 "INFO: task x:1 blocked"
5 "Call Trace: x"`},
	{"no program's name, twice", strings.Repeat("Nov 05 12:00:00 Hardware name: QEMU\nNov 05 12:00:00 Call Trace:\n", 2), `
1 "Hardware name: QEMU"
2 "Call Trace:"
3 "Hardware name: QEMU"
4 "Call Trace:"`},
	{"quotes", "> [    3.772366] a\n> >  [    3.772366]  b\n>> Nov  5 12:00:00 host kernel:  c\n>\n> d\n>  e\n>R f\n>[    3.772366] g\n", `
1 3.772366 k"a"
2 3.772366 k" b"
3 k" c"
4 ""
5 "d"
6 " e"
7 ">R f"
8 3.772366 k"g"`},
	{"indented", "\t[    3.772366] a\n    Nov  5 12:00:00 host kernel:  b\n   c\n", `
1 3.772366 k"a"
2 k" b"
3 "   c"`},
	{"serial", "\x1b[0m\x1b[1;31m[    3.772366] a\r\nlogin: [   12.345678] b\r\n** 5 printk messages dropped **\r\n\x1b[0m\r\n\x00\x00x\r\n", `
1 3.772366 k"a"
2 t"login: "
2 12.345678 k"b"
3 lost 5
4 ""
5 "x"`},
	{"cut in a stamp", "[  13[  158.123456] a\n", `
1 t"[  13"
1 158.123456 k"a"`},
	{"pstore", "Panic#1 Part1\n<4>[    3.772366] a\nOops#1 Part2\n<6>[    2.772366] b\n", `
1 "Panic#1 Part1"
2 3.772366 0.4 k"a"
3 "Oops#1 Part2"
4 2.772366 0.6 k"b"`},
	{"pstore, a part that begins amidst a line", "Panic#1 Part2\n66] a\n<4>[    3.772366] b\n", `
1 "Panic#1 Part2"
2 t"66] a"
3 3.772366 0.4 k"b"`},
	{"a program has no stamps", "Nov  5 12:00:00 host x[1]: [   12.345678] sysrq: Show State\n", `
1 u"[   12.345678] sysrq: Show State"`},
	{"mail wrapped it", "Nov  5 12:00:00 host kernel: [  279.998569]\nTainted: P\n", `
1 279.998569 k""
2 "Tainted: P"`},
	{"not UTF-8", "\xff\xfe\n[    1.000000] \xff\x00b\n", `
1 "\xff\xfe"
2 1.000000 k"\xff\x00b"`},
	{"dmesg --json", "{\n   \"dmesg\": [\n      {\n         \"pri\": 4,\n         \"time\":     3.772366,\n         \"msg\": \" a\\nb\\u001b\"\n      },{\n         \"pri\": 14,\n         \"time\": 12345.772366,\n         \"caller\": \"T12\",\n         \"msg\": \"\"\n      }\n   ]\n}\n", `
1-7 3.772366 0.4 k" a\nb"
8-12 12345.772366 T12 1.6 ku""
13-14 "}"`},
	{"dmesg -x --json", "{\n   \"dmesg\": [\n      {\n         \"fac\": \"kern\",\n         \"pri\": \"warn\",\n         \"msg\": \"a\"\n      }\n   ]\n}\n[    3.772366] b\n", `
1-7 0.4 k"a"
8-9 "}"
10 3.772366 k"b"`},
	{"dmesg -S --json repeats all that follows", "{\"dmesg\":[{\"pri\":4,\"time\":3.772366,\"msg\":\"a\\n<6>[    3.772367] b\\n\"},{\"pri\":6,\"time\":3.772367,\"msg\":\"b\\n\"}]}\n", `
1 3.772366 0.4 k"a"
1 3.772367 0.6 k"b"`},
	{"journalctl -o json", `{"__CURSOR":"s=1;i=2","PRIORITY":"4","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel","SYSLOG_FACILITY":"0","_SOURCE_MONOTONIC_TIMESTAMP":"3772366","__MONOTONIC_TIMESTAMP":"9","MESSAGE":" a\"b","_KERNEL_SUBSYSTEM":"usb","_KERNEL_DEVICE":"+usb:1-1"}` + "\n" +
		`{"MESSAGE":[97,10,255,98],"_TRANSPORT":"stdout","SYSLOG_IDENTIFIER":"x","PRIORITY":"6","SYSLOG_FACILITY":"3"}` + "\n" +
		`{"MESSAGE":"c","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"systemd","X":["a","b",{"y":[]}],"Z":null}` + "\n" +
		`{"MESSAGE":null,"_TRANSPORT":"kernel"}` + "\n", `
1 3.772366 0.4 k" a\"b" "SUBSYSTEM=usb\nDEVICE=+usb:1-1\n"
2 3.6 u"a\n\xffb"
3 ku"c"
4 "{\"MESSAGE\":null,\"_TRANSPORT\":\"kernel\"}"`},
	{"journalctl -o json-seq", "\x1e{\"MESSAGE\":\"a\",\"_TRANSPORT\":\"kernel\"}\n\x1e{\"MESSAGE\":\"b\",\"_TRANSPORT\":\"kernel\"}\n", `
1 k"a"
2 k"b"`},
	{"journalctl -o json-sse", "data: {\"MESSAGE\":\"a\",\"_TRANSPORT\":\"kernel\"}\n\ndata: {\"MESSAGE\":\"b\",\"_TRANSPORT\":\"kernel\"}\n", `
1 k"a"
3 k"b"`},
	{"journalctl -o json-pretty", "{\n\t\"MESSAGE\" : \"a\",\n\t\"_TRANSPORT\" : \"kernel\"\n}\n{\n\t\"_TRANSPORT\" : \"kernel\",\n\t\"MESSAGE\" : [\n\t\t98,\n\t\t99\n\t]\n}\n", `
1-4 k"a"
5-11 k"bc"`},
	{"other JSON", `{"log":"[    3.772366] a\n","stream":"stdout"}` + "\n" + `- {"dt": "2024-01-01T00:00:00.000000", "lvl": "target", "msg": "<4>[    3.772366]  b"}` + "\n" +
		`{"level":"info","a":{"x":1},"text":"c\n[    3.772367] d\r\n\n"}` + "\n" + `{"a":1}` + "\n", `
1 3.772366 k"a"
2 3.772366 0.4 k" b"
3 "c"
3 3.772367 k"d"
4 "{\"a\":1}"`},
	{"a dump in a string", "  \"x\": {\n    \"y\": \"2025-06-10 09:57:14 sysrq: Show\\n2025-06-10 09:57:14  f+0x1/0x2\\n\\u00e4\\ud83d\\ude00\\ud83d\\n\",\n    \"z\": 1\n", `
1-2 "sysrq: Show"
2 " f+0x1/0x2"
2 "ä😀�"
3 "    \"z\": 1"`},
	{"no JSON", "\"echo 0 > /proc\" disables this message.\n{\n[    3.772366] a\n{\"a\": b c}\n{\"a\": \"b\n[    3.772366] c\n}\n- {\n\"k\": [1,\n[    3.772366] d\n\"k\":\n", `
1 "\"echo 0 > /proc\" disables this message."
2 ""
3 3.772366 k"a"
4 "{\"a\": b c}"
5 "{\"a\": \"b"
6 3.772366 k"c"
7 "}"
8-9 ""
10 3.772366 k"d"
11 "\"k\":"`},
	{"JSON cut", "{\"MESSAGE\":\"a\",\"_TRANSPORT\":\"kernel\"", `
1 kt"a"`},
	{"JSON cut in a string behind a message", "{\"MESSAGE\":\"m\",\"_TRANSPORT\":\"kernel\",\"x\":\"a\\nb", `
1 "a"
1 t"b"
1 kt"m"`},
	{"JSON cut in a string", "{\"x\":\"a\\n[    3.772366] b", `
1 "a"
1 3.772366 kt"b"`},
	{"journalctl -o export", "__CURSOR=s=1;i=2\n__MONOTONIC_TIMESTAMP=3772399\n_TRANSPORT=kernel\nPRIORITY=4\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\nMESSAGE= a\n_SOURCE_MONOTONIC_TIMESTAMP=3772366\n\n__CURSOR=s=1;i=3\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00a\nb\r\n\n_TRANSPORT=syslog\n\n__CURSOR=x\n_TRANSPORT=kernel\n\n", `
1-8 3.772366 0.4 k" a"
10-15 u"a\nb\r"
17-18 ""`},
	{"an export that is none", "__CURSOR=x\nMESSAGE=a\n[    3.772366] b\n__CURSOR=x\nMESSAGE\nthis is no length\n", `
1-2 t"a"
3 3.772366 k"b"
4 ""
5 "MESSAGE"
6 "this is no length"`},
	{"an export, cut", "__CURSOR=x\n_TRANSPORT=kernel\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00a\n", `
1-4 kt"a"`},
	{"fragments", "6,12,345,-,caller=T1,ncfrag=0/20;0123456789\n6,12,345,-,caller=T1,ncfrag=10/20;abcdefghi\n[    3.772366] a\n", `
1-2 #12 0.000345 T1 0.6 k"0123456789abcdefghi"
3 3.772366 k"a"`},
	{"fragments, glued, with the release and a dictionary", "6.12.1,6,12,345,-,ncfrag=0/29;0123456789\\x6.12.1,6,12,345,-,ncfrag=12/29;41bc\n A=b6.12.1,6,12,345,-,ncfrag=21/29;cd\n E=f\n[    3.772366] a\n", `
1-3 #12 0.000345 0.6 k"0123456789Abc" "A=bcd\nE=f\n"
4 3.772366 k"a"`},
	{"fragments, one missing", "6,12,345,-,ncfrag=0/30;0123456789\n6,12,345,-,ncfrag=20/30;abcdefghi\n6,13,345,-;x\n", `
1 #12 0.000345 0.6 kt"0123456789"
2 #12 0.000345 0.6 kt"abcdefghi"
3 #13 0.000345 0.6 k"x"`},
	{"line too long", "[    1.000000] " + strings.Repeat("x", maxLine) + "\ny\n", `
1 1.000000 kt"` + strings.Repeat("x", 200) + `…"
1 t"xxxxxxxxxxxxxxx"
2 "y"`},
}

func TestLog(t *testing.T) {
	for _, c := range logs {
		t.Run(c.name, func(t *testing.T) {
			want := strings.TrimPrefix(c.want, "\n")
			for how, r := range map[string]io.Reader{
				"in one Read":      strings.NewReader(c.in),
				"byte by byte":     iotest.OneByteReader(strings.NewReader(c.in)),
				"with EOF at once": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				if got := strings.TrimSuffix(showLog(logAll(t, r)), "\n"); got != want {
					t.Errorf("%s:\n got\n%s\nwant\n%s", how, got, want)
				}
			}
		})
	}
}

// What a Scanner makes of a console, a Log does too.
func TestLogOnConsoles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.console")
	if len(files) == 0 {
		t.Fatal("no captures")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := scanAll(t, bytes.NewReader(b))
		var got []Record
		for _, r := range logAll(t, bytes.NewReader(b)) {
			r.Prefix = nil
			got = append(got, r.Record)
		}
		check(t, name, got, want)
	}
}

// checkLog holds what is true of all records of any input.
func checkLog(t *testing.T, in []byte, all []logLine) {
	t.Helper()
	lines := bytes.Split(in, newline)
	covered := make([]bool, len(lines)+1)
	last := int64(1)
	for i := range all {
		r := &all[i]
		if r.first < 1 || r.first > r.last || r.last < last || r.last > int64(len(lines)) {
			t.Fatalf("record %d is of lines %d to %d, behind one of %d: %+v", i, r.first, r.last, last, r.Record)
		}
		last = r.last
		for n := r.first; n <= r.last; n++ {
			covered[n] = true
		}
		if r.Lost > 0 {
			if r.Text != nil || r.Kernel {
				t.Errorf("more than a gap: %+v", r.Record)
			}
			continue
		}
		if r.Level < LevelUnknown || r.Level > 7 || r.Time < 0 || !r.HasTime && r.Time != 0 || !r.HasSeq && r.Seq != 0 {
			t.Errorf("impossible: %+v", r.Record)
		}
		if len(r.Text) > maxLine {
			t.Errorf("a text of %d bytes", len(r.Text))
		}
	}
	for i, line := range lines {
		if len(bytes.Trim(line, "\r")) > 0 && !covered[i+1] {
			t.Fatalf("line %d is lost: %q\n%s", i+1, line, showLog(all))
		}
	}
}

func FuzzLog(f *testing.F) {
	for _, c := range logs {
		if len(c.in) < 2000 {
			f.Add([]byte(c.in), uint8(3))
		}
	}
	for _, pattern := range []string{"testdata/*.console", "testdata/*.kmsg"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			b, _ := os.ReadFile(name)
			f.Add(b[:min(len(b), 2000)], uint8(100))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		all := logAll(t, bytes.NewReader(in))
		small := logAll(t, &repeat{text: append(bytes.Clone(in), 0)[:max(len(in), 1)], n: int64(len(in)), atMost: int(chunk) + 1})
		if !reflect.DeepEqual(all, small) {
			t.Errorf("depends on the Reads:\n%s\n%s", showLog(all), showLog(small))
		}
		checkLog(t, in, all)
	})
}

func ExampleLog() {
	file := strings.NewReader(`> Nov  5 12:00:01 db1 systemd[1]: Started Session 4 of user root.
> Nov  5 12:00:07 db1 kernel: [   12.345678] sysrq: Show Blocked State
> Nov  5 12:00:07 db1 kernel: [   12.345691] task:tar             state:D stack:0
>      pid:4711
`)
	l := NewLog(file)
	for l.Scan() {
		line, _ := l.Lines()
		r := l.Record()
		switch {
		case r.User:
			fmt.Printf("%d: a program: %s\n", line, r.Text)
		case r.Kernel:
			fmt.Printf("%d: kernel at %v: %s\n", line, r.Time, r.Text)
		default:
			fmt.Printf("%d: who knows: %q\n", line, r.Text)
		}
	}
	if err := l.Err(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1: a program: Started Session 4 of user root.
	// 2: kernel at 12.345678s: sysrq: Show Blocked State
	// 3: kernel at 12.345691s: task:tar             state:D stack:0
	// 4: who knows: "     pid:4711"
}
