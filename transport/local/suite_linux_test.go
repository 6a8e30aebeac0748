package local

import (
	"net/url"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/sysrq/sysrq/transport/transporttest"
)

// TestTransport holds the keys' half to the contract of all transports. The
// suite speaks as a console does, not as /dev/kmsg, so the path is deaf here;
// what it hears is tested beside.
func TestTransport(t *testing.T) {
	transporttest.Run(t, transporttest.Suite{
		Factory: Factory(),
		Bad:     []string{"local://host", "local:/etc", "local:?proc=relative", "local:?kmsg="},
		Start: func(t *testing.T) (string, transporttest.Machine) {
			dir := t.TempDir()
			if err := syscall.Mkfifo(dir+"/sysrq-trigger", 0o600); err != nil {
				t.Skip(err)
			}
			fifo, err := os.OpenFile(dir+"/sysrq-trigger", os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			// The other end has to be there before the first read.
			hold, err := os.OpenFile(dir+"/sysrq-trigger", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			var (
				mu   sync.Mutex
				keys []byte
				done = make(chan struct{})
			)
			go func() {
				defer close(done)
				buf := make([]byte, 64)
				for {
					n, err := fifo.Read(buf)
					mu.Lock()
					keys = append(keys, buf[:n]...)
					mu.Unlock()
					if err != nil {
						return
					}
				}
			}()
			stop := sync.OnceFunc(func() { fifo.Close(); hold.Close(); <-done })
			t.Cleanup(stop)
			return (&url.URL{Scheme: "local", RawQuery: url.Values{"proc": {dir}, "kmsg": {dir + "/none"}}.Encode()}).String(),
				transporttest.Machine{
					Received: func() []byte { mu.Lock(); defer mu.Unlock(); return append([]byte(nil), keys...) },
					Hangup:   stop,
				}
		},
	})
}
