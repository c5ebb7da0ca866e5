package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/actor"
)

// Views reads the views of projections, whoever runs them. It is safe for concurrent use.
// Errors wrap [ErrNoView] or [ErrNoCollection] for what does not exist, or is not for
// callers; other failures are as those of [History].
type Views interface {
	// Shown returns the views that the program has definitions of, without what is not
	// for callers: for the description.
	Shown() []ViewInfo
	// Documents returns the first documents of a range, at most its limit, and whether
	// there are more. It may return fewer, but one, to bound the size of an answer. They
	// need not be of one moment.
	Documents(ctx context.Context, at Collection, r ViewRange) (docs []Document, more bool, err error)
	// Document returns one, and whether there is one.
	Document(ctx context.Context, at Collection, key string) (value json.RawMessage, found bool, err error)
	// Wait returns nil once reads show the events of an aggregate up to a version. Its
	// error wraps [ErrNotFollowed] where that can never be; it wraps the cause of ctx when
	// that ends first.
	Wait(ctx context.Context, view string, source actor.Address, v actor.Version) error
	// Watch returns a channel of changes of documents whose keys begin with prefix, until
	// stop is called. The first one says that everything may have changed: from there on
	// no change is missed, or another one of that sort takes its place. It does not block
	// for longer than a read.
	Watch(ctx context.Context, at Collection, prefix string) (changes <-chan ViewChange, stop func(), err error)
}

// The errors of [Views].
var (
	ErrNoView       = errors.New("there is no such view")
	ErrNoCollection = errors.New("the view has no such collection")
	ErrNotFollowed  = errors.New("the view does not follow the kind")
)

// Collection names a collection of a view.
type Collection struct{ View, Name string }

// ViewInfo is a view with the collections that callers may read.
type ViewInfo struct {
	Name        string
	Collections []CollectionInfo
}

// CollectionInfo is a collection and the type of its documents; of an interface type: any.
type CollectionInfo struct {
	Name string
	Type reflect.Type
}

// ViewRange selects documents by key, in the order of their bytes or from the last to the
// first.
type ViewRange struct {
	Prefix  string
	After   string // empty: from the beginning of the range
	Limit   int
	Reverse bool
}

// behindAfter reports whether a key comes behind the one that the range begins after.
func (r *ViewRange) behindAfter(key string) bool {
	switch {
	case r.After == "":
		return true
	case r.Reverse:
		return key < r.After
	default:
		return key > r.After
	}
}

// Document is a document of a view.
type Document struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// ViewChange tells of a document that was written or deleted.
type ViewChange struct {
	Key   string
	Reset bool // any document may have been
}

const (
	maxKeyBytes = 1024 // of documents
	maxWaits    = 16   // aggregates that a request waits for
)

// documentsBody is a page of a collection.
type documentsBody struct {
	Documents []Document `json:"documents"`
	Next      string     `json:"next,omitempty"` // empty: there are no more
}

// serveView answers with a page of a collection or with one document, or follows it.
func (g *Gateway) serveView(ctx context.Context, c *call) *Problem {
	c.w.Header().Set("Vary", "Accept")
	r, p := parseView(c)
	if p != nil {
		return p
	}
	resume, err := shortHeader(c.params, "Last-Event-Id")
	if err != nil {
		return malformed(err.Error())
	}
	if p := g.awaitView(ctx, c); p != nil {
		return p
	}
	if acceptsStream(c.r.Header) && c.r.Method == http.MethodGet {
		return g.serveViewStream(ctx, c, r, resume)
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if c.route.key != "" {
		doc, found, p := g.document(ctx, c)
		if p == nil && !found {
			p = newProblem(codeNoSuchDocument, "")
		}
		if p != nil {
			return p
		}
		return c.replyTagged(doc)
	}
	body, p := g.documents(ctx, c, r)
	if p != nil {
		return p
	}
	c.linkNext(body.Next)
	return c.replyTagged(body)
}

// document reads the document that the call names.
func (g *Gateway) document(ctx context.Context, c *call) (Document, bool, *Problem) {
	value, found, err := g.cfg.Views.Document(ctx, c.route.collection, c.route.key)
	if err != nil {
		return Document{}, false, g.viewFailed(ctx, err)
	}
	return Document{Key: c.route.key, Value: value}, found, nil
}

// documents reads a page.
func (g *Gateway) documents(ctx context.Context, c *call, r ViewRange) (documentsBody, *Problem) {
	all, more, err := g.cfg.Views.Documents(ctx, c.route.collection, r)
	if err != nil {
		return documentsBody{}, g.viewFailed(ctx, err)
	}
	body := documentsBody{Documents: append([]Document{}, all...)}
	if more && len(all) > 0 {
		body.Next = all[len(all)-1].Key
	}
	return body, nil
}

func (g *Gateway) viewFailed(ctx context.Context, err error) *Problem {
	switch {
	case errors.Is(err, ErrNoView):
		return newProblem(codeUnknownView, "")
	case errors.Is(err, ErrNoCollection):
		return newProblem(codeUnknownCollection, "")
	default:
		return g.readFailed(ctx, "read view", err)
	}
}

// parseView reads which documents are asked for.
func parseView(c *call) (r ViewRange, p *Problem) {
	if c.route.key != "" {
		if len(c.route.key) > maxKeyBytes || !utf8.ValidString(c.route.key) {
			return r, malformed(fmt.Sprintf("a key is UTF-8 of 1 to %d bytes", maxKeyBytes))
		}
		return r, nil
	}
	page, p := parseKeyPage(c.params, maxKeyBytes)
	if p != nil {
		return r, p
	}
	r = ViewRange{Prefix: page.prefix, After: page.after, Limit: page.limit}
	text, err := c.params.ofQuery("reverse")
	if err == nil && text != "" && text != "true" && text != "false" {
		err = errors.New("reverse must be true or false")
	}
	if err != nil {
		return r, malformed(err.Error())
	}
	r.Reverse = text == "true"
	return r, nil
}

// awaited is a version that a request wants to see.
type awaited struct {
	source  actor.Address
	version actor.Version
}

// parseWaits reads the versions that the view must show, in the form kind/id@version.
func parseWaits(query url.Values) ([]awaited, error) {
	values := query["wait"]
	if len(values) > maxWaits {
		return nil, fmt.Errorf("wait is given more than %d times", maxWaits)
	}
	var all []awaited
	for _, text := range values {
		at := strings.LastIndexByte(text, '@')
		if at < 0 {
			return nil, errWait
		}
		source, err := actor.ParseAddress(text[:at])
		v, err2 := parseVersion("wait", text[at+1:])
		if err != nil || err2 != nil || text[at+1:] == "" {
			return nil, errWait
		}
		if v > 0 {
			all = append(all, awaited{source, v})
		}
	}
	return all, nil
}

var errWait = errors.New("wait must be an aggregate and a version of it, such as account/a-1@41")

// awaitView waits until the view shows what the caller has seen elsewhere, such as the
// version that came with the reply to its command.
func (g *Gateway) awaitView(ctx context.Context, c *call) *Problem {
	all, err := parseWaits(c.params.query)
	if err != nil {
		return malformed(err.Error())
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for _, a := range all {
		if p := g.awaitOne(ctx, c, a); p != nil {
			return p
		}
	}
	return nil
}

// doubtAfter is how long something is waited for before it is asked whether there is such
// a thing.
const doubtAfter = 100 * time.Millisecond

func (g *Gateway) awaitOne(ctx context.Context, c *call, a awaited) *Problem {
	first, cancel := context.WithTimeout(ctx, doubtAfter)
	defer cancel()
	err := g.cfg.Views.Wait(first, c.route.collection.View, a.source, a.version)
	if first.Err() != nil && err != nil && g.cfg.History != nil && !errors.Is(ctx.Err(), context.Canceled) {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if events, failed := g.cfg.History.Events(asking, a.source, a.version-1, 1); failed == nil && len(events) == 0 {
			return newProblem(codeNoSuchVersion, "")
		}
	}
	if first.Err() != nil && err != nil && ctx.Err() == nil {
		err = g.cfg.Views.Wait(ctx, c.route.collection.View, a.source, a.version)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFollowed):
		return newProblem(codeNotFollowed, "")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return newProblem(codeViewBehind, fmt.Sprintf("the view does not show version %d of %s/%s yet", a.version, a.source.Kind, a.source.ID))
	default:
		return g.viewFailed(ctx, err)
	}
}

// describeViews adds the collections that callers may read.
func (d *describer) describeViews(s *schemas) {
	for _, view := range d.cfg.Views.Shown() {
		for _, collection := range view.Collections {
			d.describeCollection(s, view.Name, collection)
		}
	}
}

func (d *describer) describeCollection(s *schemas, view string, c CollectionInfo) {
	document := objectSchema(object{"key": object{"type": "string"}, "value": d.schema(s, c.Type, output)})
	documents := object{
		"type": "object", "required": []string{"documents"},
		"properties": object{
			"documents": object{"type": "array", "items": document},
			"next":      object{"type": "string", "description": "What to pass as after for the following page. It is absent at the end."},
		},
	}
	page := withStream(answer("A page, or with Accept: text/event-stream what is in it, and changes of that as they come.", documents))
	page["headers"] = object{"ETag": ref("headers", "ContentTag"), "Link": ref("headers", "Link")}
	one := tagged(withStream(answer("The document, or with Accept: text/event-stream its changes as they come.", document)), "ContentTag")
	base := "/v1/views/" + view + "/" + c.Name
	d.operation(base, "get", object{
		"operationId": "documents/" + view + "/" + c.Name, "tags": []string{viewsTag}, "summary": "Documents of " + c.Name + " of view " + view + ".",
		"parameters": parameters("KeyPrefix", "AfterKey", "PageLimit", "Reverse", "Wait", "IfNoneMatch", "LastTag", "Timeout"),
		"responses":  withFailures(object{"200": page, "304": object{"description": "The caller has this page."}}, 400, 404, 429, 500, 503, 504),
	})
	d.operation(base+"/{key}", "get", object{
		"operationId": "document/" + view + "/" + c.Name, "tags": []string{viewsTag}, "summary": "A document of " + c.Name + " of view " + view + ".",
		"parameters": parameters("Key", "Wait", "IfNoneMatch", "LastTag", "Timeout"),
		"responses":  withFailures(object{"200": one, "304": object{"description": "The caller has this state of it."}}, 400, 404, 429, 500, 503, 504),
	})
}

// viewsTag is no kind's name.
const viewsTag = "(views)"

func withStream(response object) object {
	response["content"].(object)["text/event-stream"] = object{"schema": object{
		"type": "string",
		"description": "Messages of three types: put with a document, delete with its key, and reset, after which all that there is follows as put. " +
			"The id of a message tells of all that the client has then.",
	}}
	return response
}

// viewParameters are those of reads of views.
func viewParameters() object {
	text := anyText(maxKeyBytes)
	key := parameter("path", "key", fmt.Sprintf("Any UTF-8 of 1 to %d bytes, percent-encoded.", maxKeyBytes), text)
	key["required"] = true
	return object{
		"Key":       key,
		"KeyPrefix": parameter("query", "prefix", "What the keys begin with.", text),
		"AfterKey":  parameter("query", "after", "The key after which to begin.", text),
		"Reverse":   parameter("query", "reverse", "From the last key to the first.", object{"type": "boolean", "default": false}),
		"Wait": parameter("query", "wait", "An aggregate and a version of it, as kind/id@version, that the view must show before the answer: "+
			"what came with the reply to a command, so that its effect is seen. 504 view_behind if it does not in time.",
			object{"type": "array", "maxItems": maxWaits, "items": object{"type": "string", "pattern": `^[a-z][0-9a-z_-]{0,63}/[\s\S]{1,64}@(0|[1-9][0-9]{0,17})$`}}),
		"LastTag": header("Last-Event-ID", "The id of the last message of a stream: if all is still as it was then, nothing is sent again.", shortText()),
	}
}
