package gateway

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// MaxPrincipalBytes bounds the name of a [Principal].
const MaxPrincipalBytes = 256

// Principal is who sends a request, as an [Authenticator] has found out.
type Principal struct {
	// Name tells the principal from all others: valid UTF-8 of 1 to [MaxPrincipalBytes]
	// bytes without control characters. It is stored with everything that the principal's
	// commands do, as [actor.Metadata].User.
	Name string
	// Claims is what else is known of the principal, for an [Authorizer]. It is not
	// stored, and must not be changed.
	Claims map[string]any
	// Expires is when the credentials end, and with them every stream that was opened
	// with them; zero: they do not end.
	Expires time.Time
}

// Strings returns a claim that lists texts: an array of strings, such as groups, or one
// string with spaces between its words, such as the scope of OAuth 2.0. A claim of
// another form, or none, is an empty list.
func (p Principal) Strings(claim string) []string {
	switch v := p.Claims[claim].(type) {
	case string:
		return strings.Fields(v)
	case []string:
		return v
	case []any:
		texts := make([]string, 0, len(v))
		for _, one := range v {
			if text, ok := one.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	default:
		return nil
	}
}

// Authenticator finds out who sends a request. It is safe for concurrent use. Package
// jwtauth has one for signed tokens, package tlsauth one for client certificates.
type Authenticator interface {
	// Authenticate returns the principal of a request. It is called once for each
	// request, before anything else is looked at. The request has no body, and its
	// context ends with the time that the request may take at the most; Authenticate
	// must not outlast it.
	//
	// The error wraps [ErrNoCredentials] when the request shows none that the
	// authenticator knows, or is a [*CredentialsError]; the caller gets 401 for both.
	// Any other error, such as [ErrAuthenticatorUnavailable], means that nobody can
	// say now: the caller gets 503, and the text goes to the log alone.
	Authenticate(r *http.Request) (Principal, error)

	// Schemes describes what the authenticator takes, for the WWW-Authenticate header
	// and the API description. It always returns the same, at least one.
	Schemes() []Scheme
}

// Scheme describes one way to authenticate.
type Scheme struct {
	// Name identifies the scheme in the API description: letters, digits, "-", "_" and ".".
	Name string
	// OpenAPI is its Security Scheme Object, such as {"type": "http", "scheme": "bearer"}.
	OpenAPI map[string]any
	// Challenge is its auth-scheme in WWW-Authenticate, such as "Bearer".
	Challenge string
}

// BearerScheme is a token in the header Authorization: Bearer (RFC 6750). The format is
// for people, such as "JWT"; empty: none.
func BearerScheme(format string) Scheme {
	o := map[string]any{"type": "http", "scheme": "bearer"}
	if format != "" {
		o["bearerFormat"] = format
	}
	return Scheme{Name: "bearer", OpenAPI: o, Challenge: "Bearer"}
}

var (
	// ErrNoCredentials says that a request shows no credentials.
	ErrNoCredentials = errors.New("no credentials")
	// ErrInvalidCredentials is wrapped by every [*CredentialsError].
	ErrInvalidCredentials = errors.New("invalid credentials")
	// ErrAuthenticatorUnavailable says that credentials cannot be judged now, because
	// what the authenticator depends on does not answer. The request may be repeated.
	ErrAuthenticatorUnavailable = errors.New("credentials cannot be checked now")
)

// CredentialsError refuses the credentials of a request.
type CredentialsError struct {
	// Reason is told to the caller, such as "the token has expired". It must hold
	// nothing of the credentials themselves.
	Reason string
}

// Error returns the reason.
func (e *CredentialsError) Error() string { return e.Reason }

// Unwrap returns [ErrInvalidCredentials].
func (e *CredentialsError) Unwrap() error { return ErrInvalidCredentials }

// BearerToken returns the token in the Authorization header of a request. The error
// wraps [ErrNoCredentials] when there is no such header, or it is of another scheme, and
// is a [*CredentialsError] when there is more than one header, or the token is empty or
// longer than so many bytes.
func BearerToken(h http.Header, maxBytes int) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", ErrNoCredentials
	}
	if len(values) > 1 {
		return "", &CredentialsError{Reason: "Authorization is given more than once"}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoCredentials
	}
	token = strings.TrimSpace(token)
	switch {
	case token == "":
		return "", &CredentialsError{Reason: "the token is empty"}
	case len(token) > maxBytes:
		return "", &CredentialsError{Reason: "the token is too long"}
	}
	return token, nil
}

// AnyOf returns an authenticator for requests that show credentials of one of several
// kinds. The first of the given authenticators that finds any, good or bad, decides.
func AnyOf(all ...Authenticator) Authenticator { return anyOf(all) }

type anyOf []Authenticator

// Authenticate implements [Authenticator].
func (all anyOf) Authenticate(r *http.Request) (Principal, error) {
	for _, a := range all {
		if p, err := a.Authenticate(r); err == nil || !errors.Is(err, ErrNoCredentials) {
			return p, err
		}
	}
	return Principal{}, ErrNoCredentials
}

// Schemes implements [Authenticator].
func (all anyOf) Schemes() []Scheme {
	var schemes []Scheme
	for _, a := range all {
		schemes = append(schemes, a.Schemes()...)
	}
	return schemes
}
