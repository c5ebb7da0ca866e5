package redact

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// mask stands for a secret.
const mask = "xxxxx"

// leastSecret is the least length of a secret that is replaced outside of URLs.
const leastSecret = 4

// userinfo is what stands before the host of a URL; of a list of URLs without spaces,
// all up to the last host. Passwords need not be well encoded.
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@`)

// URLs replaces what stands before the hosts of URLs in a text.
func URLs(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return userinfo.ReplaceAllString(text, "${1}"+mask+"@")
}

// Set is what must not be shown. The zero value is URLs alone.
type Set struct{ known *strings.Replacer }

// New returns a set that also has the given secrets, each as it is and percent-encoded.
func New(secrets ...string) Set {
	var all []string
	for _, s := range secrets {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if len(form) >= leastSecret {
				all = append(all, form)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	var pairs []string
	for _, s := range slices.Compact(all) { // the longest first: it may contain others
		pairs = append(pairs, s, mask)
	}
	if len(pairs) == 0 {
		return Set{}
	}
	return Set{strings.NewReplacer(pairs...)}
}

// Text returns a text without secrets.
func (s Set) Text(text string) string {
	text = URLs(text)
	if s.known != nil {
		text = s.known.Replace(text)
	}
	return text
}

// Error returns an error whose text has no secrets, and which wraps err.
func (s Set) Error(err error) error {
	if err == nil {
		return nil
	}
	text := s.Text(err.Error())
	if text == err.Error() {
		return err
	}
	return &redactedError{text, err}
}

// redactedError is an error with another text.
type redactedError struct {
	text string
	err  error
}

// Error returns the text without secrets.
func (e *redactedError) Error() string { return e.text }

// Unwrap returns the error as it was.
func (e *redactedError) Unwrap() error { return e.err }
