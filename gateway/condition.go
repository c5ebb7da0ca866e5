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
	errContradict  = errors.New("If-Match and If-None-Match contradict each other: no aggregate meets both")
)

// etag returns the entity tag of a version.
func etag(v actor.Version) string { return `"` + strconv.FormatUint(uint64(v), 10) + `"` }

// parseETag reads what etag writes, and nothing else.
func parseETag(tag string) (actor.Version, bool) {
	n, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	v := actor.Version(n)
	return v, err == nil && etag(v) == tag
}

// parseExpectation reads the conditions of a command or query. Two that contradict each
// other are each well formed: they are [errContradict], as conditions that nothing meets.
func parseExpectation(p params) (actor.Expectation, error) {
	x, err := parseIfMatch(p)
	if err != nil {
		return x, err
	}
	none, err := p.ofHeader("If-None-Match")
	switch {
	case err != nil:
		return x, err
	case none == "":
		return x, nil
	case none != "*":
		return x, errIfNoneMatch
	case x != actor.Expectation{} && x != actor.Expectation{Exact: true}:
		return x, errContradict // version 0 is that of a new aggregate
	}
	return actor.Expectation{Creation: actor.MustBeNew}, nil
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
