package gateway

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// EventListener observes a [Gateway]. Every function is optional, is called
// from the request's goroutine and must not block.
type EventListener struct {
	// RequestDone is called after every request; for an event stream, when it
	// has ended.
	RequestDone func(RequestInfo)
	// StreamsChanged is called with the number of open event streams.
	StreamsChanged func(open int)
}

// RequestInfo describes a finished request. All fields but Duration take few
// values: kinds and names that no definition knows are left empty.
type RequestInfo struct {
	Method   string // of those that the gateway serves; else "other"
	Route    string // template, such as "/v1/{kind}/{id}/{command}"; empty: no such route
	Kind     actor.Kind
	Name     string // of the command or query
	Status   int    // 0: the connection was cut before an answer
	Duration time.Duration
}
