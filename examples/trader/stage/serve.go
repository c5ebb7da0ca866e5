package stage

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// Serve serves the stage's page and its actions on a listener, until ctx ends. Everybody who
// reaches the listener may break things: it belongs on the loopback interface, and so it
// refuses any other.
func Serve(ctx context.Context, l net.Listener, e *Engine) error {
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return errors.Join(errNotLoopback, l.Close())
	}
	return serve(ctx, l, guarded(page.New(e)))
}

var errNotLoopback = errors.New("the stage listens on the loopback interface alone")

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerMax, ReadTimeout: headerMax, IdleTimeout: idleMax}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeMax)
	defer cancel()
	if s.Shutdown(closing) != nil {
		_ = s.Close() // a stream that has not ended
	}
	<-ended
	return nil
}

// guarded lets requests in that name the machine by its address, or as localhost, so that no
// page of another origin gets in by a name of its own; and none that such a page has a
// browser send.
func guarded(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if host != "localhost" && net.ParseIP(host) == nil {
			http.Error(w, "This server goes by its address.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	}))
}
