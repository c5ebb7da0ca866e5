package stage

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/ganglion-go/ganglion/examples/trader/pages"
	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// Serve serves the stage's page and its actions on a listener, until ctx ends. Everybody who
// reaches the listener may break things: it belongs on the loopback interface, and so it
// refuses any other.
func Serve(ctx context.Context, l net.Listener, e *Engine) error {
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return errors.Join(errNotLoopback, l.Close())
	}
	return serve(ctx, l, pages.ForThisMachine(page.New(e)))
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
