package node

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/node/internal/dashboard"
)

const (
	actionsKept = 50
	actionText  = 300 // bytes of a text of one
)

// actionLog has what operators did here last, for the dashboard. The log of the node has all
// of it. The zero value is ready.
type actionLog struct {
	mu   sync.Mutex
	last []*dashboard.ActionRecord // oldest first
}

// begins notes an action, and returns what notes its end.
func (l *actionLog) begins(r *http.Request) (ends func(a *answerKept, ended bool, took time.Duration)) {
	principal, _ := r.Context().Value(operatorKey{}).(string)
	one := &dashboard.ActionRecord{
		At: time.Now(), Who: bounded(r.Header.Get(headerOperator)), Principal: bounded(principal),
		From: r.RemoteAddr, Action: bounded(r.Method + " " + r.URL.RequestURI()),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) >= actionsKept {
		l.last = slices.Delete(l.last, 0, len(l.last)-actionsKept+1)
	}
	l.last = append(l.last, one)
	return func(a *answerKept, ended bool, took time.Duration) {
		outcome, detail := "broke off", ""
		if ended {
			outcome, detail = wordOf(a.status), a.detail()
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		one.Outcome, one.Detail, one.Took = outcome, bounded(detail), took
	}
}

// newest returns what is kept, newest first.
func (l *actionLog) newest() []dashboard.ActionRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]dashboard.ActionRecord, 0, len(l.last))
	for _, one := range slices.Backward(l.last) {
		all = append(all, *one)
	}
	return all
}

// bounded cuts a text to what is shown of it. A rune that is cut becomes a mark as it is
// encoded.
func bounded(s string) string {
	if len(s) > actionText {
		return s[:actionText] + "…"
	}
	return s
}

// detail is what the answer says to people.
func (a *answerKept) detail() string {
	var told struct{ Detail string }
	if json.Unmarshal(a.body, &told) != nil {
		return ""
	}
	return told.Detail
}
