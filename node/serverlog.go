package node

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog takes what the embedded server says. Its notices are many and tell of
// its inner life. A server that nobody else reaches is quiet: its warnings are kept,
// and told when they explain something.
type serverLog struct {
	to *slog.Logger

	mu      sync.Mutex
	loud    bool
	said    uint64
	latest  string
	warning string // the newest
	refusal string // the newest that is of trust between servers
	died    string // why it cannot start
}

// begin is for a new server.
func (l *serverLog) begin(loud bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loud, l.latest, l.warning, l.refusal, l.died = loud, "", "", "", ""
}

// lines is how much the server has said.
func (l *serverLog) lines() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said
}

// last is what the server has said last.
func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// warned is the newest warning.
func (l *serverLog) warned() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.warning
}

// refused is the newest word of this server on another one that it, or that one, does
// not trust.
func (l *serverLog) refused() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal
}

// speaksOfTrust reports whether a warning of the server tells of certificates or secrets:
// nats-server has nothing but the text.
func speaksOfTrust(text string) bool {
	for _, word := range []string{"TLS", "tls:", "x509:", "uthentication", "uthorization"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// fatal is why the server cannot start, or empty.
func (l *serverLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died
}

// note keeps a line and reports whether it is to be logged.
func (l *serverLog) note(text string, warning bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said++
	l.latest = text
	if warning {
		l.warning = text
		if speaksOfTrust(text) {
			l.refusal = text
		}
	}
	return l.loud
}

// Noticef implements [server.Logger].
func (l *serverLog) Noticef(format string, v ...any) {
	if text := fmt.Sprintf(format, v...); l.note(text, false) {
		l.to.Debug("nats server", slog.String("says", text))
	}
}

// Warnf implements [server.Logger].
func (l *serverLog) Warnf(format string, v ...any) {
	if text := fmt.Sprintf(format, v...); l.note(text, true) {
		l.to.Warn("nats server", slog.String("says", text))
	}
}

// Errorf implements [server.Logger]. Errors are logged of a quiet server, too.
func (l *serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.note(text, true)
	l.to.Warn("nats server", slog.String("says", text))
}

// Fatalf implements [server.Logger]. The server does not go on after it, and whoever
// started it returns the text.
func (l *serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.note(text, true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.died == "" {
		l.died = text
	}
}

// Debugf implements [server.Logger].
func (l *serverLog) Debugf(string, ...any) {}

// Tracef implements [server.Logger].
func (l *serverLog) Tracef(string, ...any) {}
