package actor

import "time"

// QueryContext is what the handler of a query knows besides the state and the query. It
// raises, sends and sets nothing: a query decides nothing. It is valid until the handler
// returns and belongs to the handler's goroutine.
type QueryContext struct{ context *Context }

// Address returns the aggregate's own address.
func (c *QueryContext) Address() Address { return c.context.Address() }

// Version returns the aggregate's version, as callers are told it: that of the answer.
// See [Instance.Told].
func (c *QueryContext) Version() Version { return c.context.Version() }

// Exists reports whether the aggregate has a history. A query is answered without one, on
// the zero value of the state.
func (c *QueryContext) Exists() bool { return c.context.instance.Exists() }

// Now returns the time at which the owner of the aggregate came to answer, by its own
// clock, in UTC.
func (c *QueryContext) Now() time.Time { return c.context.Now() }

// Metadata returns what travels with the query.
func (c *QueryContext) Metadata() Metadata { return c.context.Metadata() }
