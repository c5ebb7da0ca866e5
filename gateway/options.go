package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Headers of the gateway's own.
const (
	headerCommandID = "Ganglion-Command-Id"
	headerReplayed  = "Ganglion-Replayed"
	headerLane      = "Ganglion-Lane"
	headerTimeout   = "Ganglion-Timeout"
)

// maxTraceBytes bounds each header that is an id: a command's own, and those that go into
// its metadata.
const maxTraceBytes = actor.MaxCommandIDBytes

// options is what the headers and the query of a request ask for.
type options struct {
	id     actor.CommandID // empty: none was given
	expect actor.Expectation
	lane   actor.Lane

	contradiction bool // of the conditions: nothing meets them
	async         bool
	metadata      actor.Metadata
}

var errAsyncDirect = errors.New("the preference respond-async needs the durable lane")

// parseOptions reads the options of a command; a query has the same but for id,
// lane and preference.
func parseOptions(t actor.MessageType, p params) (o options, err error) {
	if o.expect, o.contradiction, err = parseExpectation(p); err != nil {
		return o, err
	}
	if o.metadata, err = parseMetadata(p); err != nil {
		return o, err
	}
	if t != actor.TypeCommand {
		o.lane = actor.LaneDirect
		return o, nil
	}
	if o.id, err = parseCommandID(p); err != nil {
		return o, err
	}
	if o.lane, err = parseLane(p); err != nil {
		return o, err
	}
	if o.async = prefersAsync(p.header); o.async && o.lane == actor.LaneDirect {
		return o, errAsyncDirect
	}
	return o, nil
}

func parseLane(p params) (actor.Lane, error) {
	value, err := p.ofEither(headerLane, "lane")
	switch {
	case err != nil:
		return 0, err
	case value == "" || value == "durable":
		return actor.LaneDurable, nil
	case value == "direct":
		return actor.LaneDirect, nil
	default:
		return 0, fmt.Errorf("lane %q is neither durable nor direct", value)
	}
}

func (c Config) parseTimeout(p params) (time.Duration, error) {
	value, err := p.ofEither(headerTimeout, "timeout")
	if err != nil || value == "" {
		return c.DefaultTimeout, err
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 || d > c.MaxTimeout {
		return 0, fmt.Errorf("timeout %q is not a duration, such as 500ms, above 0 and up to %v", value, c.MaxTimeout)
	}
	return d, nil
}

func parseCommandID(p params) (actor.CommandID, error) {
	id, err := shortHeader(p, "Idempotency-Key")
	return actor.CommandID(id), err
}

// shortHeader returns the value of a header that has at most so many bytes.
func shortHeader(p params, name string) (string, error) {
	value, err := p.ofHeader(name)
	if err == nil && len(value) > maxTraceBytes {
		return "", fmt.Errorf("%s of %d bytes, at most %d are allowed", name, len(value), maxTraceBytes)
	}
	return value, err
}

func parseMetadata(p params) (md actor.Metadata, err error) {
	if md.Correlation, err = shortHeader(p, "X-Correlation-Id"); err != nil {
		return md, err
	}
	if md.Causation, err = shortHeader(p, "X-Causation-Id"); err != nil {
		return md, err
	}
	if trace := p.header["Traceparent"]; len(trace) == 1 && isTraceparent(trace[0]) {
		md.Trace = trace[0]
	}
	return md, nil
}

// isTraceparent checks the form that W3C Trace Context gives the header:
// version, trace id, parent id and flags in lower-case hex, and in versions
// after 00 perhaps more.
func isTraceparent(s string) bool {
	if len(s) < 55 || len(s) > maxTraceBytes || len(s) > 55 && (s[:2] == "00" || s[55] != '-') || s[:2] == "ff" {
		return false
	}
	for i := range 55 {
		isDash := i == 2 || i == 35 || i == 52
		isHex := '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
		if isDash && s[i] != '-' || !isDash && !isHex {
			return false
		}
	}
	return strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != "" && isText(s)
}

// prefersAsync looks for the respond-async preference of RFC 7240.
func prefersAsync(h http.Header) bool {
	for member := range listed(h["Prefer"]) {
		token, _, _ := strings.Cut(member, ";")
		token, _, _ = strings.Cut(token, "=")
		if strings.EqualFold(strings.TrimSpace(token), "respond-async") {
			return true
		}
	}
	return false
}
