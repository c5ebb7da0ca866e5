package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Gateway is an [http.Handler]. It is safe for concurrent use.
type Gateway struct {
	client         actor.Client
	behaviors      map[actor.Kind]*actor.Behavior
	hidden         map[actor.Kind]bool // kinds that are defined, and not for callers
	cfg            Config
	description    []byte // the OpenAPI document
	descriptionTag string
	streams        atomic.Int64
	ending         chan struct{} // closed by EndStreams
	end            func()

	mu     sync.Mutex
	bodies map[*call]bool // that are being read
}

// New returns a gateway for the given definitions. The error joins all faults
// of its arguments: a nil client, two definitions of one kind, a configuration
// out of range, a type that has no JSON form.
func New(client actor.Client, behaviors []actor.Registrable, cfg Config) (*Gateway, error) {
	var faults []error
	if client == nil {
		faults = append(faults, errors.New("no client"))
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		faults = append(faults, err)
	}
	g := &Gateway{
		client: outside{client}, cfg: cfg, behaviors: make(map[actor.Kind]*actor.Behavior, len(behaviors)), hidden: map[actor.Kind]bool{},
		ending: make(chan struct{}), bodies: map[*call]bool{},
	}
	g.end = sync.OnceFunc(func() {
		close(g.ending)
		g.hurryBodies()
	})
	for _, registrable := range behaviors {
		b := registrable.Behavior()
		if g.behaviors[b.Kind()] != nil || g.hidden[b.Kind()] {
			faults = append(faults, fmt.Errorf("two definitions of kind %s", b.Kind()))
		}
		g.admit(b)
	}
	if g.description, err = describe(g.behaviors, cfg); err != nil {
		faults = append(faults, err)
	}
	sum := sha256.Sum256(g.description)
	g.descriptionTag = `"` + hex.EncodeToString(sum[:8]) + `"`
	if len(faults) > 0 {
		return nil, fmt.Errorf("gateway: %w", errors.Join(faults...))
	}
	return g, nil
}

// EndStreams ends all event streams and refuses new ones, and gives bodies that are
// still on their way one more second: the server waits for both. It does not wait and
// is idempotent. Hand it to [http.Server.RegisterOnShutdown].
func (g *Gateway) EndStreams() { g.end() }

// call is one request on its way.
type call struct {
	w         *recorder
	r         *http.Request
	params    params
	start     time.Time
	deadline  time.Time
	principal Principal // the zero value: nobody was asked
	route     route
	behavior  *actor.Behavior // nil: of no aggregate, or of a kind that only other nodes know
}

// bounded returns a context that ends at the call's deadline.
func (c *call) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, c.deadline)
}

// ServeHTTP serves one request. It reads the whole body and waits for the
// outcome, at most for the request's timeout; an event stream has none.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: &recorder{ResponseWriter: w}, r: r, start: time.Now()}
	ctx := r.Context()
	defer g.finish(ctx, c)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// Also for what is written before the answer: that a body may come.
	c.w.limitWrite(g.cfg.MaxTimeout + answerWriteTime)
	if p := g.serve(ctx, c); p != nil {
		g.written(ctx, p.write(c.w))
	}
}

func (g *Gateway) serve(ctx context.Context, c *call) *Problem {
	c.deadline = c.start.Add(g.cfg.DefaultTimeout)
	if c.r.ContentLength != 0 {
		c.w.bodyUntil = g.bodyDeadline(c)
	}
	if err := c.limitRead(g.bodyDeadline(c)); err != nil {
		return newProblem(codeInternal, "")
	}
	return g.handle(ctx, c)
}

// readTimeout reads the parameters, and finds out how long the request may take. Until it
// has, and if it cannot, that is the default.
func (c *call) readTimeout(cfg Config) *Problem {
	var err error
	if c.params, err = parseParams(c.r); err != nil {
		return malformed(err.Error())
	}
	timeout, err := cfg.parseTimeout(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	c.deadline = c.start.Add(timeout)
	return nil
}

// finish answers for a handler that panicked, and reports the request.
func (g *Gateway) finish(ctx context.Context, c *call) {
	v := recover()
	if err, _ := v.(error); v != nil && !errors.Is(err, http.ErrAbortHandler) {
		id := rand.Text()[:12]
		g.cfg.Logger.LogAttrs(ctx, slog.LevelError, "handler_panicked", slog.String("incident", id),
			slog.String("route", c.route.endpoint.info().template), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		if c.w.status == 0 {
			v = nil
			g.written(ctx, newProblem(codeInternal, "").of(id).write(c.w))
		}
	}
	g.report(ctx, c)
	if v != nil {
		panic(http.ErrAbortHandler) // the answer has begun: cut it, so that nobody takes it for whole
	}
}

func (g *Gateway) report(ctx context.Context, c *call) {
	info := RequestInfo{
		Method: "other", Route: c.route.endpoint.info().template,
		Status: c.w.status, Duration: time.Since(c.start),
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		info.Method = c.r.Method
	}
	if c.behavior != nil {
		info.Kind, info.Name = c.behavior.Kind(), c.route.name
	}
	g.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "request",
		slog.String("method", info.Method), slog.String("route", info.Route), slog.String("kind", string(info.Kind)),
		slog.String("name", info.Name), slog.Int("status", info.Status), slog.Duration("duration", info.Duration))
	if g.cfg.Listener.RequestDone != nil {
		g.cfg.Listener.RequestDone(info)
	}
}

// written notes that an answer could not be written. The client has gone, or
// reads too slowly; there is nobody to tell.
func (g *Gateway) written(ctx context.Context, err error) {
	if err != nil {
		g.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "answer_not_written", slog.Any("error", err))
	}
}
