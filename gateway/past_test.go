package gateway_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// withPast has an aggregate whose owner was named three times.
func withPast(t *testing.T) *fixture {
	t.Helper()
	f := setup(t)
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.history.past = func(m gateway.Moment) (gateway.PastState, error) {
		v := m.Version
		if v == gateway.AnyVersion {
			v = 3
		}
		if !m.Time.IsZero() {
			until := actor.Version(0)
			for ; until < 3 && !m.Time.Before(begin.Add(time.Duration(until)*time.Second)); until++ { //nolint:gosec // small
			}
			v = min(v, until)
		}
		switch {
		case v == 0:
			return gateway.PastState{}, nil
		case v > 50_000:
			return gateway.PastState{}, &gateway.NoVersionError{Version: v}
		case v > 10_000:
			return gateway.PastState{}, &gateway.ReplayError{Max: 10_000}
		}
		state := json.RawMessage(`{"owner":"o` + strconv.Itoa(int(v)) + `","big":9007199254740993,"list":[1,2],"n":null}`) //nolint:gosec // small
		return gateway.PastState{State: state, Version: v}, nil
	}
	return f
}

func TestState_OfThePast(t *testing.T) {
	t.Parallel()
	f := withPast(t)
	second := `{"version":2,"state":{"owner":"o2","big":9007199254740993,"list":[1,2],"n":null}}`
	a := f.do(t, "GET", "/v1/account/a?version=2", "")
	a.is(t, 200, second)
	if a.Header.Get("ETag") != `"2"` {
		t.Errorf("ETag %s", a.Header.Get("ETag"))
	}
	if b := f.do(t, "GET", "/v1/account/a?version=2", "", `If-None-Match: "1", W/"2"`); b.StatusCode != http.StatusNotModified {
		t.Errorf("got %d", b.StatusCode)
	}
	for _, at := range []string{"2026-01-02T03:04:06Z", "2026-01-02T03:04:06.999999Z", "2026-01-02T04:04:06%2B01:00", "2026-01-02T03:04:06.000Z"} {
		f.do(t, "GET", "/v1/account/a?at="+at, "").is(t, 200, second)
	}
	f.do(t, "GET", "/v1/account/a?version=3&at=2026-01-02T03:04:06Z&consistency=local", "").is(t, 200, second)
	f.do(t, "GET", "/v1/account/a?version=2&at=2026-02-02T03:04:06Z", "").is(t, 200, second)
	f.do(t, "GET", "/v1/account/a?at=9999-12-31T23:59:59Z", "").is(t, 200, `{"version":3,"state":{"owner":"o3","big":9007199254740993,"list":[1,2],"n":null}}`)
	f.do(t, "GET", "/v1/account/a?at=2025-12-31T23:59:60Z", "").fails(t, 404, actor.CodeDoesNotExist)
	f.do(t, "GET", "/v1/account/a?at=2026-01-31T23:59:60.5Z&version=2", "").is(t, 200, second)
	f.do(t, "GET", "/v1/account/a?at=2026-01-02T03:04:04Z", "").fails(t, 404, actor.CodeDoesNotExist)
	f.do(t, "GET", "/v1/account/a?at=0001-01-01T00:00:00Z", "").fails(t, 404, actor.CodeDoesNotExist)
	f.do(t, "GET", "/v1/account/a?version=0", "").fails(t, 404, actor.CodeDoesNotExist)
	f.do(t, "GET", "/v1/account/a?version=50001", "").fails(t, 404, "no_such_version")
	f.do(t, "GET", "/v1/account/a?version=20000", "").fails(t, 422, "replay_too_long")
	f.do(t, "GET", "/v1/account/a?version=2", "", `If-Match: "3"`).fails(t, 412, actor.CodeVersionMismatch)
	if sent := f.client.sent(); len(sent) > 0 {
		t.Errorf("the owner was asked: %v", sent)
	}
	f.history.fail(&actor.Error{Code: actor.CodeUnloadable, Detail: "event x.v9"})
	f.do(t, "GET", "/v1/account/a?version=2", "").fails(t, 500, actor.CodeUnloadable)
}

func TestState_OfThePast_Malformed(t *testing.T) {
	t.Parallel()
	f := withPast(t)
	for _, query := range []string{
		"version=", "version=-1", "version=x", "version=1.5", "version=9223372036854775808", "version=1&version=1", "version=%ff",
		"at=", "at=now", "at=2026-01-02", "at=2026-13-02T03:04:06Z", "at=2026-01-02T03:04:06", "at=2026-01-02T03:04:06+01:00", "at=1&at=2", "version=1&at=", "version=1&consistency=",
	} {
		f.do(t, "GET", "/v1/account/a?"+query, "").fails(t, 400, actor.CodeMalformed)
	}
	for _, query := range []string{"from=", "fromAt=", "from=-1", "from=1&from=2", "from=1&fromAt=", "from=1&version=", "from=1&at=yesterday"} {
		f.do(t, "GET", "/v1/account/a/diff?"+query, "").fails(t, 400, actor.CodeMalformed)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	f := withPast(t)
	changed := func(from, to int) string {
		return `{"from":` + strconv.Itoa(from) + `,"version":` + strconv.Itoa(to) + `,"patch":[{"value":"o` + strconv.Itoa(to) + `","op":"replace","path":"/owner"}]}`
	}
	a := f.do(t, "GET", "/v1/account/a/diff?from=1&version=2", "")
	a.is(t, 200, changed(1, 2))
	if b := f.do(t, "GET", "/v1/account/a/diff?from=1&version=2", "", "If-None-Match: "+a.Header.Get("ETag")); b.StatusCode != http.StatusNotModified {
		t.Errorf("got %d", b.StatusCode)
	}
	f.do(t, "GET", "/v1/account/a/diff?from=3&version=1", "").is(t, 200, changed(3, 1))
	f.do(t, "GET", "/v1/account/a/diff?from=1", "").is(t, 200, changed(1, 3))
	f.do(t, "GET", "/v1/account/a/diff?fromAt=2026-01-02T03:04:05Z&at=2026-01-02T03:04:06Z", "").is(t, 200, changed(1, 2))
	f.do(t, "GET", "/v1/account/a/diff?from=2&version=2", "").is(t, 200, `{"from":2,"version":2,"patch":[]}`)
	f.do(t, "GET", "/v1/account/a/diff?version=1", "").is(t, 200,
		`{"from":0,"version":1,"patch":[{"value":{"big":9007199254740993,"list":[1,2],"n":null,"owner":"o1"},"op":"add","path":""}]}`)
	f.do(t, "GET", "/v1/account/a/diff?from=0&version=0", "").fails(t, 404, actor.CodeDoesNotExist)
	f.do(t, "GET", "/v1/account/a/diff?from=1&version=60000", "").fails(t, 404, "no_such_version")
	f.do(t, "GET", "/v1/account/a/diff?from=20000", "").fails(t, 422, "replay_too_long")
	f.do(t, "POST", "/v1/account/a/diff", "").fails(t, 405, "method_not_allowed")
	f.history.fail(errors.New("down"))
	f.do(t, "GET", "/v1/account/a/diff?from=1", "").fails(t, 503, "unavailable")
}
