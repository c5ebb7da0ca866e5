package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// source is where keys come from.
type source interface {
	// fetch returns the key set, in a bounded time and size.
	fetch(ctx context.Context) ([]byte, error)
}

// sourceOf reads Config.JWKS.
func sourceOf(cfg Config) (source, error) {
	scheme, _, isURL := strings.Cut(cfg.JWKS, "://")
	switch {
	case cfg.JWKS == "":
		return nil, errors.New("no JWKS")
	case !isURL:
		return &fileSource{path: cfg.JWKS}, nil
	}
	u, err := url.Parse(cfg.JWKS)
	if err != nil {
		return nil, errors.New("JWKS is not a URL") // the error has the URL, and perhaps a password
	}
	switch strings.ToLower(scheme) {
	case "file":
		if u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return nil, errors.New("JWKS is a file URL without a path of this machine")
		}
		return &fileSource{path: u.Path}, nil
	case "http", "https":
		if u.Hostname() == "" || !encrypted(u) {
			return nil, errors.New("JWKS must be an https URL, or of a loopback address")
		}
		client := cfg.Client
		if client == nil {
			client = &http.Client{CheckRedirect: staysEncrypted}
		}
		return &urlSource{url: u.String(), client: client}, nil
	default:
		return nil, errors.New("JWKS is neither a file nor an https URL")
	}
}

// encrypted reports whether nobody on the way can change what a URL leads to.
func encrypted(u *url.URL) bool {
	if strings.EqualFold(u.Scheme, "https") {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

const redirectsMax = 3

func staysEncrypted(r *http.Request, via []*http.Request) error {
	if len(via) > redirectsMax || !encrypted(r.URL) {
		return errors.New("redirected too often, or to where it is not encrypted")
	}
	return nil
}

type urlSource struct {
	url    string
	client *http.Client
}

func (s *urlSource) fetch(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys from %s: %s", net.JoinHostPort(r.URL.Hostname(), r.URL.Port()), resp.Status)
	}
	return readBounded(resp.Body)
}

type fileSource struct{ path string }

func (s *fileSource) fetch(context.Context) ([]byte, error) { return s.read() }

var errNoFile = errors.New("not a regular file")

// read opens what a regular file has, or leads to: a pipe would have it wait for ever.
func (s *fileSource) read() ([]byte, error) {
	info, err := os.Stat(s.path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", s.path, errNoFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer func() { _ = f.Close() }()
	return readBounded(f)
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, setMaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read keys: %w", err)
	case len(data) > setMaxBytes:
		return nil, fmt.Errorf("the key set is larger than %d bytes: %w", setMaxBytes, errNoSet)
	}
	return data, nil
}
