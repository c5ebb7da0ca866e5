package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

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

func requestBody(b *actor.Behavior, schema any) object {
	unknown := "tolerated"
	if b.IsStrict() {
		unknown = "refused"
	}
	return object{
		"description": "One JSON object; no body is {}. Unknown fields are " + unknown + ".",
		"content":     object{"application/json": object{"schema": schema}},
	}
}

func sharedHeaders() object {
	return object{
		"ETag": object{
			"description": "The aggregate's version in quotes, to be sent back as If-Match or If-None-Match.",
			"schema":      object{"type": "string", "pattern": `^"[0-9]+"$`},
		},
		"ContentTag": object{
			"description": "Of the content, to be sent back as If-None-Match.",
			"schema":      object{"type": "string", "pattern": `^"[0-9A-Za-z_-]+"$`},
		},
		"DiffTag": object{
			"description": "Of the difference, to be sent back as If-None-Match.",
			"schema":      object{"type": "string", "pattern": `^"[0-9]+-[0-9]+"$`},
		},
		"Link": object{
			"description": "With rel=\"next\", the following page, relative to the URL of the request; absent at the end.",
			"schema":      object{"type": "string"},
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
func failureResponses(cfg Config) object {
	responses := object{}
	for _, status := range append(failureStatuses(), cfg.rightsStatuses()...) {
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
	switch status {
	case http.StatusMethodNotAllowed:
		headers["Allow"] = object{"schema": object{"type": "string"}}
	case http.StatusUnauthorized:
		headers["WWW-Authenticate"] = object{"schema": object{"type": "string"}}
	default:
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
		actor.CodeMalformed, codeUnauthenticated, codeForbidden, actor.CodeUnknownKind, actor.CodeUnknownCommand, codeUnknownRoute, codeNoSuchVersion, codeUnknownView, codeUnknownCollection, codeNoSuchDocument, codeNotFollowed, codeMethodNotAllowed,
		codeRequestTimeout, actor.CodeAlreadyExists, actor.CodeDoesNotExist, actor.CodeEnded, actor.CodeCancelled,
		actor.CodeVersionMismatch, actor.CodeTooLarge,
		actor.CodeRejected, actor.CodeKeyReused, codeReplayTooLong, actor.CodeOverloaded, actor.CodeNoOwner, actor.CodeExpired, codeUnavailable,
		actor.CodeUnknownOutcome, codeViewBehind, actor.CodeParked, actor.CodeUnloadable, codeInternal, actor.CodeStorageFull,
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
	version := object{"type": "integer", "format": "int64", "minimum": 0, "maximum": uint64(maxVersion)}
	lanes := object{"type": "string", "enum": []string{"durable", "direct"}}
	timeout := fmt.Sprintf("How long the request may take, in milliseconds or seconds, such as 500ms; at most %v, default %v. "+
		"Other Go durations within these bounds are taken as well. The header %s says the same; if both are there they agree.",
		d.cfg.MaxTimeout, d.cfg.DefaultTimeout, headerTimeout)
	lane := "durable: through the command stream. direct: no disk on the way; a command whose owner dies is gone unless the caller asks again. " +
		"The header " + headerLane + " says the same; if both are there they agree."
	all := object{
		"IdempotencyKey": header("Idempotency-Key", "The command's id, scoped to its aggregate. A repeated key gets the recorded outcome. "+otherText, shortText()),
		"IfMatch": header("If-Match", "The version in quotes at which the aggregate must be, or *: it must exist.",
			object{"type": "string", "pattern": `^(\*|"(0|[1-9][0-9]{0,18})")$`}),
		"IfNoneMatch":    header("If-None-Match", "Entity tags that the caller has, or *.", text),
		"IfNoneMatchAny": header("If-None-Match", "*: the aggregate must be new.", object{"type": "string", "const": "*"}),
		"Prefer":         header("Prefer", "respond-async: answer when the command is stored.", text),
		"Lane":           parameter("query", "lane", lane, lanes),
		"Timeout":        parameter("query", "timeout", timeout, object{"type": "string", "pattern": timeoutPattern(d.cfg.MaxTimeout)}),
		"Traceparent":    header("traceparent", "W3C Trace Context. One that is not valid is passed over.", text),
		"CorrelationID":  header("X-Correlation-ID", "The id of the conversation. "+otherText, shortText()),
		"CausationID":    header("X-Causation-ID", "The id of the message that caused this one. "+otherText, shortText()),
		"Consistency": parameter("query", "consistency", "linearizable: the owner's answer. local: this node's own reading of the store, which may be behind.",
			object{"type": "string", "enum": []string{"linearizable", "local"}, "default": "linearizable"}),
		"After":       parameter("query", "after", "The version after which to begin.", version),
		"Limit":       parameter("query", "limit", "The most events of a page.", object{"type": "integer", "minimum": 1, "maximum": maxPageEvents, "default": defaultPageEvents}),
		"LastEventID": header("Last-Event-ID", "The version after which to resume a stream, in the place of after.", version),
	}
	id := parameter("path", "id", fmt.Sprintf("Any UTF-8 of 1 to %d bytes, percent-encoded.", actor.MaxIDBytes),
		object{"type": "string", "minLength": 1, "maxLength": actor.MaxIDBytes})
	id["required"] = true
	all["ID"] = id
	maps.Copy(all, idParameters())
	maps.Copy(all, pastParameters())
	maps.Copy(all, viewParameters())
	return all
}

// otherText is said of headers whose schema has ASCII alone: which bytes a client makes
// of other characters, OpenAPI leaves open.
const otherText = "Other characters are taken as well, as UTF-8."

// shortText returns the schema of a header: text without blanks around it.
func shortText() object {
	return object{"type": "string", "minLength": 1, "maxLength": maxTraceBytes, "pattern": "^[!-~]([ -~]*[!-~])?$"}
}

// timeoutPattern matches whole milliseconds and seconds up to a limit.
func timeoutPattern(most time.Duration) string {
	var units []string
	if n := most / time.Millisecond; n > 0 {
		units = append(units, "("+numbersUpTo(int64(n))+")ms")
	}
	if n := most / time.Second; n > 0 {
		units = append(units, "("+numbersUpTo(int64(n))+")s")
	}
	return "^(" + strings.Join(units, "|") + ")$"
}

// numbersUpTo is a regular expression for the whole numbers from 1 to n: those of fewer
// digits, those that are smaller from some digit on, and n itself. Of 250 it makes
// [1-9][0-9]{0,1}|1[0-9]{2}|2[0-4][0-9]{1}|250.
func numbersUpTo(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var alternatives []string
	if len(digits) > 1 {
		alternatives = append(alternatives, fmt.Sprintf("[1-9][0-9]{0,%d}", len(digits)-2))
	}
	for i, digit := range digits {
		least := '0'
		if i == 0 {
			least = '1'
		}
		if digit > least {
			alternatives = append(alternatives, fmt.Sprintf("%s[%c-%c][0-9]{%d}", digits[:i], least, digit-1, len(digits)-1-i))
		}
	}
	return strings.Join(append(alternatives, digits), "|")
}

func header(name, description string, schema object) object {
	return parameter("header", name, description, schema)
}

func parameter(in, name, description string, schema object) object {
	return object{"in": in, "name": name, "description": description, "schema": schema}
}
