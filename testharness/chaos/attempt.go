package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// answerSlack is how long a client waits for an answer beyond the time that it
// has given the request: a paused node gives none.
const answerSlack = time.Second

// maxAnswerBytes bounds what a client reads.
const maxAnswerBytes = 16 << 20

// request is one attempt that is to be made.
type request struct {
	base    string
	node    int
	lane    string
	async   bool // 202 once the stream has the command
	timeout time.Duration
	target  actor.Address
	id      actor.CommandID
	call    Call
}

// send makes one attempt, exactly one: without GetBody, the transport cannot send
// a command again by itself, as it else does with one that has an
// Idempotency-Key. It does not end before its own time, whatever becomes of the
// caller: what was sent is to be on the record.
func (r *Recorder) send(q request) Attempt {
	a := Attempt{Node: q.node, Lane: q.lane, Async: q.async, Start: r.elapsed()}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), q.timeout+answerSlack)
	defer cancel()
	status, body, err := r.exchange(ctx, &q)
	a.End = r.elapsed()
	a.Status = status
	if err != nil {
		a.Error = err.Error()
		a.Fate = FateUnknown
		if errors.Is(err, syscall.ECONNREFUSED) {
			a.Fate = FateNotExecuted
		}
		return a
	}
	if err := a.judge(&q, body); err != nil {
		a.Error, a.Fate = err.Error(), FateUnknown
		r.complain("an answer that nobody may get: %s %s: status %d: %v: %.300s", q.target, q.call.Command, status, err, body)
	}
	return a
}

func (r *Recorder) exchange(ctx context.Context, q *request) (status int, body []byte, err error) {
	path := q.base + "/v1/" + string(q.target.Kind) + "/" + url.PathEscape(q.target.ID)
	method, payload := http.MethodGet, io.Reader(http.NoBody)
	if q.call.Command != "" {
		method, path, payload = http.MethodPost, path+"/"+q.call.Command, io.NopCloser(bytes.NewReader(q.call.Body))
	}
	req, err := http.NewRequestWithContext(ctx, method, path, payload)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Ganglion-Timeout", q.timeout.String())
	if q.call.Command != "" {
		req.GetBody, req.ContentLength = nil, int64(len(q.call.Body))
		req.Header.Set("Idempotency-Key", string(q.id))
		req.Header.Set("Ganglion-Lane", q.lane)
		if q.async {
			req.Header.Set("Prefer", "respond-async")
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	return resp.StatusCode, body, err
}

// judge finds out what an answer says. The error is for one that a healthy
// application never gets, whatever breaks around it.
func (a *Attempt) judge(q *request, body []byte) error {
	var ok struct {
		Version actor.Version   `json:"version"`
		Reply   json.RawMessage `json:"reply"`
		State   json.RawMessage `json:"state"`
	}
	var problem struct {
		Code    string        `json:"code"`
		Version actor.Version `json:"version"`
	}
	into := any(&problem)
	if a.Status == http.StatusOK {
		into = &ok
	}
	if err := json.Unmarshal(body, into); err != nil {
		return err
	}
	a.Code, a.Version = problem.Code, problem.Version
	switch a.Status {
	case http.StatusOK:
		a.Fate, a.Version, a.Answer = FateDone, ok.Version, ok.Reply
		if q.call.Command == "" {
			a.Answer = ok.State
		}
	case http.StatusAccepted:
		a.Fate = FateAccepted
	case http.StatusNotFound:
		if q.call.Command != "" || problem.Code != string(actor.CodeDoesNotExist) {
			return errors.New(problem.Code)
		}
		a.Fate = FateDone // there is no such aggregate yet
	case http.StatusUnprocessableEntity, http.StatusConflict, http.StatusPreconditionFailed:
		a.Fate = FateRefused
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout:
		a.Fate = FateNotExecuted
	case http.StatusGatewayTimeout:
		a.Fate = FateUnknown
	case http.StatusInternalServerError:
		if problem.Code != string(actor.CodeParked) {
			return fmt.Errorf("unexpected code %q", problem.Code)
		}
		a.Fate = FateUnknown // two processes were killed under its name: it is decided once somebody tries it again
	default:
		return fmt.Errorf("unexpected code %q", problem.Code)
	}
	return nil
}
