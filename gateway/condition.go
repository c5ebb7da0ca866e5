package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
)

var (
	errIfMatch     = errors.New(`If-Match must be one version in quotes, such as "41", or *`)
	errIfNoneMatch = errors.New(`If-None-Match of a command or query must be *`)
)

// etag returns the entity tag of a version.
func etag(v actor.Version) string { return `"` + strconv.FormatUint(uint64(v), 10) + `"` }

// parseETag reads what etag writes, and nothing else.
func parseETag(tag string) (actor.Version, bool) {
	n, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	v := actor.Version(n)
	return v, err == nil && etag(v) == tag
}

// parseExpectation reads the conditions of a command or query. Each of two that contradict
// each other is well formed: nothing meets both.
func parseExpectation(p params) (x actor.Expectation, contradiction bool, err error) {
	if x, err = parseIfMatch(p); err != nil {
		return x, false, err
	}
	none, err := p.ofHeader("If-None-Match")
	switch {
	case err != nil:
		return x, false, err
	case none == "":
		return x, false, nil
	case none != "*":
		return x, false, errIfNoneMatch
	}
	contradiction = x != actor.Expectation{} && x != actor.Expectation{Exact: true} // version 0 is that of a new aggregate
	return actor.Expectation{Creation: actor.MustBeNew}, contradiction, nil
}

func parseIfMatch(p params) (actor.Expectation, error) {
	tag, err := p.ofHeader("If-Match")
	switch {
	case err != nil || tag == "":
		return actor.Expectation{}, err
	case tag == "*":
		return actor.Expectation{Creation: actor.MustExist}, nil
	}
	v, ok := parseETag(tag)
	if !ok {
		return actor.Expectation{}, errIfMatch
	}
	return actor.Expectation{Exact: true, Version: v}, nil
}

// matchesNone reports whether a reader who has what If-None-Match lists needs
// to be told anything: RFC 9110, section 13.1.2, with weak comparison.
func matchesNone(h http.Header, tag string) bool {
	for member := range listed(h["If-None-Match"]) {
		if member == "*" || strings.TrimPrefix(member, "W/") == tag {
			return false
		}
	}
	return true
}
