package node

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// lateListener is a server that listens some time after its start is over.
type lateListener struct{ at time.Time }

// ReadyForConnections implements listening.
func (l lateListener) ReadyForConnections(d time.Duration) bool {
	time.Sleep(min(d, max(0, time.Until(l.at))))
	return !time.Now().Before(l.at)
}

// TestEmbedded_AwaitReady: a start that is over is no failure while the listener for other
// servers is still being opened, and one that never listens fails in bounded time.
func TestEmbedded_AwaitReady(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listens time.Duration
		fatal   string
		want    string
	}{
		"at once":   {},
		"late":      {listens: 20 * time.Second},
		"never":     {listens: time.Hour, want: "ended its start"},
		"it cannot": {listens: time.Hour, fatal: "address in use", want: "address in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := &embedded{
					log:      &serverLog{to: slog.New(slog.DiscardHandler)},
					progress: newProgress(func() (uint64, bool) { return 0, true }),
				}
				e.log.begin(false)
				if c.fatal != "" {
					e.log.Fatalf("%s", c.fatal)
				}
				started := make(chan struct{})
				close(started)
				begin := time.Now()
				err := e.awaitReady(t.Context(), lateListener{begin.Add(c.listens)}, started)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%v, want %q", err, c.want)
				}
				if took := time.Since(begin); took > time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
