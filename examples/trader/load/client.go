package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	bodyMax      = 64 << 20
	backoffFirst = 20 * time.Millisecond
	backoffMax   = time.Second
)

// RefusalError is a decided "no": a rejection, a creation policy, a malformed request.
type RefusalError struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error returns the status, the code and the detail.
func (r *RefusalError) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// errUndecided is what stays when the time to find out an outcome is over.
var errUndecided = errors.New("the outcome stayed unknown")

// Client speaks the gateway's HTTP. It counts every attempt at a command
// itself; a read may be resent by the transport, which does no harm.
type Client struct {
	bases    []string
	turn     atomic.Uint64 // chooses the node of the next command or read
	http     *http.Client
	lane     string
	within   time.Duration
	recorder *Recorder
	watch    Watch
}

// NewClient returns a client of the nodes at cfg.URLs, of which each has its turn. An
// attempt without an answer that stands is followed by one at the next node, under the
// same key. It keeps up to cfg.Clients connections open to each.
func NewClient(cfg Config, recorder *Recorder) *Client {
	transport := &http.Transport{MaxIdleConns: cfg.Clients * len(cfg.URLs), MaxIdleConnsPerHost: cfg.Clients, IdleConnTimeout: time.Minute}
	return &Client{
		bases:    cfg.URLs,
		http:     &http.Client{Transport: transport, Timeout: cfg.RequestTimeout},
		lane:     cfg.Lane,
		within:   cfg.ResolveWithin,
		recorder: recorder,
		watch:    cfg.Watch,
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Result is the answer to a command that was carried out.
type Result struct {
	Version actor.Version   `json:"version"`
	Reply   json.RawMessage `json:"reply"`
}

// Command brings a command to an outcome, with as many attempts under one key
// as it takes. A decided "no" is a [*RefusalError].
func (c *Client) Command(ctx context.Context, to actor.Address, key actor.CommandID, name string, command any) (Result, error) {
	data, err := json.Marshal(command)
	if err != nil {
		return Result{}, fmt.Errorf("encode %s: %w", name, err)
	}
	var result Result
	ended := c.watch.begin(to, key, name, command)
	err = c.resolve(ctx, func(base string) (*http.Request, error) {
		// Not NewRequest: GetBody must stay nil. With it, the transport resends
		// a POST with an Idempotency-Key on its own when a connection breaks.
		return newRequest(ctx, http.MethodPost, base+path(to, name), data, http.Header{
			"Content-Type":    {"application/json"},
			"Idempotency-Key": {string(key)},
			"Ganglion-Lane":   {c.lane},
		})
	}, &result)
	ended(result, err)
	return result, err
}

// State reads an aggregate's state, linearizable with its commands.
func (c *Client) State(ctx context.Context, of actor.Address, state any) error {
	result := struct{ State any }{State: state}
	return c.get(ctx, path(of), &result)
}

// Version returns that of an aggregate's state.
func (c *Client) Version(ctx context.Context, of actor.Address) (actor.Version, error) {
	var result struct {
		Version actor.Version `json:"version"`
	}
	err := c.get(ctx, path(of), &result)
	return result.Version, err
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.resolve(ctx, func(base string) (*http.Request, error) {
		return newRequest(ctx, http.MethodGet, base+path, nil, http.Header{})
	}, into)
}

func path(of actor.Address, rest ...string) string {
	parts := append([]string{string(of.Kind), of.ID}, rest...)
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return "/v1/" + strings.Join(parts, "/")
}

func newRequest(ctx context.Context, method, target string, data []byte, header http.Header) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	r.GetBody = nil
	r.Header = header
	return r, nil
}

// resolve makes attempts, each at the next node, until one has an answer that stands.
func (c *Client) resolve(ctx context.Context, request func(base string) (*http.Request, error), into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.within, errUndecided)
	defer cancel()
	backoff := backoffFirst
	for turn := c.turn.Add(1); ; turn++ {
		r, err := request(c.bases[turn%uint64(len(c.bases))])
		if err != nil {
			return err
		}
		wait, err := c.attempt(r.WithContext(ctx), into)
		if err == nil || wait == final {
			return err
		}
		c.recorder.retry()
		pause := time.NewTimer(max(backoff, wait))
		select {
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-pause.C:
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// final instead of a pause says that another attempt would change nothing.
const final time.Duration = -1

// attempt makes one attempt. Beside an error it returns how long to wait at
// least before the next.
func (c *Client) attempt(r *http.Request, into any) (wait time.Duration, err error) {
	began := time.Now()
	response, err := c.http.Do(r)
	if err != nil {
		c.recorder.attempt(r.Method, time.Since(began), "transport error")
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyMax))
	if err != nil {
		c.recorder.attempt(r.Method, time.Since(began), "transport error")
		return 0, err
	}
	if response.StatusCode == http.StatusOK {
		c.recorder.attempt(r.Method, time.Since(began), "")
		if err := json.Unmarshal(body, into); err != nil {
			return final, fmt.Errorf("answer %q: %w", shortened(body), err)
		}
		return 0, nil
	}
	refusal := &RefusalError{}
	if err := json.Unmarshal(body, refusal); err != nil || refusal.Code == "" {
		refusal.Detail = "no problem document: " + shortened(body)
	}
	refusal.Status = response.StatusCode
	c.recorder.attempt(r.Method, time.Since(began), refusal.failure())
	switch refusal.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil || seconds < 0 {
			return 0, refusal
		}
		return time.Duration(min(seconds, 5)) * time.Second, refusal
	default:
		return final, refusal
	}
}

// failure is what a report has of a refusal.
func (r *RefusalError) failure() string { return fmt.Sprintf("%d %s", r.Status, r.Code) }

func shortened(body []byte) string {
	const length = 200
	if len(body) > length {
		return string(body[:length]) + "..."
	}
	return string(body)
}
