// Package kmsg reads the kernel's log as records: from /dev/kmsg, where each
// record says its number, and from the text of a console, where much of that
// has to be inferred. It does not know what the records mean.
package kmsg

import "time"

// Record is one record of the kernel's log, or a gap in it.
//
// The bytes of Prefix, Text and Dict belong to whoever filled the record and change
// with its next one; Clone keeps them.
type Record struct {
	// Lost is how many records were lost just before this one. A record with
	// Lost set is a gap and nothing else: all other fields are zero but
	// LostUnknown.
	Lost uint64
	// LostUnknown marks a gap whose size nobody knows; Lost is 1 then.
	LostUnknown bool

	// Level is the urgency, 0 (emergency) to 7 (debug), or LevelUnknown.
	Level int8
	// Facility is syslog's: 0 is the kernel, 1 userspace.
	Facility uint8
	// Seq is the kernel's number of the record, where HasSeq is set. It is
	// what orders records.
	Seq    uint64
	HasSeq bool
	// Time is the kernel's own, since its boot, in microseconds' precision,
	// where HasTime is set. Between processors it can run backwards.
	Time    time.Duration
	HasTime bool
	// Caller is who printed it, where the kernel says so.
	Caller Caller
	// Continues marks a record that the kernel flagged as the continuation of
	// a line. Some complete lines are flagged so as well.
	Continues bool
	// Torn marks a line whose beginning or end is missing, as far as its source
	// shows that.
	Torn bool
	// Kernel is false for a console line without any mark of the kernel's: a
	// login prompt, a program's output. On kernels that print no times it is
	// false for all lines. It is no proof: a program that may write to the
	// console can write a mark as well.
	Kernel bool
	// User is set where the source says that a program wrote it, not the
	// kernel: another name than 'kernel' in a system log, another transport in
	// a journal, another facility. Only a Log sets it. What lacks all marks of
	// the kernel's is not for that reason a program's.
	User bool

	// Prefix is what stood before Text, as it was, where a Log took it off:
	// times, host names, marks. It is empty where there was none, or where the
	// source keeps such things in fields of their own.
	Prefix []byte
	// Text is the line, without its newline, with escapes undone. It may hold
	// newlines of its own, and whatever else was printed: make it harmless
	// before a terminal sees it.
	Text []byte
	// Dict is what came behind it as " KEY=VALUE" lines, escapes undone, each
	// "KEY=VALUE\n". Only a newline in a value stays escaped, as \x0a.
	Dict []byte
}

// LevelUnknown is the Level of a record whose source does not tell it.
const LevelUnknown int8 = -1

// Caller is the task or processor that printed a record (PRINTK_CALLER).
// The zero Caller is unknown.
type Caller struct {
	Kind byte // 'T': task, 'C': processor, 0: unknown
	ID   uint32
}

// Clone is a copy of r that stays valid.
func (r *Record) Clone() Record {
	c := *r
	c.Text = append([]byte(nil), r.Text...)
	if r.Prefix != nil {
		c.Prefix = append([]byte(nil), r.Prefix...)
	}
	if r.Dict != nil {
		c.Dict = append([]byte(nil), r.Dict...)
	}
	return c
}
