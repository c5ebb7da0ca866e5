package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// declared is what the OpenAPI document says of a route's parameter.
type declared struct {
	In, Name string
	Schema   struct {
		Type, Pattern    string
		MinLength        int
		Enum             []string
		Const            string
		Minimum, Maximum json.Number
	}
}

// routesOf returns the parameters of each operation of a document, by path and method.
func routesOf(t *testing.T, document string) map[string][]declared {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Ref string `json:"$ref"`
			}
		}
		Components struct{ Parameters map[string]declared }
	}
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		t.Fatal(err)
	}
	routes := map[string][]declared{}
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			route := strings.ToUpper(method) + " " + path
			routes[route] = []declared{}
			for _, p := range operation.Parameters {
				routes[route] = append(routes[route], doc.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]])
			}
		}
	}
	return routes
}

// lenient are the parameters that are lists, or that a standard says to pass over.
func (p declared) lenient() bool {
	return p.Schema.Type == "string" && p.Schema.Pattern == "" && p.Schema.Enum == nil && p.Schema.Const == "" && p.Schema.MinLength == 0
}

// TestParameters_OneRule_OnEveryRoute: whatever the document says that a route takes is
// refused if it is empty, given twice, not UTF-8 or not of its schema, and the same on
// every route; lists and the trace are taken as they are.
func TestParameters_OneRule_OnEveryRoute(t *testing.T) {
	t.Parallel()
	f := setupDocumented(t, accounts())
	seen := map[string]bool{}
	for route, params := range routesOf(t, f.do(t, "GET", "/openapi.json", "").body) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", "a", "{key}", "a").Replace(path)
		for _, p := range params {
			if p.In == "path" {
				continue
			}
			seen[p.Name] = true
			for _, values := range [][]string{{""}, {"\xff"}, {"a\tb"}, {"~"}, {"*", "*"}, {"1", "1"}, {"durable", "durable"}, {"1s", "1s"}} {
				a := f.with(t, method, path, p, values)
				taken := p.lenient() || len(values) == 1 && p.takes(values[0])
				if refused := a.StatusCode == http.StatusBadRequest; refused == taken {
					t.Errorf("%s, %s %q: %d %s", route, p.Name, values, a.StatusCode, a.body)
				}
			}
		}
	}
	for _, name := range []string{"If-Match", "If-None-Match", "Last-Event-ID", "Idempotency-Key", "X-Correlation-ID", "after", "limit", "lane", "timeout", "consistency", "prefix", "version", "at", "from", "fromAt", "reverse", "wait"} {
		if !seen[name] {
			t.Errorf("no route declares %s", name)
		}
	}
}

func (p declared) takes(value string) bool {
	return p.Schema.Pattern != "" && utf8.ValidString(value) && regexp.MustCompile(p.Schema.Pattern).MatchString(value)
}

// with sends a request with one parameter, of the given values.
func (f *documented) with(t *testing.T, method, path string, p declared, values []string) answer {
	t.Helper()
	if p.In == "query" {
		return f.do(t, method, path+"?"+url.Values{p.Name: values}.Encode(), "")
	}
	var headers []string
	for _, v := range values {
		headers = append(headers, p.Name+": "+v)
	}
	return f.do(t, method, path, "", headers...)
}

// TestParameters_TimeoutPattern: the pattern of the document matches what the gateway
// takes of milliseconds and seconds, at every bound.
func TestParameters_TimeoutPattern(t *testing.T) {
	t.Parallel()
	for _, most := range []time.Duration{time.Millisecond, 9 * time.Millisecond, 1050 * time.Millisecond, 60 * time.Second, 12345 * time.Millisecond} {
		f := setup(t, func(c *gateway.Config) { c.MaxTimeout = most })
		var pattern *regexp.Regexp
		for _, p := range routesOf(t, f.do(t, "GET", "/openapi.json", "").body)["GET /v1/account/{id}"] {
			if p.Name == "timeout" {
				pattern = regexp.MustCompile(p.Schema.Pattern)
			}
		}
		milliseconds, seconds := int64(most/time.Millisecond), int64(most/time.Second)
		for n := range max(milliseconds, seconds) + 200 {
			if text := fmt.Sprintf("%dms", n); pattern.MatchString(text) != (n >= 1 && n <= milliseconds) {
				t.Fatalf("at most %v: %s", most, text)
			}
			if text := fmt.Sprintf("%ds", n); pattern.MatchString(text) != (n >= 1 && n <= seconds) {
				t.Fatalf("at most %v: %s", most, text)
			}
		}
		for _, text := range []string{fmt.Sprintf("%dms", milliseconds), fmt.Sprintf("%dms", milliseconds+1), fmt.Sprintf("%ds", seconds), fmt.Sprintf("%ds", seconds+1)} {
			a := f.do(t, "GET", "/v1/account/a?timeout="+text, "")
			if pattern.MatchString(text) != (a.StatusCode == http.StatusOK) {
				t.Errorf("at most %v, %s: %d %s", most, text, a.StatusCode, a.body)
			}
		}
	}
}

// TestParameters_TwinsAgree: a header and a parameter of the query that mean the same.
func TestParameters_TwinsAgree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query, header string
		refused       bool
	}{
		{"lane=direct", "Ganglion-Lane: direct", false},
		{"lane=durable", "Ganglion-Lane: direct", true},
		{"lane=", "Ganglion-Lane: direct", true},
		{"lane=direct", "Ganglion-Lane: ", true},
		{"timeout=1s", "Ganglion-Timeout: 1s", false},
		{"timeout=1s", "Ganglion-Timeout: 1000ms", true},
	} {
		a := setup(t).do(t, "POST", "/v1/account/a/Deposit?"+c.query, "{}", c.header)
		if c.refused {
			a.fails(t, 400, actor.CodeMalformed)
		} else if a.StatusCode != http.StatusOK {
			t.Errorf("%+v: %d %s", c, a.StatusCode, a.body)
		}
	}
}
