package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wI2L/jsondiff"

	"github.com/ganglion-go/ganglion/actor"
)

// servePast shows the state at a version or a time. It is what this node reads in the
// store, and the same whoever is asked: what has been committed changes no more. No
// history below the last commit that the caller knows of is ever missing.
func (g *Gateway) servePast(ctx context.Context, c *call, m Moment, expect actor.Expectation) *Problem {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	past, p := g.pastState(ctx, c, m)
	switch {
	case p != nil:
		return p
	case past.Version == 0:
		return noSuchAggregate("the aggregate did not exist then")
	case expect.Exact && expect.Version != past.Version:
		return problemOf(actor.Outcome{Code: actor.CodeVersionMismatch, Version: past.Version})
	case c.notModified(etag(past.Version)):
		return nil
	}
	return c.reply(http.StatusOK, stateBody{Version: past.Version, State: past.State})
}

// diffBody is what has changed between two moments.
type diffBody struct {
	From    actor.Version  `json:"from"`
	Version actor.Version  `json:"version"`
	Patch   jsondiff.Patch `json:"patch"` // RFC 6902
}

// serveDiff shows the difference of two states.
func (g *Gateway) serveDiff(ctx context.Context, c *call) *Problem {
	from, given, err := parseMoment(c.params, "from", "fromAt")
	if err != nil {
		return malformed(err.Error())
	}
	if !given {
		from = Moment{}
	}
	to, _, err := parseMoment(c.params, "version", "at")
	if err != nil {
		return malformed(err.Error())
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	before, p := g.pastState(ctx, c, from)
	if p != nil {
		return p
	}
	after, p := g.pastState(ctx, c, to)
	switch {
	case p != nil:
		return p
	case before.Version == 0 && after.Version == 0:
		return noSuchAggregate("the aggregate did not exist then")
	case c.notModified(fmt.Sprintf(`"%d-%d"`, before.Version, after.Version)):
		return nil
	}
	patch, err := difference(before.State, after.State)
	if err != nil {
		return newProblem(codeInternal, "the states cannot be compared")
	}
	return c.reply(http.StatusOK, diffBody{From: before.Version, Version: after.Version, Patch: patch})
}

// difference returns the JSON Patch that makes one state of another; of an aggregate that
// does not exist it is null.
func difference(before, after json.RawMessage) (jsondiff.Patch, error) {
	for _, state := range []*json.RawMessage{&before, &after} {
		if *state == nil {
			*state = json.RawMessage("null")
		}
	}
	patch, err := jsondiff.CompareJSON(before, after, jsondiff.UnmarshalFunc(unmarshalExact))
	if err != nil {
		return nil, fmt.Errorf("compare states: %w", err)
	}
	return append(jsondiff.Patch{}, patch...), nil
}

// unmarshalExact keeps the digits of numbers.
func unmarshalExact(data []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	return d.Decode(v) //nolint:wrapcheck // the caller does
}

// pastState reads a state in the store.
func (g *Gateway) pastState(ctx context.Context, c *call, m Moment) (PastState, *Problem) {
	if c.behavior == nil {
		return PastState{}, newProblem(actor.CodeUnknownKind, "this node has no definition of the kind, and cannot tell its past")
	}
	past, err := g.cfg.History.At(ctx, c.route.target, m)
	if err == nil {
		return past, nil
	}
	if e, ok := errors.AsType[*NoVersionError](err); ok {
		return PastState{}, newProblem(codeNoSuchVersion, fmt.Sprintf("the history ends before version %d", e.Version))
	}
	if e, ok := errors.AsType[*ReplayError](err); ok {
		return PastState{}, newProblem(codeReplayTooLong, fmt.Sprintf("more than %d events would have to be replayed; only the newest snapshot is kept", e.Max))
	}
	return PastState{}, g.readFailed(ctx, "read past state", err)
}

// parsePast reads which state is asked for, if it is not the present one.
func (g *Gateway) parsePast(params params) (m Moment, given bool, err error) {
	m, given, err = parseMoment(params, "version", "at")
	if given && g.cfg.History == nil {
		return m, false, errors.New("version and at are not offered")
	}
	return m, given, err
}

// parseMoment reads a version and a time, both of which bound the moment; without either
// it is the latest.
func parseMoment(params params, version, at string) (m Moment, given bool, err error) {
	m = Latest()
	text, err := params.ofQuery(version)
	if err == nil && text != "" {
		m.Version, err = parseVersion(version, text)
	}
	if err != nil {
		return m, false, err
	}
	when, err := params.ofQuery(at)
	if err != nil || when == "" {
		return m, text != "", err
	}
	if m.Time, err = parseTime(when); err != nil {
		return m, false, fmt.Errorf("%s must be a time such as 2026-01-02T15:04:05.5Z or 2026-01-02T15:04:05+01:00, of which a URL has the + as %%2B", at)
	}
	if m.Time.IsZero() { // year 1 is a time like others
		m.Time = m.Time.Add(1)
	}
	return m, true, nil
}

// parseTime reads a time of RFC 3339. A leap second is the moment that it ends with.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	const second = len("2006-01-02T15:04:")
	if err != nil && len(text) > second+2 && text[second-1:second+2] == ":60" {
		if t, err = time.Parse(time.RFC3339, text[:second]+"59"+text[second+2:]); err == nil {
			t = t.Truncate(time.Second).Add(time.Second)
		}
	}
	return t, err //nolint:wrapcheck // the caller says what is wrong
}

// describePast adds the difference of two states of a kind.
func (d *describer) describePast(b *actor.Behavior) {
	kind := string(b.Kind())
	d.operation("/v1/"+kind+"/{id}/diff", "get", object{
		"operationId": "diff/" + kind, "tags": []string{kind},
		"summary":    "What has changed in the state between two versions or times.",
		"parameters": parameters("ID", "From", "FromAt", "Version", "At", "IfNoneMatch", "Timeout"),
		"responses": withFailures(object{
			"200": tagged(answer("The difference.", ref("schemas", "Difference")), "DiffTag"),
			"304": object{"description": "The caller has this difference."},
		}, 400, 404, 422, 429, 500, 503),
	})
}

func tagged(response object, header string) object {
	response["headers"] = object{"ETag": ref("headers", header)}
	return response
}

// pastParameters are those of looks at the past.
func pastParameters() object {
	version := object{"type": "integer", "format": "int64", "minimum": 0, "maximum": uint64(maxVersion)}
	when := object{"type": "string", "format": "date-time", "pattern": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]\d\d:\d\d)$`}
	return object{
		"Version": parameter("query", "version", "The state at this version, as it is stored.", version),
		"At":      parameter("query", "at", "The state at this time, as it is stored. With version, the earlier of the two.", when),
		"From":    parameter("query", "from", "The version to compare with; 0, or neither from nor fromAt: before the first event.", version),
		"FromAt":  parameter("query", "fromAt", "The time to compare with. With from, the earlier of the two.", when),
	}
}

func differenceSchema() object {
	version := func(of string) object {
		return object{"allOf": []object{ref("schemas", "Version")}, "description": of + " 0: the aggregate did not exist, and its state is null."}
	}
	operation := objectSchema(object{
		"op":   object{"type": "string", "enum": []string{"add", "remove", "replace"}},
		"path": object{"type": "string", "description": "A JSON Pointer."},
	})
	operation["properties"].(object)["value"] = object{}
	return objectSchema(object{
		"from":    version("Of the state that is compared with."),
		"version": version("Of the state that is shown."),
		"patch":   object{"type": "array", "items": operation, "description": "A JSON Patch (RFC 6902) that makes the second state of the first."},
	})
}
