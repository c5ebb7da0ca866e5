package mongod

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	maxArchiveBytes  = 512 << 20
	maxBinaryBytes   = 1 << 30
	maxChecksumBytes = 1 << 10

	dialTimeout   = 3 * time.Second
	headerTimeout = 10 * time.Second
)

// archive is a release as MongoDB publishes it: a gzipped tar with a ".sha256"
// file beside it. That file comes over TLS from the same host, so it proves the
// download complete and unharmed rather than its origin.
type archive struct {
	url     string
	release string
}

func (a archive) version() string { return a.release }

func (a archive) fetch(ctx context.Context, dir string, progress io.Writer) (_ string, err error) {
	client := newDownloadClient()
	defer client.CloseIdleConnections()
	want, err := a.publishedSHA256(ctx, client)
	if err != nil {
		return "", err
	}
	packed := filepath.Join(dir, path.Base(a.url))
	if err := a.download(ctx, client, packed, want, progress); err != nil {
		return "", err
	}
	target := filepath.Join(dir, binaryName)
	if err := unpackBinary(packed, target); err != nil {
		return "", fmt.Errorf("unpack %s: %w", path.Base(a.url), err)
	}
	return target, os.Remove(packed)
}

func (a archive) publishedSHA256(ctx context.Context, client *http.Client) (_ string, err error) {
	body, _, err := openURL(ctx, client, a.url+".sha256")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(body, maxChecksumBytes))
	if err != nil {
		return "", fmt.Errorf("read %s.sha256: %w", a.url, err)
	}
	sum := regexp.MustCompile(`^[0-9a-f]{64}\b`).Find(text)
	if sum == nil {
		return "", fmt.Errorf("%s.sha256 holds no sha256", a.url)
	}
	return string(sum), nil
}

func (a archive) download(ctx context.Context, client *http.Client, target, want string, progress io.Writer) (err error) {
	body, size, err := openURL(ctx, client, a.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	bar := progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(progress),
		progressbar.OptionSetDescription("downloading "+a.release),
		progressbar.OptionShowBytes(true),
		progressbar.OptionOnCompletion(func() { _, _ = fmt.Fprintln(progress) }),
	)
	sum, err := writeFile(target, io.TeeReader(io.LimitReader(body, maxArchiveBytes), bar))
	if err != nil {
		return fmt.Errorf("download %s: %w", a.url, err)
	}
	if sum != want {
		return &ChecksumError{File: path.Base(a.url), Want: want, Got: sum}
	}
	return nil
}

// newDownloadClient gives up soon on a host that cannot be reached, and leaves
// the length of the download itself to the context.
func newDownloadClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   headerTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ForceAttemptHTTP2:     true,
	}}
}

func openURL(ctx context.Context, client *http.Client, url string) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, 0, errors.Join(fmt.Errorf("%s: %s", url, resp.Status), resp.Body.Close())
	}
	return resp.Body, resp.ContentLength, nil
}

// unpackBinary copies "<anything>/bin/mongod" out of a gzipped tar.
func unpackBinary(packed, target string) (err error) {
	file, err := os.Open(packed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	entries := tar.NewReader(plain)
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("no bin/mongod in it")
		}
		if err != nil {
			return err
		}
		if isBinary, _ := path.Match("*/bin/"+binaryName, path.Clean(entry.Name)); isBinary {
			_, err := writeFile(target, io.LimitReader(entries, maxBinaryBytes))
			return err
		}
	}
}
