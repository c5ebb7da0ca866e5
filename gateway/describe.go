package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/ganglion-go/ganglion/actor"
)

func (g *Gateway) serveDescription(ctx context.Context, c *call) *Problem {
	document, tag := g.describedAt(mountedAt(c.r))
	if c.notModified(tag) {
		return nil
	}
	c.w.Header().Set("Content-Type", "application/json")
	g.written(ctx, writeBody(c.w, http.StatusOK, document))
	return nil
}

// describer makes the OpenAPI document.
type describer struct {
	cfg    Config
	paths  map[string]object
	faults []error
}

// describe returns the OpenAPI 3.1 document of the given definitions.
func describe(behaviors map[actor.Kind]*actor.Behavior, cfg Config) ([]byte, error) {
	components := object{}
	d := &describer{cfg: cfg, paths: map[string]object{}}
	tags := []object{}
	d.describeOwn(newSchemas(components, ""))
	for _, kind := range slices.Sorted(maps.Keys(behaviors)) {
		if behaviors[kind].IsPolicy() {
			continue // it has no aggregates
		}
		tags = append(tags, object{"name": string(kind), "description": fmt.Sprintf("Aggregates of kind %s.", kind)})
		s := newSchemas(components, kind)
		s.strict = behaviors[kind].IsStrict()
		d.describeKind(behaviors[kind], s)
	}
	if cfg.Views != nil {
		tags = append(tags, object{"name": viewsTag, "description": "Read models."})
		d.describeViews(newSchemas(components, "Views"))
	}
	document := object{
		"openapi": "3.1.0",
		"info":    object{"title": "Ganglion gateway", "version": "1", "description": apiDescription},
		"tags":    append(tags, object{"name": clusterTag, "description": "The cluster itself."}),
		"paths":   d.paths,
		"components": object{
			"schemas":    components,
			"parameters": d.parameters(),
			"headers":    sharedHeaders(),
			"responses":  failureResponses(cfg),
		},
	}
	d.secure(document)
	data, err := json.MarshalIndent(document, "", " ")
	return data, errors.Join(append(d.faults, err)...)
}

// clusterTag is no kind's name, which starts with a letter.
const clusterTag = "(cluster)"

const apiDescription = "Commands, queries, states and events of event-sourced aggregates. " +
	"An id is one percent-encoded path segment. Every failure is an application/problem+json with a stable code."

func (d *describer) describeOwn(s *schemas) {
	s.components["Problem"] = object{
		"type": "object", "required": []string{"title", "status", "code"},
		"description": "RFC 9457, of type about:blank.",
		"properties": object{
			"title":    object{"type": "string"},
			"status":   object{"type": "integer"},
			"detail":   object{"type": "string", "description": "For people."},
			"code":     object{"type": "string", "description": "Stable. Under status 422 it is the aggregate's own."},
			"version":  object{"type": "integer", "minimum": 1, "description": "Of the aggregate that made the decision."},
			"details":  object{"type": "object", "description": "Of a rejection."},
			"incident": object{"type": "string", "description": "Names the line of a node's log that has what is not for callers."},
		},
	}
	s.components["Accepted"] = objectSchema(object{"commandId": object{"type": "string"}})
	s.components["Version"] = object{"type": "integer", "minimum": 0, "description": "The number of events in the aggregate's history."}
	d.operation("/openapi.json", "get", object{
		"operationId": "description", "tags": []string{clusterTag}, "summary": "This document.",
		"parameters": parameters("IfNoneMatch", "Timeout"),
		"responses": withFailures(object{
			"200": answer("An OpenAPI 3.1 document.", object{"type": "object"}),
			"304": object{"description": "The caller has this document."},
		}, 400),
	})
	if d.cfg.History != nil {
		s.components["IDPage"], s.components["Difference"] = idPageSchema(), differenceSchema()
		s.components["EventPage"] = objectSchema(object{
			"events": object{"type": "array", "items": d.schema(s, reflect.TypeFor[Event](), output)},
			"next": object{
				"allOf":       []object{ref("schemas", "Version")},
				"description": "What to pass as after for the following page. It is the given after when the page is empty.",
			},
		})
	}
	if d.cfg.Cluster != nil {
		view := d.schema(s, reflect.TypeFor[ClusterView](), output)
		d.operation("/v1/cluster", "get", object{
			"operationId": "cluster", "tags": []string{clusterTag}, "summary": "Members, partitions, owners, epochs and lag.",
			"parameters": parameters("Timeout"),
			"responses":  withFailures(object{"200": answer("As one node sees it.", view)}, 400, 500, 503),
		})
	}
}

// describeKind describes what can be done with one kind. Outputs come first:
// their schemas get the plain names.
func (d *describer) describeKind(b *actor.Behavior, s *schemas) {
	state := d.schema(s, b.StateType(), output)
	replies := map[string]any{}
	for c := range d.commands(b) {
		replies["command "+c.Name] = d.schema(s, c.Reply, output)
	}
	for q := range d.queries(b) {
		replies["query "+q.Name] = d.schema(s, q.Reply, output)
	}
	base := "/v1/" + string(b.Kind()) + "/{id}"
	d.operation(base, "get", d.stateOperation(b, state))
	if d.cfg.History != nil {
		d.describeAggregates(b)
		d.describePast(b)
		d.operation(base+"/events", "get", eventsOperation(b))
	}
	for c := range d.commands(b) {
		d.operation(base+"/"+c.Name, "post", d.commandOperation(b, c, s, replies["command "+c.Name]))
	}
	d.describeCreation(b, s, state, replies)
	for q := range d.queries(b) {
		d.operation(base+"/queries/"+q.Name, "post", d.queryOperation(b, q, s, replies["query "+q.Name]))
	}
}

func (d *describer) operation(path, method string, operation object) {
	if d.paths[path] == nil {
		d.paths[path] = object{}
	}
	d.paths[path][method] = d.guarded(operation, path == endpointDescription.info().template)
}

func (d *describer) schema(s *schemas, t reflect.Type, dir direction) any {
	schema, err := s.of(t, dir)
	if err != nil {
		d.faults = append(d.faults, err)
	}
	return schema
}

func (d *describer) stateOperation(b *actor.Behavior, state any) object {
	params := parameters("ID", "IfMatch", "IfNoneMatch", "Timeout", "Traceparent", "CorrelationID", "CausationID")
	failures := []int{400, 404, 412, 413, 429, 500, 503, 504}
	if d.cfg.History != nil {
		failures = append(failures, 422) // of the past
		params = append(params, ref("parameters", "Consistency"), ref("parameters", "Version"), ref("parameters", "At"))
	}
	return object{
		"operationId": "state/" + string(b.Kind()), "tags": []string{string(b.Kind())},
		"summary": "The state.", "parameters": params,
		"responses": withFailures(object{
			"200": versioned(answer("The state.", objectSchema(object{"version": ref("schemas", "Version"), "state": state}))),
			"304": object{"description": "The caller has this version."},
		}, failures...),
	}
}

func eventsOperation(b *actor.Behavior) object {
	page := answer("A page, or with Accept: text/event-stream the events as they come.", ref("schemas", "EventPage"))
	page["content"].(object)["text/event-stream"] = object{"schema": object{
		"type":        "string",
		"description": "One message for each event: its id is the version, its data the same object as in a page.",
	}}
	return object{
		"operationId": "events/" + string(b.Kind()), "tags": []string{string(b.Kind())},
		"summary": "The events.", "parameters": parameters("ID", "After", "Limit", "LastEventID", "Timeout"),
		"responses": withFailures(object{"200": page}, 400, 404, 429, 500, 503),
	}
}

func (d *describer) commandOperation(b *actor.Behavior, c actor.HandlerInfo, s *schemas, reply any) object {
	ok := versioned(answer("Executed and durable.", objectSchema(object{"version": ref("schemas", "Version"), "reply": reply})))
	ok["headers"].(object)[headerCommandID] = ref("headers", headerCommandID)
	ok["headers"].(object)[headerReplayed] = ref("headers", headerReplayed)
	accepted := answer("Stored durably, with Prefer: respond-async; it will be executed.", ref("schemas", "Accepted"))
	accepted["headers"] = object{
		headerCommandID:      ref("headers", headerCommandID),
		"Preference-Applied": object{"schema": object{"type": "string"}},
	}
	return object{
		"operationId": "command/" + string(b.Kind()) + "/" + c.Name, "tags": []string{string(b.Kind())},
		"summary": c.Name + creationText(c.Creation),
		"parameters": parameters("ID", "IdempotencyKey", "IfMatch", "IfNoneMatchAny", "Prefer", "Lane",
			"Timeout", "Traceparent", "CorrelationID", "CausationID"),
		"requestBody": requestBody(b, d.schema(s, c.Payload, input)),
		"responses": withFailures(object{"200": ok, "202": accepted, "422": rejections(b)},
			400, 404, 408, 409, 412, 413, 429, 500, 503, 504, 507),
	}
}

func (d *describer) queryOperation(b *actor.Behavior, q actor.HandlerInfo, s *schemas, reply any) object {
	ok := versioned(answer("The answer.", objectSchema(object{"version": ref("schemas", "Version"), "reply": reply})))
	return object{
		"operationId": "query/" + string(b.Kind()) + "/" + q.Name, "tags": []string{string(b.Kind())},
		"summary": q.Name + creationText(q.Creation),
		"parameters": parameters("ID", "IfMatch", "IfNoneMatchAny", "Timeout",
			"Traceparent", "CorrelationID", "CausationID"),
		"requestBody": requestBody(b, d.schema(s, q.Payload, input)),
		"responses": withFailures(object{"200": ok, "422": rejections(b)},
			400, 404, 408, 409, 412, 413, 429, 500, 503, 504, 507),
	}
}

func creationText(c actor.Creation) string {
	switch c {
	case actor.MustBeNew:
		return " (of a new aggregate)"
	case actor.MustExist:
		return " (of an existing aggregate)"
	case actor.CreateOrUse:
	}
	return ""
}

// rejections lists the declared reasons for which an aggregate says no.
func rejections(b *actor.Behavior) object {
	response := failureResponse(http.StatusUnprocessableEntity)
	examples := object{}
	for _, r := range b.Rejections() {
		examples[r.Code] = object{"summary": r.Message, "value": problemOf(actor.Outcome{Code: actor.CodeRejected, Rejection: r})}
	}
	if len(examples) > 0 {
		response["content"].(object)["application/problem+json"].(object)["examples"] = examples
	}
	return response
}

func withFailures(responses object, statuses ...int) object {
	for _, status := range statuses {
		responses[strconv.Itoa(status)] = ref("responses", strconv.Itoa(status))
	}
	return responses
}
