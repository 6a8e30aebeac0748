package guest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// serve answers on the control channel, each op in its own time, until the
// channel breaks: it returns why.
func (g *guest) serve() error {
	tty, err := os.OpenFile(g.plan.Control, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	if err := makeRaw(int(tty.Fd())); err != nil {
		return fmt.Errorf("set up %s: %w", g.plan.Control, err)
	}
	var mu sync.Mutex
	answer := func(r Reply) {
		line, _ := json.Marshal(r)
		mu.Lock()
		defer mu.Unlock()
		_, _ = tty.Write(append(line, '\n'))
	}
	_, _ = tty.WriteString("\n") // ends whatever a last boot left unfinished
	answer(Reply{Boot: &g.boot})
	lines := bufio.NewReaderSize(tty, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		var op Op
		if err := json.Unmarshal(line, &op); err != nil {
			if len(line) > 1 {
				answer(Reply{Error: "bad request: " + err.Error()})
			}
			continue
		}
		go func() {
			r := g.do(op)
			answer(r)
		}()
	}
}

func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB | unix.CRTSCTS
	t.Cflag |= unix.CS8 | unix.CLOCAL | unix.CREAD
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// say prints one line on the console. It goes through the kernel's log: a
// record is the only thing that other output never splits.
func (g *guest) say(text string) {
	defer loudEnough()()
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	// Without the newline the record stays open, and unseen, until the next.
	_, _ = f.WriteString("<1>" + Says + text + "\n")
}

// sayReply prints a reply in pieces.
func (g *guest) sayReply(r Reply) {
	for _, p := range Pieces(g.boot.ID, r) {
		g.say(p.String())
	}
}

// loudEnough raises the console's log level to where our lines are seen, and
// returns what puts it back.
func loudEnough() func() {
	if level, err := consoleLevel(); err == nil && level < 2 {
		if setConsoleLevel(2) == nil {
			return func() { _ = setConsoleLevel(level) }
		}
	}
	return func() {}
}

const printk = "/proc/sys/kernel/printk"

func consoleLevel() (int, error) {
	data, err := os.ReadFile(printk)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(data), "\t")
	return strconv.Atoi(first)
}

func setConsoleLevel(n int) error {
	return os.WriteFile(printk, []byte(strconv.Itoa(n)), 0)
}
