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
	errContradict  = errors.New("If-Match and If-None-Match contradict each other")
)

// etag returns the entity tag of a version.
func etag(v actor.Version) string { return `"` + strconv.FormatUint(uint64(v), 10) + `"` }

// parseETag reads what etag writes, and nothing else.
func parseETag(tag string) (actor.Version, bool) {
	n, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	v := actor.Version(n)
	return v, err == nil && etag(v) == tag
}

// parseExpectation reads the conditions of a command or query.
func parseExpectation(h http.Header) (actor.Expectation, error) {
	x, err := parseIfMatch(h)
	if err != nil {
		return x, err
	}
	none, given := h["If-None-Match"]
	switch {
	case !given:
		return x, nil
	case len(none) != 1 || strings.TrimSpace(none[0]) != "*":
		return x, errIfNoneMatch
	case x != actor.Expectation{}:
		return x, errContradict
	}
	return actor.Expectation{Creation: actor.MustBeNew}, nil
}

func parseIfMatch(h http.Header) (actor.Expectation, error) {
	match, given := h["If-Match"]
	if !given {
		return actor.Expectation{}, nil
	}
	if len(match) != 1 {
		return actor.Expectation{}, errIfMatch
	}
	tag := strings.TrimSpace(match[0])
	if tag == "*" {
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
