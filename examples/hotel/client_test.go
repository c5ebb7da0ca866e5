package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	attemptWithin = 5 * time.Second
	answerWithin  = 2 * time.Minute // for a request, with all its attempts
	retryPause    = 50 * time.Millisecond
	connections   = 64
)

// client sends requests to the nodes of the hotel, and again, to the next node, until there
// is an answer that stands. It is safe for concurrent use.
type client struct {
	nodes    []string // base URLs
	http     *http.Client
	turn     atomic.Uint64
	attempts atomic.Int64
	requests atomic.Int64
}

func newClient(nodes ...string) *client {
	return &client{nodes: nodes, http: &http.Client{Timeout: attemptWithin, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
}

// request is sent as it is by every attempt.
type request struct {
	method, path, token string
	header              http.Header // more of it
	body                any
}

type answer struct {
	status int
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.body) }

// passing are the answers after which a client tries again.
var passing = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// errNoAnswer is that of a request that nobody has answered in time.
var errNoAnswer = errors.New("no answer that stands")

// ask returns the answer that stands.
func (c *client) ask(ctx context.Context, r request) (answer, error) {
	return c.askFrom(ctx, c.turn.Add(1), r)
}

// askFrom is ask whose first attempt is at a certain node.
func (c *client) askFrom(ctx context.Context, turn uint64, r request) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, errNoAnswer)
	defer cancel()
	c.requests.Add(1)
	body, err := json.Marshal(r.body)
	if err != nil {
		return answer{}, err
	}
	for ; ; turn++ {
		a, err := c.attempt(ctx, c.nodes[turn%uint64(len(c.nodes))], &r, body)
		if err == nil && !slices.Contains(passing, a.status) {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, fmt.Errorf("%w to %s %s: the last attempt: %v, %w", context.Cause(ctx), r.method, r.path, a, err)
		case <-time.After(retryPause):
		}
	}
}

func (c *client) attempt(ctx context.Context, node string, r *request, body []byte) (answer, error) {
	c.attempts.Add(1)
	if r.body == nil {
		body = nil
	}
	q, err := http.NewRequestWithContext(ctx, r.method, node+r.path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	q.GetBody = nil // the transport would make attempts of its own
	if r.header != nil {
		q.Header = r.header.Clone()
	}
	q.Header.Set("Authorization", "Bearer "+r.token)
	response, err := c.http.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, text}, err
}

// read decodes what a GET is answered with.
func (c *client) read(ctx context.Context, token, path string, into any) error {
	a, err := c.ask(ctx, request{method: http.MethodGet, path: path, token: token})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("GET %s: %v: %w", path, a, errUnexpected)
	}
	return json.Unmarshal(a.body, into)
}

// errUnexpected is that of an answer that a correct hotel does not give.
var errUnexpected = errors.New("unexpected answer")

func number(n int) string { return strconv.Itoa(n) }
