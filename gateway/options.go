package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/actor"
)

// Headers of the gateway's own.
const (
	headerCommandID = "Ganglion-Command-Id"
	headerReplayed  = "Ganglion-Replayed"
	headerLane      = "Ganglion-Lane"
	headerTimeout   = "Ganglion-Timeout"
)

// maxTraceBytes bounds each header that goes into a command's metadata.
const maxTraceBytes = 256

// options is what the headers and the query of a request ask for.
type options struct {
	id       actor.CommandID // empty: none was given
	expect   actor.Expectation
	lane     actor.Lane
	async    bool
	metadata actor.Metadata
}

var errAsyncDirect = errors.New("the preference respond-async needs the durable lane")

// parseOptions reads the options of a command; a query has the same but for id,
// lane and preference.
func parseOptions(t actor.MessageType, h http.Header, query url.Values) (o options, err error) {
	if o.expect, err = parseExpectation(h); err != nil {
		return o, err
	}
	if o.metadata, err = parseMetadata(h); err != nil {
		return o, err
	}
	if t != actor.TypeCommand {
		o.lane = actor.LaneDirect
		return o, nil
	}
	if o.id, err = parseCommandID(h); err != nil {
		return o, err
	}
	if o.lane, err = parseLane(h, query); err != nil {
		return o, err
	}
	if o.async = prefersAsync(h); o.async && o.lane == actor.LaneDirect {
		return o, errAsyncDirect
	}
	return o, nil
}

// single returns the one value that a header and a query parameter have
// together. A value given twice must be the same.
func single(h http.Header, header string, query url.Values, param string) (value string, given bool, err error) {
	for _, v := range append(append([]string{}, h[header]...), query[param]...) {
		v = strings.TrimSpace(v)
		if given && v != value {
			return "", true, fmt.Errorf("%s is given as %q and as %q", header, value, v)
		}
		value, given = v, true
	}
	return value, given, nil
}

func parseLane(h http.Header, query url.Values) (actor.Lane, error) {
	value, given, err := single(h, headerLane, query, "lane")
	switch {
	case err != nil:
		return 0, err
	case !given || value == "durable":
		return actor.LaneDurable, nil
	case value == "direct":
		return actor.LaneDirect, nil
	default:
		return 0, fmt.Errorf("lane %q is neither durable nor direct", value)
	}
}

func (c Config) parseTimeout(h http.Header, query url.Values) (time.Duration, error) {
	value, given, err := single(h, headerTimeout, query, "timeout")
	if err != nil || !given {
		return c.DefaultTimeout, err
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 || d > c.MaxTimeout {
		return 0, fmt.Errorf("timeout %q is not a duration, such as 500ms, above 0 and up to %v", value, c.MaxTimeout)
	}
	return d, nil
}

func parseCommandID(h http.Header) (actor.CommandID, error) {
	values := h["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("Idempotency-Key is given more than once")
	}
	id := strings.TrimSpace(values[0])
	if len(id) == 0 || len(id) > actor.MaxCommandIDBytes {
		return "", fmt.Errorf("Idempotency-Key of %d bytes, 1 to %d are allowed", len(id), actor.MaxCommandIDBytes)
	}
	if !isText(id) {
		return "", errors.New("Idempotency-Key has control characters or is not valid UTF-8")
	}
	return actor.CommandID(id), nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

func parseMetadata(h http.Header) (actor.Metadata, error) {
	md := actor.Metadata{Correlation: h.Get("X-Correlation-Id"), Causation: h.Get("X-Causation-Id")}
	if len(md.Correlation) > maxTraceBytes || !isText(md.Correlation) {
		return md, fmt.Errorf("X-Correlation-ID must be text of at most %d bytes", maxTraceBytes)
	}
	if len(md.Causation) > maxTraceBytes || !isText(md.Causation) {
		return md, fmt.Errorf("X-Causation-ID must be text of at most %d bytes", maxTraceBytes)
	}
	if trace := h["Traceparent"]; len(trace) == 1 && isTraceparent(trace[0]) {
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
