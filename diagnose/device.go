package diagnose

import (
	"strconv"
	"strings"
)

// deviceOf is the device, volume or server that a task's name or work tells,
// or "".
func deviceOf(t *task) string {
	if d := deviceOfWork(t.workqueue); d != "" {
		return d
	}
	if t.stack != nil {
		if d := deviceOfWork(t.stack.workqueue); d != "" {
			return d
		}
	}
	return deviceOfComm(t.Comm)
}

// deviceOfWork reads "writeback wb_workfn (flush-8:0)", "xfs-sync/rbd0
// xfs_log_worker", "kdmflush/253:0 dm_wq_work", "loop0 loop_rootcg_workfn".
func deviceOfWork(w string) string {
	if w == "" {
		return ""
	}
	if _, d, ok := strings.Cut(w, "(flush-"); ok {
		d, _, _ = strings.Cut(d, ")")
		d, _, _ = strings.Cut(d, "-") // flush-8:1-fuseblk, flush-btrfs-1
		if !strings.Contains(d, ":") {
			return ""
		}
		return byNumber(d)
	}
	q, _, _ := strings.Cut(w, " ")
	if a, d, ok := strings.Cut(q, "/"); ok && d != "" {
		switch {
		case has(a, "xfs", "dio", "kdmflush", "kcryptd", "ext4", "bioset", "dm-", "loop", "btrfs", "kverityd"):
			if d[0] >= '0' && d[0] <= '9' && !strings.Contains(d, ":") {
				return ""
			}
			return byNumber(d)
		}
	}
	if has(q, "loop", "nbd", "rbd", "drbd", "md") && endsInDigit(q) {
		return q
	}
	return ""
}

// deviceOfComm reads the names of kernel threads: jbd2/sda9-8, xfsaild/dm-0,
// md1_raid6, loop0, drbd_r_r1, dmcrypt_write/253:0, f2fs_ckpt-8:1.
func deviceOfComm(c string) string {
	a, d, ok := strings.Cut(c, "/")
	if ok {
		switch {
		case a == "jbd2":
			if i := strings.LastIndexByte(d, '-'); i > 0 {
				d = d[:i]
			}
			return d
		case a == "xfsaild", a == "xfs-conv", a == "xfs-buf", a == "xfs-cil", a == "dmcrypt_write", a == "kdmflush":
			return byNumber(d)
		}
		return ""
	}
	switch {
	case has(c, "md") && strings.Contains(c, "_") && len(c) > 3 && (c[2] >= '0' && c[2] <= '9' || c[2] == 'X'):
		d, _, _ := strings.Cut(c, "_")
		if d == "mdX" { // dm-raid's have no number
			return ""
		}
		return d
	case has(c, "drbd_"):
		if i := strings.LastIndexByte(c, '_'); i > 0 {
			return "drbd " + c[i+1:]
		}
	case has(c, "loop", "nbd", "rbd") && endsInDigit(c):
		return c
	case has(c, "f2fs_ckpt-", "f2fs_flush-", "f2fs_discard-", "f2fs_gc-"):
		_, d, _ := strings.Cut(c, "-")
		return byNumber(d)
	case has(c, "flush-"): // before 3.10
		_, d, _ := strings.Cut(c, "-")
		if strings.Contains(d, ":") {
			return byNumber(d)
		}
	}
	return ""
}

func endsInDigit(s string) bool { return s != "" && s[len(s)-1] >= '0' && s[len(s)-1] <= '9' }

// byNumber names a device that is given as MAJOR:MINOR, where the number tells
// its name (Documentation/admin-guide/devices.txt).
func byNumber(d string) string {
	a, b, ok := strings.Cut(d, ":")
	if !ok {
		return d
	}
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil || minor < 0 {
		return d
	}
	part := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	switch major {
	case 7:
		return "loop" + b
	case 8:
		return "sd" + string(rune('a'+minor/16%26)) + part(minor%16)
	case 9:
		return "md" + b
	case 65:
		if minor/16 < 10 {
			return "sd" + string(rune('q'+minor/16)) + part(minor%16)
		}
	case 43:
		return "nbd" + strconv.Itoa(minor/32)
	case 147:
		return "drbd" + b
	case 252, 253, 254: // handed out at run time; device-mapper's nearly always
		return "device " + d + " (dm-" + b + "?)"
	}
	return "device " + d
}
