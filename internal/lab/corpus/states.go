package corpus

import (
	"fmt"
	"strings"

	"github.com/sysrq/sysrq/internal/golden"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// states are all there are, the cheapest first.
func states() []state {
	return []state{
		idle(),
		frozen(),
		vfork(),
	}
}

// idle has no trouble at all.
func idle() state {
	st := state{
		name: "idle", root: "none", everywhere: true,
		note:  "nothing is wrong: two programs sleep",
		enter: func(s *stage) error { return s.bystanders() },
	}
	for _, k := range "hwtlmpqzd" {
		sh := shot{keys: string(k)}
		if k == 't' {
			// print_worker_info trips over user-mode Linux's own fault.
			sh.not = func(k Kernel) bool { return k.Arch == "uml" }
		}
		st.shots = append(st.shots, sh)
	}
	st.shots = append(st.shots,
		shot{keys: "hwlmq", name: "console", source: golden.Console})
	return st
}

// bystanders are ordinary processes, for a dump to show that are not to blame.
func (s *stage) bystanders() error {
	for range 2 {
		pid, err := s.run("sleep", "100000")
		if err == nil {
			err = s.await(pid, "S")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// smallDisk adds one with a file system.
func smallDisk(c *lab.Config) { c.Disks = append(c.Disks, lab.Disk{Ext4: "data", MiB: 64}) }

// frozen has tasks that want to write to a frozen file system.
func frozen() state {
	return state{
		name: "frozen", root: "superblock-freeze", everywhere: true, config: smallDisk,
		note: "an ext4 is frozen (FIFREEZE), and tasks create and write files on it",
		enter: func(s *stage) error {
			if err := s.bystanders(); err != nil {
				return err
			}
			if err := s.Mount(s.ctx, 0, "/data"); err != nil {
				return err
			}
			if _, err := s.Run(s.ctx, "dd", "if=/dev/zero", "of=/data/old", "bs=4k", "count=1"); err != nil {
				return err
			}
			if _, err := s.Do(s.ctx, guest.Op{Freeze: &guest.Freeze{Target: "/data"}}); err != nil {
				return err
			}
			for _, argv := range [][]string{
				{"touch", "/data/new"},
				{"mkdir", "/data/dir"},
				{"dd", "if=/dev/zero", "of=/data/old", "bs=4k", "count=1", "conv=notrunc"},
				{"rm", "/data/old"},
			} {
				if err := s.hang(argv[0], argv[1:]...); err != nil {
					return err
				}
			}
			return nil
		},
		shots: []shot{
			{keys: "w"},
			{keys: "t", not: func(k Kernel) bool { return !k.onPC() }},
			{keys: "w", name: "w-console", source: golden.Console},
		},
	}
}

// vfork has parents whose children never call exec.
func vfork() state {
	return state{
		name: "vfork", root: "vfork", everywhere: true,
		note: "parents wait for vforked children that never call exec",
		enter: func(s *stage) error {
			r, err := s.Do(s.ctx, guest.Op{Hang: &guest.Hang{Tasks: 3}})
			return wrap("hang", err, func() { s.note = "(" + names(r.PIDs) + ")" })
		},
		shots: []shot{{keys: "w"}},
	}
}

// names lists process numbers.
func names(pids []int) string {
	return strings.Trim(fmt.Sprint(pids), "[]")
}

// wrap does what follows a call that went well.
func wrap(what string, err error, then func()) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	then()
	return nil
}
