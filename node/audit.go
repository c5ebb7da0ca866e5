package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// auditedAnswer is the longest answer that is looked at for the log, in bytes.
const auditedAnswer = 64 << 10

// audited logs what an operator asks for, before it is done: what, who as far as their
// machine knows, from where, and the principal whose credentials they show, if they do. And it
// logs how that ended, as the operator was told.
func (n *Node) audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		log := n.cfg.Logger.With("method", r.Method, "action", r.URL.RequestURI(),
			"who", r.Header.Get(headerOperator), "from", r.RemoteAddr, "token", n.cfg.adminToken != "")
		switch by, err := n.identify(r); {
		case err != nil:
			log = log.With("principal", "", "credentials", n.cfg.hide.Error(err).Error())
		case by != "":
			log = log.With("principal", by)
			r = r.WithContext(context.WithValue(r.Context(), operatorKey{}, by))
		}
		done := n.acted.begins(r)
		log.InfoContext(r.Context(), "operator")
		begin, answer, ended := time.Now(), &answerKept{ResponseWriter: w, status: http.StatusOK}, false
		defer func(ctx context.Context) {
			done(answer, ended, time.Since(begin))
			if !ended { // a panic, which the server logs
				log.ErrorContext(ctx, "operator's action broke off", "took", time.Since(begin))
				return
			}
			log.LogAttrs(ctx, slog.LevelInfo, "operator's action ended", append(answer.outcome(), slog.Duration("took", time.Since(begin)))...)
		}(r.Context())
		next.ServeHTTP(answer, r)
		ended = true
	})
}

// answerKept remembers what is answered.
type answerKept struct {
	http.ResponseWriter
	status int
	body   []byte
}

// WriteHeader implements http.ResponseWriter.
func (a *answerKept) WriteHeader(status int) {
	if status >= http.StatusOK { // not one that is ahead of the answer
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answerKept) Write(p []byte) (int, error) {
	a.body = append(a.body, p[:min(len(p), auditedAnswer-len(a.body))]...)
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answerKept) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// wordOf says in a word how an action ended.
func wordOf(status int) string {
	switch {
	case status == http.StatusAccepted:
		return "accepted" // it goes on
	case status < http.StatusBadRequest:
		return "done"
	case status < http.StatusInternalServerError:
		return "refused"
	}
	return "failed"
}

// outcome is how the action ended: the status in a word, what was done, and what became of
// commands that were sent for it. Replies of aggregates are nothing for a log.
func (a *answerKept) outcome() []slog.Attr {
	attrs := []slog.Attr{slog.String("outcome", wordOf(a.status)), slog.Int("status", a.status)}
	var told struct {
		Code, Detail string
		Result       any           `json:"status"` // a number in a problem
		Outcome      *outcomeView  `json:"outcome"`
		Outcomes     []outcomeView `json:"outcomes"`
	}
	if json.Unmarshal(a.body, &told) != nil {
		return attrs
	}
	if result, ok := told.Result.(string); ok {
		attrs = append(attrs, slog.String("result", result))
	}
	if told.Code != "" {
		attrs = append(attrs, slog.String("code", told.Code), slog.String("detail", told.Detail))
	}
	if told.Outcome != nil {
		told.Outcomes = append(told.Outcomes, *told.Outcome)
	}
	commands := make([]string, len(told.Outcomes))
	for i, o := range told.Outcomes {
		commands[i] = fmt.Sprintf("%s, version %d", o.Code, o.Version)
		if o.Rejection != nil {
			commands[i] = fmt.Sprintf("%s (%s), version %d", o.Code, o.Rejection.Code, o.Version)
		}
	}
	if len(commands) > 0 {
		attrs = append(attrs, slog.Any("commands", commands))
	}
	return attrs
}
