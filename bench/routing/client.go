package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

const requestTimeout = 30 * time.Second

// client drives any of the ways through the balancer. It sends no
// Idempotency-Key, with which the transport would repeat requests unseen.
type client struct {
	base  string // of the balancer
	query string
	http  *http.Client
}

func newClient(base, query string, inFlight int) *client {
	return &client{base: base, query: query, http: &http.Client{Transport: newTransport(inFlight)}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// fate is what became of a command, as its sender sees it.
type fate int

const (
	acknowledged fate = iota
	gaveUp            // not executed: every attempt of the server met a conflict
	refused           // not executed, for another reason
	unknown           // may or may not have been executed
)

type answer struct {
	Version int64           `json:"version"`
	State   json.RawMessage `json:"state"`
}

// deposit sends one command and returns the version that it led to. err says why
// it was not acknowledged.
func (c *client) deposit(ctx context.Context, id string, amount int64) (version int64, _ fate, err error) {
	body, err := json.Marshal(unrouted.Deposit{Amount: amount, Note: note})
	if err != nil {
		return 0, refused, err
	}
	status, a, err := c.do(ctx, http.MethodPost, c.url(id)+"/deposit"+c.query, body)
	f := fateOf(status, err)
	if f != acknowledged && err == nil {
		err = fmt.Errorf("status %d", status)
	}
	return a.Version, f, err
}

const note = "sixty characters of remark, as a small business event has them"

// fateOf judges an answer to a command. Everything that is not known to say "not
// executed" is unknown.
func fateOf(status int, err error) fate {
	switch {
	case err != nil:
		return unknown
	case status == http.StatusOK:
		return acknowledged
	case status == http.StatusConflict:
		return gaveUp
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests, status == http.StatusBadRequest, status == http.StatusNotFound:
		return refused
	default:
		return unknown
	}
}

// read returns the aggregate's version and balance; 0 when it has no history.
func (c *client) read(ctx context.Context, id string) (version, balance int64, err error) {
	status, a, err := c.do(ctx, http.MethodGet, c.url(id), nil)
	switch {
	case err != nil:
		return 0, 0, err
	case status == http.StatusNotFound:
		return 0, 0, nil
	case status != http.StatusOK:
		return 0, 0, fmt.Errorf("read: status %d", status)
	}
	var state struct {
		Balance int64 `json:"balance"`
	}
	if err := json.Unmarshal(a.State, &state); err != nil {
		return 0, 0, fmt.Errorf("read: %w", err)
	}
	return a.Version, state.Balance, nil
}

func (c *client) url(id string) string { return c.base + "/v1/" + unrouted.Kind + "/" + id }

func (c *client) do(ctx context.Context, method, url string, body []byte) (status int, a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, a, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, a, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, a, err
	}
	if resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(data, &a)
	}
	return resp.StatusCode, a, err
}
