package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/ganglion-go/ganglion/actor"
)

// idsBody is a page of the aggregates of a kind.
type idsBody struct {
	IDs  []string `json:"ids"`
	Next string   `json:"next,omitempty"` // empty: there are no more
}

func (g *Gateway) serveAggregates(ctx context.Context, c *call) *Problem {
	page, p := parseKeyPage(c.params, actor.MaxIDBytes)
	if p != nil {
		return p
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	ids, err := g.cfg.History.Aggregates(ctx, c.route.target.Kind, page.prefix, page.after, page.limit+1)
	if err != nil {
		return g.readFailed(ctx, "list aggregates", err)
	}
	body := idsBody{IDs: ids}
	if len(ids) > page.limit {
		body.IDs = ids[:page.limit]
		body.Next = ids[page.limit-1]
	}
	if body.IDs == nil {
		body.IDs = []string{}
	}
	c.linkNext(body.Next)
	return c.replyTagged(body)
}

// keyPage is what a request for a page of ids or keys asks for.
type keyPage struct {
	prefix, after string
	limit         int
}

// parseKeyPage reads prefix, after and limit. Prefix and after are UTF-8 of at most
// maxBytes.
func parseKeyPage(params params, maxBytes int) (page keyPage, p *Problem) {
	var err error
	if page.prefix, err = keyParameter(params, "prefix", maxBytes); err != nil {
		return page, malformed(err.Error())
	}
	if page.after, err = keyParameter(params, "after", maxBytes); err != nil {
		return page, malformed(err.Error())
	}
	if page.limit, err = parseLimit(params); err != nil {
		return page, malformed(err.Error())
	}
	return page, nil
}

func keyParameter(params params, name string, maxBytes int) (string, error) {
	text, err := params.ofQueryRaw(name)
	if err == nil && len(text) > maxBytes {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxBytes)
	}
	return text, err
}

// linkNext tells the following page of a list, as RFC 8288 has it: its reference is
// relative to the URL of the request.
func (c *call) linkNext(after string) {
	if after == "" {
		return
	}
	query := maps.Clone(c.params.query)
	query.Set("after", after)
	c.w.Header().Set("Link", "<?"+query.Encode()+`>; rel="next"`)
}

// replyTagged answers with v under an entity tag that is made of it, or that the caller
// has it.
func (c *call) replyTagged(v any) *Problem {
	data, err := encode(v)
	if err != nil {
		return newProblem(codeInternal, "the answer is not valid JSON")
	}
	if c.notModified(contentTag(data)) {
		return nil
	}
	c.w.Header().Set("Content-Type", "application/json")
	_ = writeBody(c.w, http.StatusOK, data) // fails when the client has gone
	return nil
}

// describeAggregates adds the list of a kind.
func (d *describer) describeAggregates(b *actor.Behavior) {
	kind := string(b.Kind())
	page := answer("A page of ids, sorted by their bytes.", ref("schemas", "IDPage"))
	page["headers"] = object{"ETag": ref("headers", "ContentTag"), "Link": ref("headers", "Link")}
	d.operation("/v1/"+kind, "get", object{
		"operationId": "list/" + kind, "tags": []string{kind},
		"summary": "The aggregates that exist.", "parameters": parameters("Prefix", "AfterID", "PageLimit", "IfNoneMatch", "Timeout"),
		"responses": withFailures(object{"200": page, "304": object{"description": "The caller has this page."}}, 400, 404, 429, 500, 503),
	})
}

// idParameters are those of lists.
func idParameters() object {
	return object{
		"Prefix":    parameter("query", "prefix", "What the ids begin with.", anyText(actor.MaxIDBytes)),
		"AfterID":   parameter("query", "after", "The id after which to begin.", anyText(actor.MaxIDBytes)),
		"PageLimit": parameter("query", "limit", "The most entries of a page.", object{"type": "integer", "minimum": 1, "maximum": maxPageEvents, "default": defaultPageEvents}),
	}
}

// anyText is the schema of a part of an id or a key.
func anyText(most int) object {
	return object{"type": "string", "minLength": 1, "maxLength": most, "pattern": `^[\s\S]+$`}
}

func idPageSchema() object {
	return object{
		"type": "object", "required": []string{"ids"},
		"properties": object{
			"ids":  object{"type": "array", "items": object{"type": "string"}},
			"next": object{"type": "string", "description": "What to pass as after for the following page. It is absent at the end."},
		},
	}
}
