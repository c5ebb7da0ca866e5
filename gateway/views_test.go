package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

type balance struct {
	Cents int64 `json:"cents"`
}

// views are the views of a gateway: one, with a collection of documents in memory.
type views struct {
	mu       sync.Mutex
	docs     map[string]string
	err      error
	waits    []string
	watchers map[chan gateway.ViewChange]bool
	reads    int
}

func (v *views) Shown() []gateway.ViewInfo {
	return []gateway.ViewInfo{{Name: "balances", Collections: []gateway.CollectionInfo{
		{Name: "accounts", Type: reflect.TypeFor[balance]()}, {Name: "loose", Type: reflect.TypeFor[any]()},
	}}}
}

func (v *views) check(at gateway.Collection) error {
	switch {
	case v.err != nil:
		return v.err
	case at.View != "balances":
		return fmt.Errorf("%q: %w", at.View, gateway.ErrNoView)
	case at.Name != "accounts" && at.Name != "loose":
		return fmt.Errorf("%q: %w", at.Name, gateway.ErrNoCollection)
	}
	return nil
}

func (v *views) Documents(_ context.Context, at gateway.Collection, r gateway.ViewRange) (docs []gateway.Document, more bool, _ error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	if err := v.check(at); err != nil {
		return nil, false, err
	}
	keys := []string{}
	for key := range v.docs {
		if strings.HasPrefix(key, r.Prefix) && (r.After == "" || !r.Reverse && key > r.After || r.Reverse && key < r.After) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if r.Reverse {
		slices.Reverse(keys)
	}
	for _, key := range keys[:min(len(keys), r.Limit)] {
		docs = append(docs, gateway.Document{Key: key, Value: json.RawMessage(v.docs[key])})
	}
	return docs, len(keys) > r.Limit, nil
}

func (v *views) Document(_ context.Context, at gateway.Collection, key string) (json.RawMessage, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	value, found := v.docs[key]
	return json.RawMessage(value), found, v.check(at)
}

func (v *views) Wait(ctx context.Context, view string, source actor.Address, version actor.Version) error {
	v.mu.Lock()
	v.waits = append(v.waits, fmt.Sprintf("%s %s@%d", view, source, version))
	v.mu.Unlock()
	switch {
	case source.Kind == "ledger":
		return fmt.Errorf("wait: %w", gateway.ErrNotFollowed)
	case version > 100:
		<-ctx.Done()
		return fmt.Errorf("wait: %w", context.Cause(ctx))
	}
	return v.err
}

func (v *views) Watch(_ context.Context, at gateway.Collection, _ string) (<-chan gateway.ViewChange, func(), error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.check(at); err != nil {
		return nil, nil, err
	}
	ch := make(chan gateway.ViewChange, 100)
	ch <- gateway.ViewChange{Reset: true}
	if v.watchers == nil {
		v.watchers = map[chan gateway.ViewChange]bool{}
	}
	v.watchers[ch] = true
	return ch, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.watchers, ch)
	}, nil
}

// put writes documents, and deletes those without a value.
func (v *views) put(pairs ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.docs == nil {
		v.docs = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		if v.docs[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(v.docs, pairs[i])
		}
		for ch := range v.watchers {
			ch <- gateway.ViewChange{Key: pairs[i]}
		}
	}
}

func (v *views) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
	for ch := range v.watchers {
		ch <- gateway.ViewChange{Reset: true}
	}
}

func (v *views) count() (reads, watchers int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads, len(v.watchers)
}

func setupViews(t *testing.T) (*fixture, *views) {
	t.Helper()
	v := &views{}
	return setup(t, func(c *gateway.Config) { c.Views = v }), v
}

func TestViews_Pages(t *testing.T) {
	t.Parallel()
	f, v := setupViews(t)
	v.put("a", `{"cents":1}`, "a/1", `{"cents":2}`, "b", `{"cents":9007199254740993}`, "é", `null`)
	const base = "/v1/views/balances/accounts"
	f.do(t, "GET", base, "").is(t, 200, `{"documents":[{"key":"a","value":{"cents":1}},{"key":"a/1","value":{"cents":2}},{"key":"b","value":{"cents":9007199254740993}},{"key":"é","value":null}]}`)
	f.do(t, "GET", base+"?prefix=a&reverse=true", "").is(t, 200, `{"documents":[{"key":"a/1","value":{"cents":2}},{"key":"a","value":{"cents":1}}]}`)
	a := f.do(t, "GET", base+"?limit=1&after=a&reverse=false", "")
	a.is(t, 200, `{"documents":[{"key":"a/1","value":{"cents":2}}],"next":"a/1"}`)
	if link := a.Header.Get("Link"); link != `<?after=a%2F1&limit=1&reverse=false>; rel="next"` {
		t.Errorf("Link %s", link)
	}
	f.do(t, "GET", base+"?after=a/1&reverse=true", "").is(t, 200, `{"documents":[{"key":"a","value":{"cents":1}}]}`)
	f.do(t, "GET", "/v1/views/balances/loose?prefix=x", "").is(t, 200, `{"documents":[]}`)
	one := f.do(t, "GET", base+"/a%2F1", "")
	one.is(t, 200, `{"key":"a/1","value":{"cents":2}}`)
	for _, path := range []string{base, base + "/a%2F1"} {
		tag := f.do(t, "HEAD", path, "").Header.Get("ETag")
		if again := f.do(t, "GET", path, "", `If-None-Match: "x", W/`+tag); tag == "" || again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: ETag %s, then %d", path, tag, again.StatusCode)
		}
	}
	v.put("a/1", `{"cents":3}`)
	f.do(t, "GET", base+"/a%2F1", "", "If-None-Match: "+one.Header.Get("ETag")).is(t, 200, `{"key":"a/1","value":{"cents":3}}`)
}

func TestViews_ThatFail(t *testing.T) {
	t.Parallel()
	f, v := setupViews(t)
	const base = "/v1/views/balances/accounts"
	f.do(t, "GET", "/v1/views/nothing/accounts", "").fails(t, 404, "unknown_view")
	f.do(t, "GET", "/v1/views/nothing/accounts/a", "").fails(t, 404, "unknown_view")
	f.do(t, "GET", "/v1/views/balances/nothing", "").fails(t, 404, "unknown_collection")
	f.do(t, "GET", "/v1/views/balances/_checkpoints/00000", "").fails(t, 404, "unknown_collection")
	f.do(t, "GET", "/v1/views/balances/nothing", "", "Accept: text/event-stream").fails(t, 404, "unknown_collection")
	f.do(t, "GET", base+"/none", "").fails(t, 404, "no_such_document")
	for _, path := range []string{"/v1/views/", "/v1/views//accounts", base + "/", base + "/a/b"} {
		if a := f.do(t, "GET", path, ""); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if a := f.do(t, method, base, ""); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d %s", method, a.StatusCode, a.Header.Get("Allow"))
		}
	}
	for _, path := range []string{
		base + "/" + strings.Repeat("x", 1025), base + "/%ff", base + "?after=", base + "?prefix=", base + "?limit=", base + "?limit=1001", base + "?limit=-1", base + "?reverse=", base + "?reverse=yes", base + "?reverse=true&reverse=true",
		base + "?after=%ff", base + "?prefix=" + strings.Repeat("x", 1025), base + "?wait=", base + "/a?wait=", base + "?wait=account/a", base + "?wait=account/a@", base + "?wait=account/a@-1", base + "?wait=account/@1", base + "?wait=Account/a@1",
		base + "?wait=account/%ff@1", base + "?" + strings.Repeat("wait=account/a@1&", 17), base + "?timeout=",
	} {
		f.do(t, "GET", path, "").fails(t, 400, actor.CodeMalformed)
	}
	f.do(t, "GET", base+"?wait=ledger/l@1", "").fails(t, 404, "not_followed")
	v.fail(errors.New("mongodb://secret@host"))
	if p := f.do(t, "GET", base, "").fails(t, 503, "unavailable"); strings.Contains(p.Detail, "secret") {
		t.Errorf("got %+v", p)
	}
	without := setup(t)
	without.do(t, "GET", base, "").fails(t, 404, actor.CodeUnknownKind)
}

func TestViews_Wait(t *testing.T) {
	t.Parallel()
	f, v := setupViews(t)
	v.put("a", `1`)
	f.do(t, "GET", "/v1/views/balances/accounts/a?wait="+url.QueryEscape("account/a@b/c@41")+"&wait=account/d@1&wait=account/e@0", "").is(t, 200, `{"key":"a","value":1}`)
	if want := []string{"balances account/a@b/c@41", "balances account/d@1"}; !slices.Equal(v.waits, want) {
		t.Errorf("waited for %q, want %q", v.waits, want)
	}
	f.do(t, "GET", "/v1/views/balances/accounts/a?wait=account/a@101&timeout=20ms", "").fails(t, 404, "no_such_version")
	f.history.add(101)
	f.do(t, "GET", "/v1/views/balances/accounts/a?wait=account/a@101&timeout=20ms", "").fails(t, 504, "view_behind")
}

// TestViews_BesideAKindOfThatName: the aggregates of a kind "views" keep their paths.
func TestViews_BesideAKindOfThatName(t *testing.T) {
	t.Parallel()
	f, v := setupViews(t)
	v.put("a", `1`)
	kind := actor.Define("views", func(d *actor.Definition[account]) {
		actor.On(d, (*account).open, actor.NewOnly())
		actor.Query(d, (*account).statement)
		actor.Apply(d, (*account).opened)
	})
	g, err := gateway.New(f.client, []actor.Registrable{kind}, gateway.Config{History: f.history, Views: v})
	if err != nil {
		t.Fatal(err)
	}
	f.server.Config.Handler = g
	f.do(t, "GET", "/v1/views", "").is(t, 200, `{"ids":[]}`)
	f.do(t, "GET", "/v1/views/balances", "").is(t, 200, `{"version":41,"state":{"balance":5}}`)
	f.do(t, "POST", "/v1/views/balances/Open", "").is(t, 200, `{"version":41,"reply":{"balance":5}}`)
	f.do(t, "POST", "/v1/views/balances/queries/Statement", "").is(t, 200, `{"version":41,"reply":{"balance":5}}`)
	f.do(t, "GET", "/v1/views/balances/events", "").is(t, 200, `{"events":[],"next":0}`)
	f.do(t, "GET", "/v1/views/balances/accounts/a", "").is(t, 200, `{"key":"a","value":1}`)
}

func followView(t *testing.T, f *virtual, path string, headers ...string) *follower {
	t.Helper()
	return f.followPath(t, "/v1/views/balances/accounts"+path, headers...)
}

// without is expect for messages without their ids, of which it returns the last.
func (s *follower) without(t *testing.T, want ...string) (last string) {
	t.Helper()
	got, ended := s.now()
	kept := []string{}
	for _, line := range got {
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			last = id
			continue
		}
		kept = append(kept, line)
	}
	if !slices.Equal(kept, append([]string{}, want...)) || ended {
		t.Fatalf("got %q, want %q; ended %v", kept, want, ended)
	}
	return last
}

func put(key, value string) []string {
	return []string{"event: put", fmt.Sprintf(`data: {"key":%q,"value":%s}`, key, value)}
}

func deleted(key string) []string {
	return []string{"event: delete", fmt.Sprintf(`data: {"key":%q}`, key)}
}

func opening(messages ...[]string) []string {
	return append([]string{"retry: 1000", "event: reset", "data: {}"}, slices.Concat(messages...)...)
}

func setupVirtualViews(t *testing.T) (*virtual, *views) {
	t.Helper()
	v := &views{}
	return setupVirtual(t, func(c *gateway.Config) { c.Views = v }), v
}

// pause lets a stream look again.
func pause() { <-time.After(time.Second) }

func TestViewStream_Follows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, v := setupVirtualViews(t)
		v.put("a", `1`, "b", `2`)
		s := followView(t, f, "")
		first := s.without(t, opening(put("a", "1"), put("b", "2"))...)
		pause()
		v.put("b", `3`, "c", `4`, "a", ``)
		pause()
		// The first change is sent at once, those that follow it together.
		s.without(t, slices.Concat(put("b", "3"), deleted("a"), put("c", "4"))...)
		v.put("b", `3`) // as it is
		pause()
		s.without(t)
		v.put("a", `1`, "b", `2`, "c", ``)
		pause()
		if last := s.without(t, slices.Concat(put("a", "1"), put("b", "2"), deleted("c"))...); last != first {
			t.Errorf("the id of the same documents is %s and %s", first, last)
		}
		reads, _ := v.count()
		<-time.After(time.Minute)
		s.without(t, ": keep-alive", ": keep-alive", ": keep-alive", ": keep-alive")
		if now, _ := v.count(); now != reads {
			t.Errorf("%d reads while nothing happened", now-reads)
		}
	})
}

func TestViewStream_Resumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, v := setupVirtualViews(t)
		empty := followView(t, f, "").without(t, opening()...)
		v.put("a", `1`)
		followView(t, f, "", "Last-Event-ID: "+empty).without(t, opening(put("a", "1"))...)
		last := followView(t, f, "", "Last-Event-ID: x").without(t, opening(put("a", "1"))...)
		s := followView(t, f, "", "Last-Event-ID: "+last)
		s.without(t, "retry: 1000")
		pause()
		v.put("a", `2`)
		pause()
		s.without(t, put("a", "2")...)
	})
}

// TestViewStream_OfAPage: documents that come into a page, or fall out of it.
func TestViewStream_OfAPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, v := setupVirtualViews(t)
		v.put("k1", `1`, "k3", `3`, "x", `0`)
		s := followView(t, f, "?prefix=k&after=k0&limit=2")
		s.without(t, opening(put("k1", "1"), put("k3", "3"))...)
		back := followView(t, f, "?reverse=true&limit=1&after=k4")
		back.without(t, opening(put("k3", "3"))...)
		pause()
		v.put("k2", `2`)
		pause()
		s.without(t, slices.Concat(deleted("k3"), put("k2", "2"))...)
		back.without(t)
		v.put("k1", ``)
		pause()
		s.without(t, slices.Concat(deleted("k1"), put("k3", "3"))...)
		v.put("k0", `0`, "k4", `4`)
		pause()
		s.without(t)
		back.without(t)
		v.put("k3", ``)
		pause()
		s.without(t, slices.Concat(deleted("k3"), put("k4", "4"))...)
		back.without(t, slices.Concat(deleted("k3"), put("k2", "2"))...)
	})
}

func TestViewStream_OfOneDocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, v := setupVirtualViews(t)
		s := followView(t, f, "/a")
		s.without(t, opening()...)
		pause()
		v.put("ab", `9`, "a", `1`)
		pause()
		s.without(t, put("a", "1")...)
		v.put("a", ``)
		pause()
		s.without(t, deleted("a")...)
	})
}

func TestViewStream_Ends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, v := setupVirtualViews(t)
		s := followView(t, f, "")
		s.without(t, opening()...)
		gone := followView(t, f, "")
		gone.without(t, opening()...)
		_ = gone.resp.Body.Close()
		synctest.Wait()
		if _, watchers := v.count(); watchers != 1 || f.open.Load() != 1 {
			t.Errorf("%d watchers, %d streams", watchers, f.open.Load())
		}
		pause()
		v.fail(errors.New("down"))
		pause()
		if _, ended := s.now(); !ended {
			t.Error("the stream goes on though the view cannot be read")
		}
		v.fail(nil)
		last := followView(t, f, "")
		last.without(t, opening()...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if _, ended := last.now(); !ended {
			t.Error("the stream goes on after the end")
		}
	})
}

func TestViewStream_IsOneOfTheStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &views{}
		f := setupVirtual(t, func(c *gateway.Config) { c.Views, c.MaxStreams = v, 1 })
		s := f.follow(t, "")
		s.expect(t, "retry: 1000")
		resp := f.getPath(t.Context(), t, "GET", "/v1/views/balances/accounts", "Accept: text/event-stream")
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
}
