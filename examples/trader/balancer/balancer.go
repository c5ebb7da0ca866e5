package balancer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxBody bounds the body of a request, in bytes.
	MaxBody = 64 << 10

	answerMax    = 30 * time.Second // until the header of an answer
	connectMax   = 2 * time.Second
	connections  = 256 // idle ones to each backend
	headerMax    = 10 * time.Second
	requestMax   = 30 * time.Second
	idleMax      = 2 * time.Minute
	headerBytes  = 64 << 10
	shutdownTime = 5 * time.Second
)

var (
	errNoBackend = errors.New("no web server is ready")
	errNotReady  = errors.New("the web server is not ready any more")
	errBackend   = errors.New("a backend is WEB=READY, the base of its pages and the URL that says whether it is ready")
	errNone      = errors.New("at least one backend is required")
)

// Balancer is an [http.Handler]. Make it with [New].
type Balancer struct {
	proxy    *httputil.ReverseProxy
	direct   *http.Transport
	backends []*backend
	next     atomic.Uint64
}

// New returns a balancer over backends, each written WEB=READY: the base of its pages, and
// the URL that answers 200 while it is ready, such as
// http://127.0.0.1:8081=http://127.0.0.1:9081/readyz. All count as ready at first.
func New(backends []string) (*Balancer, error) {
	b := &Balancer{direct: &http.Transport{
		DialContext: (&net.Dialer{Timeout: connectMax}).DialContext, MaxIdleConnsPerHost: connections,
		IdleConnTimeout: idleMax, ResponseHeaderTimeout: answerMax, DisableCompression: true,
	}}
	for _, text := range backends {
		one, err := parse(text)
		if err != nil {
			return nil, err
		}
		b.backends = append(b.backends, one)
	}
	if len(b.backends) == 0 {
		return nil, errNone
	}
	b.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "backend" // which one is for the transport to say
			r.Out.Host = r.In.Host                               // what backends compare origins with
			r.SetXForwarded()
		},
		Transport: b, FlushInterval: -1, ErrorHandler: refuse,
		ErrorLog: log.New(io.Discard, "", 0), // a backend that dies under an answer is no news
	}
	return b, nil
}

func parse(text string) (*backend, error) {
	web, ready, ok := strings.Cut(text, "=")
	base, err := url.Parse(web)
	if err != nil || !ok || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.Path != "" {
		return nil, fmt.Errorf("%q: %w", text, errBackend)
	}
	if u, err := url.Parse(ready); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q: %w", text, errBackend)
	}
	return &backend{base: base, probe: ready, up: true, calls: map[*call]struct{}{}}, nil
}

// ServeHTTP passes a request on.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		http.Error(w, fmt.Sprintf("The request has more than %d bytes, or has not come whole.", MaxBody), http.StatusRequestEntityTooLarge)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	b.proxy.ServeHTTP(w, r)
}

// RoundTrip sends a request to the next backend that is ready, and on to others until one
// answers. It implements [http.RoundTripper] for the proxy.
func (b *Balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil { // it is in memory, see ServeHTTP
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
	err := errNoBackend
	for _, to := range b.turn() {
		var answer *http.Response
		if answer, err = b.attempt(r, body, to); err == nil {
			return answer, nil
		}
		if r.Context().Err() != nil {
			break
		}
		if refused(err) {
			to.down()
		}
	}
	return nil, err
}

// refused reports whether nobody listens there.
func refused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// turn returns the backends that are ready, the one whose turn it is first.
func (b *Balancer) turn() []*backend {
	first := int(b.next.Add(1) % uint64(len(b.backends))) //nolint:gosec // below the number of backends
	ready := make([]*backend, 0, len(b.backends))
	for i := range b.backends {
		if one := b.backends[(first+i)%len(b.backends)]; one.ready() {
			ready = append(ready, one)
		}
	}
	return ready
}

// attempt sends a request to one backend. It ends early when that is not ready any more,
// and so does the answer.
func (b *Balancer) attempt(r *http.Request, body []byte, to *backend) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	leave, ok := to.enter(cancel)
	if !ok {
		cancel(nil)
		return nil, errNotReady
	}
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = to.base.Scheme, to.base.Host
	out.Body, out.GetBody = http.NoBody, nil
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	answer, err := b.direct.RoundTrip(out)
	if err != nil {
		leave()
		cancel(nil)
		return nil, err
	}
	answer.Body = &watched{ReadCloser: answer.Body, done: func() { leave(); cancel(nil) }}
	return answer, nil
}

// watched is the body of an answer.
type watched struct {
	io.ReadCloser
	once sync.Once
	done func()
}

// Close ends the answer.
func (w *watched) Close() error {
	defer w.once.Do(w.done)
	return w.ReadCloser.Close()
}

// refuse answers for backends that have not.
func refuse(w http.ResponseWriter, r *http.Request, _ error) {
	if r.Context().Err() != nil {
		return // nobody waits
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "No web server answers at the moment. Whether anything was stored shows once one does: send it again, it takes effect once.", http.StatusServiceUnavailable)
}

// Serve serves on a listener and watches the backends, until ctx ends: then requests under
// way have a few seconds.
func (b *Balancer) Serve(ctx context.Context, l net.Listener) error {
	return b.ServeWith(ctx, l, b)
}

// ServeWith is [Balancer.Serve] with a handler of the caller's, which passes to the balancer
// what is for it.
func (b *Balancer) ServeWith(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerMax, ReadTimeout: requestMax, IdleTimeout: idleMax, MaxHeaderBytes: headerBytes}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	watching := make(chan struct{})
	go func() { defer close(watching); b.Run(ctx) }()
	defer func() { <-watching; b.direct.CloseIdleConnections() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	for _, one := range b.backends { // streams do not end by themselves
		one.cut()
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := s.Shutdown(closing); err != nil {
		_ = s.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
