package sysrq_test

import (
	"errors"
	"fmt"

	"github.com/sysrq/sysrq"
)

func ExampleParseSteps() {
	steps, err := sysrq.ParseSteps([]string{"show-blocked", "_sub"}, nil, "amd64")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range steps {
		fmt.Printf("%s  %-18s  %s\n", s.Command.Key, s.Command.Name, s.Command.Danger)
	}
	// Output:
	// w  show-blocked-tasks  observe
	// s  sync                tune
	// u  unmount             stop
	// b  reboot              reboot
}

func ExampleParseSteps_mistake() {
	for _, word := range []string{"lmw", "resiub", "show-all"} {
		_, err := sysrq.ParseSteps([]string{word}, nil, "")
		fmt.Println(err)
	}
	_, err := sysrq.ParseSteps(nil, nil, "")
	fmt.Println(errors.Is(err, sysrq.ErrNothingToDo))
	// Output:
	// "lmw" is not a key, a command or a sequence: _lmw?
	// "resiub" is not a key, a command or a sequence: reisub, reisuo?
	// "show-all" may be several commands: show-all-locks, show-all-timers?
	// true
}

func ExampleMask() {
	debian, err := sysrq.ParseMask("438\n") // as read from kernel.sysrq
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(debian)
	for _, k := range []sysrq.Key{'s', 'e', 'q'} {
		c := sysrq.ForKeyOn(k, "amd64")
		fmt.Printf("%s: keyboard %-5v  trigger file %v  enough: %s\n", c.Name,
			debian.Permits(c, sysrq.DoorKeyboard), debian.Permits(c, sysrq.DoorTrigger), debian.With(c))
	}
	// Output:
	// 438 (log, keyboard, sync, remount, boot, rtnice)
	// sync: keyboard true   trigger file true  enough: 438 (log, keyboard, sync, remount, boot, rtnice)
	// terminate-all-tasks: keyboard false  trigger file true  enough: 502 (log, keyboard, sync, remount, signal, boot, rtnice)
	// show-all-timers: keyboard false  trigger file true  enough: 1 (everything)
}
