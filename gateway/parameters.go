package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// params are what a request asks for beside its path and its body: its headers, and
// the query of its URL. One rule holds for all that have one value, whatever the route:
//
//   - It may be absent. One that is there has a value: who sends an empty If-Match has
//     meant a condition, and lost it on the way.
//   - It is there once. A header and a parameter of the query that mean the same may both
//     be there, and agree.
//   - It is text: valid UTF-8 without control characters. Blanks around it belong to a
//     value in a query, and not to a header's.
//
// All else is malformed. What a route does not know is not looked at.
//
// Headers that are lists (Accept, Prefer, If-None-Match of a read) follow RFC 9110: their
// lines are one list, of which empty members and unknown ones are passed over. A
// traceparent that is not valid is as if absent, as W3C Trace Context asks for.
type params struct {
	header http.Header
	query  url.Values
}

// parseParams takes the query of a request apart.
func parseParams(r *http.Request) (params, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return params{}, errors.New("the query of the URL is malformed")
	}
	return params{r.Header, query}, nil
}

// ofHeader returns the value of a header, of which name is the canonical form; "": it is
// absent.
func (p params) ofHeader(name string) (string, error) {
	return oneValue(name, p.header[name], " \t")
}

// ofQuery returns the value of a parameter of the query; "": it is absent.
func (p params) ofQuery(name string) (string, error) {
	return oneValue(name, p.query[name], "")
}

// ofEither returns the value that a header and a parameter of the query have together;
// "": both are absent.
func (p params) ofEither(header, name string) (string, error) {
	a, err := p.ofHeader(header)
	if err != nil {
		return "", err
	}
	b, err := p.ofQuery(name)
	switch {
	case err != nil:
		return "", err
	case a != "" && b != "" && a != b:
		return "", fmt.Errorf("%s is %q and %s is %q", header, a, name, b)
	case a != "":
		return a, nil
	default:
		return b, nil
	}
}

func oneValue(name string, values []string, blanks string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	value := strings.Trim(values[0], blanks)
	switch {
	case len(values) > 1:
		return "", fmt.Errorf("%s is given more than once", name)
	case value == "":
		return "", fmt.Errorf("%s is empty", name)
	case !isText(value):
		return "", fmt.Errorf("%s has control characters or is not valid UTF-8", name)
	}
	return value, nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }
