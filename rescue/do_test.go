package rescue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sysrq/sysrq"
)

// stuck is a transport that syncs by itself, and can tell only at the deadline
// what does not answer.
type stuck struct{ *kernel }

func (stuck) Does(k sysrq.Key) bool { return k == 's' }

func (stuck) Do(ctx context.Context, _ sysrq.Key, say func(string)) (sysrq.Outcome, error) {
	<-ctx.Done()
	for i := range 20 {
		say(fmt.Sprintf("/mnt%d is stuck", i))
	}
	return sysrq.Timeout, nil
}

// TestLastSaidIsKept: names of stuck file systems come when time is over, and
// must not be lost with it.
func TestLastSaidIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps, err := sysrq.ParseSteps([]string{"s"}, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		for ev := range Run(t.Context(), stuck{newKernel()}, steps, Options{Timeout: time.Second}) {
			if ev.Type == sysrq.EventOutcome && (ev.Outcome != sysrq.Timeout || len(ev.Evidence) != 20) {
				t.Errorf("%s, %d of 20 lines were kept: %v", ev.Outcome, len(ev.Evidence), ev.Evidence)
			}
		}
	})
}
