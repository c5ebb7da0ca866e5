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
		starts  time.Duration // for which it reads what it has stored
		listens time.Duration // after its begin
		fatal   string
		want    string
	}{
		"at once":           {},
		"late":              {listens: 20 * time.Second},
		"never":             {listens: time.Hour, want: "ended its start"},
		"reads for an hour": {starts: time.Hour, listens: time.Hour + time.Second},
		"it cannot":         {listens: time.Hour, fatal: "address in use", want: "address in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				e := &embedded{
					log: &serverLog{to: slog.New(slog.DiscardHandler)},
					progress: newProgress(func() (uint64, bool) {
						return uint64(time.Since(begin) / time.Minute * startStep), true //nolint:gosec // hours
					}),
				}
				e.log.begin(false)
				if c.fatal != "" {
					e.log.Fatalf("%s", c.fatal)
				}
				started := make(chan struct{})
				time.AfterFunc(c.starts, func() { close(started) })
				err := e.awaitReady(t.Context(), lateListener{begin.Add(c.listens)}, started)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%v, want %q", err, c.want)
				}
				if took := time.Since(begin); took > c.starts+time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
