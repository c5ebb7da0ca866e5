package node

import (
	"fmt"
	"log/slog"
)

// serverLog takes what the embedded server says. Its notices are many and tell of
// its inner life.
type serverLog struct{ to *slog.Logger }

// Noticef implements [server.Logger].
func (l serverLog) Noticef(format string, v ...any) {
	l.to.Debug("nats server", slog.String("says", fmt.Sprintf(format, v...)))
}

// Warnf implements [server.Logger].
func (l serverLog) Warnf(format string, v ...any) {
	l.to.Warn("nats server", slog.String("says", fmt.Sprintf(format, v...)))
}

// Errorf implements [server.Logger].
func (l serverLog) Errorf(format string, v ...any) {
	l.to.Warn("nats server", slog.String("says", fmt.Sprintf(format, v...)))
}

// Fatalf implements [server.Logger].
func (l serverLog) Fatalf(format string, v ...any) {
	l.to.Error("nats server", slog.String("says", fmt.Sprintf(format, v...)))
}

// Debugf implements [server.Logger].
func (l serverLog) Debugf(string, ...any) {}

// Tracef implements [server.Logger].
func (l serverLog) Tracef(string, ...any) {}
