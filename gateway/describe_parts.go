package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/ganglion-go/ganglion/actor"
)

func ref(section, name string) object {
	return object{"$ref": "#/components/" + section + "/" + name}
}

// objectSchema returns the schema of an object that has all the properties.
func objectSchema(properties object) object {
	required := []string{}
	for name := range properties {
		required = append(required, name)
	}
	slices.Sort(required)
	return object{"type": "object", "required": required, "properties": properties}
}

func answer(description string, schema any) object {
	return object{"description": description, "content": object{"application/json": object{"schema": schema}}}
}

// versioned adds the entity tag to a response.
func versioned(response object) object {
	response["headers"] = object{"ETag": ref("headers", "ETag")}
	return response
}

func requestBody(schema any) object {
	return object{
		"description": "One JSON object; no body is {}. Unknown fields are tolerated.",
		"content":     object{"application/json": object{"schema": schema}},
	}
}

func sharedHeaders() object {
	return object{
		"ETag": object{
			"description": "The aggregate's version in quotes, to be sent back as If-Match or If-None-Match.",
			"schema":      object{"type": "string", "pattern": `^"[0-9]+"$`},
		},
		headerCommandID: object{
			"description": "The command's id, if the gateway made it. Sent again as Idempotency-Key it repeats the command safely.",
			"schema":      object{"type": "string"},
		},
		headerReplayed: object{
			"description": "true: the command was decided by an earlier attempt with its id, and this is what it came to.",
			"schema":      object{"type": "string", "const": "true"},
		},
		"Retry-After": object{"description": "Seconds.", "schema": object{"type": "integer"}},
	}
}

// failureResponses describes every status of a failure with its codes.
func failureResponses() object {
	responses := object{}
	for _, status := range failureStatuses() {
		responses[strconv.Itoa(status)] = failureResponse(status)
	}
	return responses
}

func failureStatuses() []int {
	return []int{400, 404, 405, 408, 409, 412, 413, 422, 429, 500, 503, 504, 507}
}

func failureResponse(status int) object {
	description, headers := http.StatusText(status)+".", object{}
	for _, code := range failureCodes() {
		p := newProblem(code, "")
		if p.Status != status && (code != actor.CodeDoesNotExist || status != http.StatusNotFound) {
			continue
		}
		description += fmt.Sprintf("\n- `%s`: %s", p.Code, p.Detail)
		if p.retry {
			headers["Retry-After"] = ref("headers", "Retry-After")
		}
	}
	if status == http.StatusMethodNotAllowed {
		headers["Allow"] = object{"schema": object{"type": "string"}}
	}
	response := object{
		"description": description,
		"content":     object{"application/problem+json": object{"schema": ref("schemas", "Problem")}},
	}
	if len(headers) > 0 {
		response["headers"] = headers
	}
	return response
}

// failureCodes lists all codes but those of rejections, in the order in which
// they are described.
func failureCodes() []actor.Code {
	return []actor.Code{
		actor.CodeMalformed, actor.CodeUnknownKind, actor.CodeUnknownCommand, codeUnknownRoute, codeMethodNotAllowed,
		codeRequestTimeout, actor.CodeAlreadyExists, actor.CodeDoesNotExist, actor.CodeEnded, actor.CodeCancelled,
		actor.CodeVersionMismatch, actor.CodeTooLarge,
		actor.CodeRejected, actor.CodeKeyReused, actor.CodeOverloaded, actor.CodeNoOwner, actor.CodeExpired, codeUnavailable,
		actor.CodeUnknownOutcome, actor.CodeParked, actor.CodeUnloadable, codeInternal, actor.CodeStorageFull,
	}
}

func parameters(names ...string) []object {
	refs := make([]object, len(names))
	for i, name := range names {
		refs[i] = ref("parameters", name)
	}
	return refs
}

func (d *describer) parameters() object {
	text := object{"type": "string"}
	version := object{"type": "integer", "minimum": 0}
	lanes := object{"type": "string", "enum": []string{"durable", "direct"}}
	timeout := fmt.Sprintf("How long the request may take: a Go duration such as 500ms, at most %v; default %v.", d.cfg.MaxTimeout, d.cfg.DefaultTimeout)
	lane := "durable: through the command stream. direct: no disk on the way; a command whose owner dies is gone unless the caller asks again."
	all := object{
		"IdempotencyKey": header("Idempotency-Key", "The command's id, scoped to its aggregate. A repeated key gets the recorded outcome.",
			object{"type": "string", "minLength": 1, "maxLength": actor.MaxCommandIDBytes}),
		"IfMatch":        header("If-Match", "The version in quotes at which the aggregate must be, or *: it must exist.", text),
		"IfNoneMatch":    header("If-None-Match", "Entity tags that the caller has, or *.", text),
		"IfNoneMatchAny": header("If-None-Match", "*: the aggregate must be new.", object{"type": "string", "const": "*"}),
		"Prefer":         header("Prefer", "respond-async: answer when the command is stored.", text),
		"LaneHeader":     header(headerLane, lane, lanes),
		"Lane":           parameter("query", "lane", lane, lanes),
		"TimeoutHeader":  header(headerTimeout, timeout, text),
		"Timeout":        parameter("query", "timeout", timeout, text),
		"Traceparent":    header("traceparent", "W3C Trace Context.", text),
		"CorrelationID":  header("X-Correlation-ID", "The id of the conversation.", object{"type": "string", "maxLength": maxTraceBytes}),
		"CausationID":    header("X-Causation-ID", "The id of the message that caused this one.", object{"type": "string", "maxLength": maxTraceBytes}),
		"Consistency": parameter("query", "consistency", "linearizable: the owner's answer. local: this node's own reading of the store, which may be behind.",
			object{"type": "string", "enum": []string{"linearizable", "local"}, "default": "linearizable"}),
		"After":       parameter("query", "after", "The version after which to begin.", version),
		"Limit":       parameter("query", "limit", "The most events of a page.", object{"type": "integer", "minimum": 1, "maximum": maxPageEvents, "default": defaultPageEvents}),
		"LastEventID": header("Last-Event-ID", "The version after which to resume a stream.", version),
	}
	id := parameter("path", "id", fmt.Sprintf("Any UTF-8 of 1 to %d bytes, percent-encoded.", actor.MaxIDBytes),
		object{"type": "string", "minLength": 1, "maxLength": actor.MaxIDBytes})
	id["required"] = true
	all["ID"] = id
	return all
}

func header(name, description string, schema object) object {
	return parameter("header", name, description, schema)
}

func parameter(in, name, description string, schema object) object {
	return object{"in": in, "name": name, "description": description, "schema": schema}
}
