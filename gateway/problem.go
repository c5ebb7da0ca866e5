package gateway

import (
	"net/http"

	"github.com/ganglion-go/ganglion/actor"
)

// Problem is the body of every failure: RFC 9457, application/problem+json,
// with the members code, version and details added. Its type is about:blank.
type Problem struct {
	Title  string `json:"title"` // of the status
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // for people
	// Code is stable: one of [actor.Code], unknown_route, method_not_allowed,
	// request_timeout, unauthenticated, forbidden, internal, unavailable, no_such_version, replay_too_long, unknown_view,
	// unknown_collection, no_such_document, not_followed or view_behind; or, under status 422, the
	// aggregate's own.
	Code actor.Code `json:"code"`
	// Version of the aggregate that made the decision; 0 when none was made.
	Version actor.Version  `json:"version,omitempty"`
	Details map[string]any `json:"details,omitempty"` // of a rejection
	// Incident names the line of a node's log that has what is not for callers.
	Incident string `json:"incident,omitempty"`

	allow string // methods, for 405
	retry bool   // send Retry-After
	close bool   // the rest of the body will not be read

	challenges []string // values of WWW-Authenticate, for 401
}

// Codes of the gateway itself.
const (
	codeUnknownRoute     actor.Code = "unknown_route"
	codeMethodNotAllowed actor.Code = "method_not_allowed"
	codeRequestTimeout   actor.Code = "request_timeout"
	codeInternal         actor.Code = "internal"
	codeUnavailable      actor.Code = "unavailable"
	codeNoSuchVersion    actor.Code = "no_such_version"
	codeReplayTooLong    actor.Code = "replay_too_long"

	codeUnknownView       actor.Code = "unknown_view"
	codeUnknownCollection actor.Code = "unknown_collection"
	codeNoSuchDocument    actor.Code = "no_such_document"
	codeNotFollowed       actor.Code = "not_followed"
	codeViewBehind        actor.Code = "view_behind"

	codeUnauthenticated actor.Code = "unauthenticated"
	codeForbidden       actor.Code = "forbidden"
)

// retryAfter is what Retry-After says, in seconds. A partition is served again
// within seconds, a queue drains faster.
const retryAfter = "1"

// failure is what the gateway makes of a code.
type failure struct {
	status  int
	meaning string
	retry   bool
}

// failureOf is the table of the outer contract.
func failureOf(code actor.Code) failure {
	switch code {
	case actor.CodeOK:
		return failure{status: http.StatusOK, meaning: "executed and durable"}
	case actor.CodeMalformed:
		return failure{status: http.StatusBadRequest, meaning: "the request is malformed; nothing was executed"}
	case actor.CodeUnknownKind:
		return failure{status: http.StatusNotFound, meaning: "no such kind of aggregate"}
	case actor.CodeUnknownCommand:
		return failure{status: http.StatusNotFound, meaning: "the kind has no such command or query"}
	case actor.CodeAlreadyExists:
		return failure{status: http.StatusConflict, meaning: "the aggregate already exists"}
	case actor.CodeDoesNotExist:
		return failure{status: http.StatusConflict, meaning: "the aggregate does not exist"}
	case actor.CodeEnded:
		return failure{status: http.StatusConflict, meaning: "the saga has ended and takes no commands"}
	case actor.CodeCancelled:
		return failure{status: http.StatusConflict, meaning: "the timer is not set to this command any more; nothing was executed"}
	case actor.CodeVersionMismatch:
		return failure{status: http.StatusPreconditionFailed, meaning: "the aggregate is not at the expected version"}
	case actor.CodeTooLarge:
		return failure{status: http.StatusRequestEntityTooLarge, meaning: "a limit of size was exceeded; nothing was executed"}
	case actor.CodeRejected:
		return failure{status: http.StatusUnprocessableEntity, meaning: "the aggregate rejected the command"}
	case actor.CodeKeyReused:
		return failure{status: http.StatusUnprocessableEntity, meaning: "the key was used for another command, or for the same with another body; nothing was executed"}
	case actor.CodeOverloaded:
		return failure{status: http.StatusTooManyRequests, meaning: "overloaded; nothing was executed", retry: true}
	case actor.CodeNoOwner:
		return failure{status: http.StatusServiceUnavailable, meaning: "nobody served the aggregate's partition in time; nothing was executed", retry: true}
	case actor.CodeExpired:
		return failure{status: http.StatusServiceUnavailable, meaning: "the deadline passed before the command was reached; it was not executed", retry: true}
	case actor.CodeUnknownOutcome:
		return failure{status: http.StatusGatewayTimeout, meaning: "the command may or may not have been executed; ask again with the same id"}
	case actor.CodeParked:
		return failure{status: http.StatusInternalServerError, meaning: "the handler failed; the command waits for an operator"}
	case actor.CodeStorageFull:
		return failure{status: http.StatusInsufficientStorage, meaning: "the disk of this node is full, or fails; nothing was executed by this request", retry: true}
	case actor.CodeUnloadable:
		return failure{status: http.StatusInternalServerError, meaning: "the aggregate cannot be loaded or shown by this build; nothing was executed"}
	}
	// Not one of the closed set: from a newer node perhaps. Nobody can say what
	// it means for the command, and that is what the caller is told.
	return failureOf(actor.CodeUnknownOutcome)
}

// ownFailures are the failures that the gateway adds.
func ownFailures() map[actor.Code]failure {
	return map[actor.Code]failure{
		codeUnknownRoute:      {status: http.StatusNotFound, meaning: "no such route"},
		codeMethodNotAllowed:  {status: http.StatusMethodNotAllowed, meaning: "the route has another method, see Allow"},
		codeRequestTimeout:    {status: http.StatusRequestTimeout, meaning: "the body did not arrive in time; nothing was executed"},
		codeInternal:          {status: http.StatusInternalServerError, meaning: "a part of the gateway failed"},
		codeUnknownView:       {status: http.StatusNotFound, meaning: "no such view"},
		codeUnknownCollection: {status: http.StatusNotFound, meaning: "the view has no such collection"},
		codeNoSuchDocument:    {status: http.StatusNotFound, meaning: "the collection has no document under this key"},
		codeNotFollowed:       {status: http.StatusNotFound, meaning: "the view does not follow the kind that is waited for, and never shows a version of it"},
		codeViewBehind:        {status: http.StatusGatewayTimeout, meaning: "the view did not show the awaited version in time; nothing was executed", retry: true},

		codeNoSuchVersion: {status: http.StatusNotFound, meaning: "the history ends before that version"},
		codeReplayTooLong: {status: http.StatusUnprocessableEntity, meaning: "too many events would have to be replayed"},
		codeUnavailable:   {status: http.StatusServiceUnavailable, meaning: "a read of the store or the cluster failed", retry: true},

		codeUnauthenticated: {status: http.StatusUnauthorized, meaning: "credentials are required; nothing was executed"},
		codeForbidden:       {status: http.StatusForbidden, meaning: "the principal does not have the right to do this; nothing was executed"},
	}
}

// newProblem returns the problem for a code. Without a detail it tells what the
// code means.
func newProblem(code actor.Code, detail string) *Problem {
	f, own := ownFailures()[code]
	if !own {
		f = failureOf(code)
		if f.status == http.StatusGatewayTimeout {
			code = actor.CodeUnknownOutcome
		}
	}
	if detail == "" {
		detail = f.meaning
	}
	return &Problem{Title: http.StatusText(f.status), Status: f.status, Detail: detail, Code: code, retry: f.retry}
}

func malformed(detail string) *Problem { return newProblem(actor.CodeMalformed, detail) }

// problemOf returns the problem for an outcome that is not CodeOK.
func problemOf(o actor.Outcome) *Problem {
	p := newProblem(o.Code, o.Detail)
	p.Version, p.Incident = o.Version, o.Incident
	if r := o.Rejection; o.Code == actor.CodeRejected && r != nil {
		p.Code, p.Detail, p.Details = actor.Code(r.Code), r.Message, r.Details
	}
	return p
}

func (p *Problem) write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if len(p.challenges) > 0 {
		h["Www-Authenticate"] = p.challenges
	}
	if p.retry {
		h.Set("Retry-After", retryAfter)
	}
	if p.close {
		h.Set("Connection", "close")
	}
	data, err := encode(p)
	if err != nil {
		// Only a rejection's details are free in form.
		q := *p
		q.Details = nil
		if data, err = encode(q); err != nil {
			return err
		}
	}
	return writeBody(w, p.Status, data)
}
