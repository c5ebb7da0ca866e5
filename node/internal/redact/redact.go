package redact

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mask stands for a secret.
const mask = "xxxxx"

const (
	// leastSecret is the least length of a secret that is replaced outside of URLs.
	leastSecret = 6
	// leastInside is the least length of one that is replaced inside a longer word.
	leastInside = 12
)

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

// isCommon reports whether a secret is a word that logs have for other reasons. To
// replace it there would hide nothing, and would tell it.
func isCommon(secret string) bool {
	switch strings.ToLower(secret) {
	case "ganglion", "mongodb", "mongo", "nats", "jetstream", "node", "nodes", "server", "client", "cluster", "store",
		"password", "passwd", "secret", "token", "credentials", "default", "example", "localhost",
		"admin", "administrator", "operator", "system", "user", "username", "public", "private",
		"partition", "partitions", "stream", "session", "command", "commands", "event", "events",
		"connected", "disconnected", "reconnected", "error", "warning", "timeout", "shutdown":
		return true
	default:
		return false
	}
}

// Set is what must not be shown. The zero value is URLs alone.
type Set struct{ known []string } // the longest first: it may contain others

// New returns a set that also has the given secrets, each as it is and percent-encoded.
func New(secrets ...string) Set {
	var all []string
	for _, s := range secrets {
		if isCommon(s) {
			continue
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if len(form) >= leastSecret {
				all = append(all, form)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	return Set{slices.Compact(all)}
}

// Text returns a text without secrets.
func (s Set) Text(text string) string {
	text = URLs(text)
	for _, secret := range s.known {
		text = replace(text, secret)
	}
	return text
}

// replace replaces a secret; a short one only where it is a word of its own.
func replace(text, secret string) string {
	if len(secret) >= leastInside {
		return strings.ReplaceAll(text, secret, mask)
	}
	var clean strings.Builder
	from := 0
	for {
		i := strings.Index(text[from:], secret)
		if i < 0 {
			break
		}
		begin, end := from+i, from+i+len(secret)
		if joins(text[:begin], text[begin:]) || joins(text[:end], text[end:]) {
			_, width := utf8.DecodeRuneInString(text[begin:])
			clean.WriteString(text[from : begin+width])
			from = begin + width
			continue
		}
		clean.WriteString(text[from:begin])
		clean.WriteString(mask)
		from = end
	}
	clean.WriteString(text[from:])
	return clean.String()
}

// joins reports whether a word goes on from one text to the other.
func joins(before, after string) bool {
	last, _ := utf8.DecodeLastRuneInString(before)
	first, _ := utf8.DecodeRuneInString(after)
	return before != "" && after != "" && isWord(last) && isWord(first)
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

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
