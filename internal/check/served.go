package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// served is a program that runs, with what it needs beside it.
type served struct {
	url     string
	token   string // to show to it; empty: it asks for none
	log     string // file
	running []*exec.Cmd
}

const documentPath = "/openapi.json"

// request is a GET, or a POST if it has a body.
type request struct{ path, body string }

// awaitEnd waits for what has been told to end.
func (s *served) awaitEnd() {
	for _, cmd := range s.running {
		_ = cmd.Wait()
	}
}

// serve builds and starts a program. What it has started runs until ctx ends, also if it
// fails.
func (c *checker) serve(ctx context.Context, s *served, a *api, dir string) error {
	binary := filepath.Join(dir, "node")
	if err := c.goCommand(ctx, "build", "-o", binary, a.pkg); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	s.url = "http://" + address
	args := append([]string{"--data-dir=" + filepath.Join(dir, "data"), "--http-addr=" + address, "--admin-addr=127.0.0.1:0"}, a.flags...)
	if a.tokens {
		flags, token, err := issueToken(dir)
		if err != nil {
			return err
		}
		args, s.token = append(args, flags...), token
	}
	if b := a.beside; b != nil {
		at, err := freeAddress()
		if err != nil {
			return err
		}
		if err := c.start(ctx, s, binary, append(b.args, "--addr="+at)...); err != nil {
			return err
		}
		args = append(args, b.flag+"=http://"+at)
	}
	return c.start(ctx, s, binary, args...)
}

func (c *checker) start(ctx context.Context, s *served, binary string, args ...string) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := c.child(ctx, binary, args...)
	cmd.Stderr = log
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	s.running = append(s.running, cmd)
	return nil
}

const (
	tokenIssuer, tokenAudience = "https://id.check.example", "check"
	tokenName                  = "seed"
	tokenLasts                 = 24 * time.Hour
)

// issueToken makes an issuer, of which the program is told by flags, and has it sign a
// token of somebody who is staff.
func issueToken(dir string) (flags []string, token string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	const id = "check"
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: id}}})
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "jwks.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		return nil, "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		return nil, "", err
	}
	token, err = jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: tokenIssuer, Audience: jwt.Audience{tokenAudience}, Subject: tokenName, Expiry: jwt.NewNumericDate(time.Now().Add(tokenLasts)),
	}).Claims(map[string]any{"roles": []string{"staff"}}).Serialize()
	return []string{"--jwt-issuer=" + tokenIssuer, "--jwt-audience=" + tokenAudience, "--jwt-jwks=" + file}, token, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ask sends a request until it is answered with a success: the program may not serve yet,
// and what is read may follow from what was sent.
func (s *served) ask(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiReadyWithin)
	defer cancel()
	for {
		data, err := s.askOnce(ctx, r)
		if err == nil || errors.Is(err, errRefused) {
			return data, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(apiPoll):
		}
	}
}

// errRefused marks an answer that stays as it is.
var errRefused = errors.New("refused")

func (s *served) askOnce(ctx context.Context, r request) ([]byte, error) {
	method := http.MethodGet
	if r.body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.body != "" {
		req.Header.Set("Idempotency-Key", r.path)
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusUnprocessableEntity, resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("%s: %w: %.200s", r.path, errRefused, data)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s: %.200s", r.path, resp.Status, data)
	}
	return data, nil
}
