package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/examples/trader/pages"
	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

// other is the way over web servers without routing: each request goes to the next one.
type other struct {
	e     *Engine
	bases []string
	run   string
	turn  atomic.Uint64
	http  *http.Client

	mu   sync.Mutex
	seen map[string]int64
}

func newOther(e *Engine, bases []string, run string) *other {
	return &other{
		e: e, bases: bases, run: run, seen: map[string]int64{},
		http: &http.Client{Timeout: requestMax, Transport: &http.Transport{MaxIdleConnsPerHost: rivalUsers, IdleConnTimeout: time.Minute}},
	}
}

func (o *other) create(ctx context.Context, account int) error {
	_, err := o.change(ctx, account, firstAmount)
	return err
}

func (o *other) change(ctx context.Context, account int, amount int64) (int64, error) {
	what := "deposit"
	if amount < 0 {
		what, amount = "withdraw", -amount
	}
	body, err := json.Marshal(unrouted.Deposit{Amount: amount})
	if err != nil {
		return 0, err
	}
	return o.do(ctx, http.MethodPost, account, "/"+what, body)
}

func (o *other) read(ctx context.Context, account int) (int64, error) {
	return o.do(ctx, http.MethodGet, account, "", nil)
}

func (o *other) do(ctx context.Context, method string, account int, path string, body []byte) (int64, error) {
	base := o.bases[o.turn.Add(1)%uint64(len(o.bases))]
	r, err := http.NewRequestWithContext(ctx, method, base+"/v1/"+unrouted.Kind+"/"+rivalID(o.run, account)+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	answer, err := o.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(answer.Body, bodyMax))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s", errFailed, answer.Status)
	}
	if err != nil {
		return 0, err
	}
	var said struct {
		Version int64 `json:"version"`
	}
	return said.Version, json.Unmarshal(data, &said)
}

func (o *other) conflicts(ctx context.Context) (total int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, base := range o.bases {
		if f, err := figuresOf(ctx, o.e.sampler, base); err == nil {
			o.seen[base] = f.Conflicts
		}
		total += o.seen[base]
	}
	return total
}

const (
	codeNamespaceExists = 48
	headerMax           = 10 * time.Second
	idleMax             = 2 * time.Minute
	closeMax            = 5 * time.Second
)

// ServeUnrouted runs a web server without routing at an address, over a database of the
// replica set, until ctx ends. It keeps accounts in memory for a second, as an experienced
// team would, and as nodes do for as long as they own them.
func ServeUnrouted(ctx context.Context, addr, uri, database string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	err = unrouted.Prepare(ctx, client.Database(database))
	_ = client.Disconnect(context.WithoutCancel(ctx))
	if known, ok := errors.AsType[mongo.ServerError](err); ok && known.HasErrorCode(codeNamespaceExists) {
		err = nil // the other server was first
	}
	if err != nil {
		return err
	}
	storage, err := unrouted.OpenMongo(uri, database)
	if err != nil {
		return err
	}
	defer func() { _ = storage.Close(context.WithoutCancel(ctx)) }()
	server, err := unrouted.New(storage, unrouted.Config{Cache: true})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return serve(ctx, l, pages.ForThisMachine(server))
}
