package gateway_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

func TestAggregates_Pages(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.history.ids = []string{"\x00", " ", "%", "a", "a/b", "b&c=d", "b+", "é", "日本"}
	f.do(t, "GET", "/v1/account", "").is(t, 200, `{"ids":["\u0000"," ","%","a","a/b","b&c=d","b+","é","日本"]}`)
	f.do(t, "GET", "/v1/account?prefix=b", "").is(t, 200, `{"ids":["b&c=d","b+"]}`)
	f.do(t, "GET", "/v1/account?prefix=zz", "").is(t, 200, `{"ids":[]}`)
	f.do(t, "GET", "/v1/account?prefix=a&after=a", "").is(t, 200, `{"ids":["a/b"]}`)
	var all []string
	for path := "/v1/account?limit=2"; path != ""; {
		a := f.do(t, "GET", path, "")
		var page struct {
			IDs  []string `json:"ids"`
			Next string   `json:"next"`
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.StatusCode != http.StatusOK || len(page.IDs) == 0 || len(page.IDs) > 2 {
			t.Fatalf("%s: %d %s", path, a.StatusCode, a.body)
		}
		all = append(all, page.IDs...)
		link := a.Header.Get("Link")
		if (link == "") != (page.Next == "") {
			t.Fatalf("next %q, Link %q", page.Next, link)
		}
		path = ""
		if link != "" {
			reference, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			next, err := a.Request.URL.Parse(reference)
			if !ok || err != nil || next.Query().Get("after") != page.Next || next.Query().Get("limit") != "2" {
				t.Fatalf("Link %q after %q: %v", link, page.Next, err)
			}
			path = next.RequestURI()
		}
	}
	if !slices.Equal(all, f.history.ids) {
		t.Errorf("got %q", all)
	}
}

func TestAggregates_ThatFail(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, query := range []string{
		"after=", "prefix=", "limit=", "limit=0", "limit=-1", "limit=1001", "limit=1e2", "limit=99999999999999999999", "limit=1&limit=1", "after=a&after=a", "prefix=a&prefix=b",
		"after=%ff", "prefix=%C3%28", "after=" + strings.Repeat("x", 257), "prefix=" + url.QueryEscape(strings.Repeat("é", 129)), "after=%zz", "timeout=", "timeout=-1s",
	} {
		f.do(t, "GET", "/v1/account?"+query, "").fails(t, 400, actor.CodeMalformed)
	}
	f.do(t, "GET", "/v1/nothing", "").fails(t, 404, actor.CodeUnknownKind)
	if p := f.do(t, "DELETE", "/v1/account", "").fails(t, 405, "method_not_allowed"); p.Status != 405 {
		t.Error(p)
	}
	f.history.fail(errors.New("mongodb://secret@host"))
	if p := f.do(t, "GET", "/v1/account", "").fails(t, 503, "unavailable"); strings.Contains(p.Detail, "secret") || p.Incident == "" {
		t.Errorf("got %+v", p)
	}
	without := setup(t, func(c *gateway.Config) { c.History = nil })
	without.do(t, "GET", "/v1/account", "").fails(t, 404, "unknown_route")
}

func TestAggregates_NotModified(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.history.ids = []string{"a"}
	tag := f.do(t, "GET", "/v1/account", "").Header.Get("ETag")
	if tag == "" {
		t.Fatal("no entity tag")
	}
	for _, have := range []string{tag, "W/" + tag, `"x", ` + tag, `"x,y" , W/` + tag, "*"} {
		if a := f.do(t, "GET", "/v1/account", "", "If-None-Match: "+have); a.StatusCode != http.StatusNotModified || a.body != "" || a.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d %s", have, a.StatusCode, a.body)
		}
	}
	if a := f.do(t, "HEAD", "/v1/account", ""); a.StatusCode != http.StatusOK || a.body != "" || a.Header.Get("ETag") != tag {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
	f.history.ids = []string{"a", "b"}
	f.do(t, "GET", "/v1/account", "", "If-None-Match: "+tag).is(t, 200, `{"ids":["a","b"]}`)
}
