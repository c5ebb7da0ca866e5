package gateway

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/ganglion-go/ganglion/actor"
)

// describeCreation describes the commands that make an aggregate. Each shares its path
// with the state of the aggregate whose id is the command's name.
func (d *describer) describeCreation(b *actor.Behavior, s *schemas, state any, replies map[string]any) {
	for c := range d.commands(b) {
		if !d.cfg.creates(b, c.Name) {
			continue
		}
		path := "/v1/" + string(b.Kind()) + "/" + c.Name
		d.operation(path, "post", d.createOperation(b, c, s, replies["command "+c.Name]))
		read := d.stateOperation(b, state)
		read["operationId"] = fmt.Sprintf("state/%s/%s", b.Kind(), c.Name)
		read["summary"] = fmt.Sprintf("The state of the aggregate whose id is %q.", c.Name)
		read["parameters"] = read["parameters"].([]object)[1:] // without the id
		d.operation(path, "get", read)
	}
}

// createOperation is that of a command to a new aggregate.
func (d *describer) createOperation(b *actor.Behavior, c actor.HandlerInfo, s *schemas, reply any) object {
	op := d.commandOperation(b, c, s, reply)
	id := object{"type": "string", "description": "Of the aggregate: a UUID. It follows from the command's id, so that a repetition means the same one."}
	location := object{"description": "The path of the aggregate.", "schema": object{"type": "string"}}
	done := op["responses"].(object)["200"].(object)
	delete(op["responses"].(object), "200")
	body := objectSchema(object{"id": id, "version": ref("schemas", "Version"), "reply": reply})
	for status, description := range map[int]string{
		201: "Executed and durable: the aggregate exists.",
		200: "Executed, and nothing came of it: there is no such aggregate.",
	} {
		response := answer(description, body)
		response["headers"] = cloneHeaders(done)
		if status == 201 {
			response["headers"].(object)["Location"] = location
		}
		op["responses"].(object)[strconv.Itoa(status)] = response
	}
	accepted := answer("Stored durably, with Prefer: respond-async; it will be executed.",
		objectSchema(object{"id": id, "commandId": object{"type": "string"}}))
	accepted["headers"] = cloneHeaders(op["responses"].(object)["202"].(object))
	accepted["headers"].(object)["Location"] = location
	op["responses"].(object)["202"] = accepted
	op["operationId"] = "create/" + string(b.Kind()) + "/" + c.Name
	op["summary"] = c.Name + " (of a new aggregate, whose id is made)"
	op["parameters"] = parameters("IdempotencyKey", "IfNoneMatchAny", "Prefer", "Lane", "Timeout",
		"Traceparent", "CorrelationID", "CausationID")
	return op
}

func cloneHeaders(response object) object {
	return maps.Clone(response["headers"].(object))
}
