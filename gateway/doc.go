// Package gateway serves aggregates over HTTP and JSON, in front of an
// [actor.Client]. [New] returns an [http.Handler]:
//
//	POST /v1/{kind}/{id}/{Command}          send a command, get its reply
//	POST /v1/{kind}/{Command}               send a command to a new aggregate, whose id is made
//	POST /v1/{kind}/{id}/queries/{Query}    ask a declared query
//	GET  /v1/{kind}                         ids of the aggregates of a kind
//	GET  /v1/{kind}/{id}                    the aggregate's state, of now or of the past
//	GET  /v1/{kind}/{id}/diff               what has changed in it between two moments
//	GET  /v1/{kind}/{id}/events             its events, as pages or as a stream
//	GET  /v1/views/{name}/{collection}      documents of a view, as pages or live
//	GET  /v1/views/{name}/{collection}/{key}
//	GET  /v1/cluster                        members, partitions, owners, epochs, lag
//	GET  /openapi.json                      an OpenAPI 3.1 description made from the definitions
//
// # Paths
//
// The id is one percent-encoded path segment: any UTF-8 of 1 to 256 bytes, so
// "a/b" is written "a%2Fb". Segments are taken as they arrive: "." and ".." are
// ids like any other. [http.ServeMux] cleans paths and would redirect such a
// request, so a Gateway must be the server's handler itself, or be mounted
// behind a switch that does not clean.
//
// # Requests
//
// Headers and parameters of the query follow one rule on every route: each may be
// absent; one that is there has a value, is there once, and is UTF-8 without control
// characters. Else it is 400 malformed. A header and a parameter that mean the same may
// both be there if they agree. Lists (Accept, Prefer, If-None-Match of a read) may have
// several lines and empty members. Parameters that a route does not know are ignored.
//
// A body is one JSON object, whatever its Content-Type says (curl -d declares a
// form); no body is {}. Unknown fields are tolerated, of two fields with the
// same name the last one counts, unless the kind is strict; invalid UTF-8 is refused.
//
//   - Idempotency-Key: the command's id, 1 to 256 bytes of UTF-8 without control
//     characters, scoped to its aggregate, that do not begin with "ganglion.". It is taken as it is but for white
//     space around it; quotes are part of it. A repeated key gets the recorded
//     outcome before anything else is checked. Without a key the gateway makes
//     an id and tells it in Ganglion-Command-ID, also in failures: sent again as
//     Idempotency-Key it repeats the command safely. Any other key is only a text:
//     a time in it means nothing. A repetition is answered with
//     Ganglion-Replayed: true. The same key with another command or another body is
//     refused (422 key_reused); the order of members, white space and how numbers
//     are written do not count.
//   - If-Match: "<version>": the aggregate must be at this version (412);
//     If-Match: * it must exist, If-None-Match: * it must be new (409). A list
//     and a weak tag are refused; both headers at once are 412, but for
//     If-Match: "0", which means what If-None-Match: * does.
//   - Prefer: respond-async: 202 once the command is stored durably; it is then
//     executed even if nobody waits, and without a deadline.
//   - Ganglion-Timeout, or ?timeout=: how long the request may take, as a Go
//     duration such as 500ms. A command carries it as its deadline. The body has
//     [Config.BodyTimeout] of it to arrive (408).
//   - Ganglion-Lane, or ?lane=: durable (through the command stream, the
//     default) or direct (no disk on the way: a command whose owner dies before
//     it has committed is gone unless the caller asks again).
//   - traceparent, X-Correlation-ID and X-Causation-ID travel with the command
//     into its commit. The last two are at most 256 bytes each; a traceparent
//     that is not in the W3C form is ignored, as that standard asks for.
//
// A kind may be called views: its aggregates keep their paths, and collections called
// events and diff have none then. A kind called cluster has no list.
//
// A kind that the gateway has no definition of is refused, unless [Config.Knows]
// says that another node has it, of a newer build perhaps: the request is then
// passed on, and checked by the aggregate's owner.
//
// What a definition keeps for the application itself ([actor.Internal]) does not exist here,
// unless [Config.ExposeInternal] opens it: its routes are answered like those of what is
// not declared, and the description does not have them. All that a gateway sends says that
// it comes from outside ([actor.Message.Outside]), and the owner refuses it likewise.
//
// # New aggregates
//
// POST /v1/{kind}/{Command} makes the id of the aggregate, a UUID, from the kind and the
// command's own id: the Idempotency-Key, or the one that the gateway makes and tells in
// Ganglion-Command-ID. So a repetition means the same aggregate, and gets the recorded
// outcome; the key with another command or another body is 422 key_reused, and in another
// kind it is another aggregate. The answer is 201 {"id":"...","version":n,"reply":...} with
// Location; 202 {"id":"...","commandId":"..."} with Prefer: respond-async; and 200 without
// a Location when the command was carried out and nothing came of it. If-Match is met by
// none but "0" (412). All commands have that route but those of existing aggregates alone ([actor.ExistingOnly]).
// GET and HEAD of the path are of the state of the aggregate with the command's name as its
// id.
//
// # Validation
//
// A command is refused by its own [actor.Validator] with 422: the code of its rejection, or
// invalid. A kind that is strict ([actor.Definition.Strict]) refuses unknown fields with 400
// malformed. Nothing is stored then. The gateway looks first, at commands without a key; one
// with a key goes to its owner in any case, who may have recorded what it came to under
// earlier rules, and is waited for, also with respond-async, if it is invalid.
//
// # Answers
//
// 200 is {"version":n,"reply":...} with ETag "n"; failures are RFC 9457
// problems with a stable code, see [Problem]. Texts of panics, of errors of handlers
// and of the store are not for callers: they are in a node's log, under the incident
// that the problem names. A page of events is
// {"events":[...],"next":v}; next is what to pass as after for the following
// page, and equals the given after when there is nothing newer, which is the end. A
// page may hold fewer events than asked for although there are more.
//
// Versions are places in the history, and have gaps: a place may hold only what
// commands came to that were refused, or changed nothing. version and ETag are those of
// the last event that is shown, and no refusal turns an If-Match into a 412. Pages and streams pass over such places, and so does next. An aggregate without a history has an empty page; its state is 404.
//
// With Accept: text/event-stream the events follow live, one message each with
// the version as its id. A stream resumes after Last-Event-ID, else after
// ?after=. It sends a comment every 15 s, and ends when the server shuts down,
// when the client does not read for 10 s, or when the history cannot be read; a
// client reconnects then, as a browser's EventSource does by itself.
//
// # Events and their causes
//
// An event names the command that raised it, its id, the user, and the ids of the
// conversation (correlationId) and of what caused the command (causationId). The last
// event of each command has under outgoing what its decision sent, did to timers, and
// asked of the world: the target and the name of a command, never what it carries. The
// commandId there is the one under which the target's own events show it. Of an effect
// (action perform) there are its name, the key that the outside service gets, and the names
// of the commands that end it, onResult and onGivenUp: the one that did has that commandId.
//
// # Lists
//
// GET /v1/{kind} is {"ids":[...],"next":...}, sorted by the bytes of the ids: those that
// begin with ?prefix= and come after ?after=, 100 or ?limit= of them, up to 1,000. next, and
// a Link header with rel="next", are absent at the end. What was only ever refused is not
// listed: its state is 404, too. It is a majority read of the store: who was told of a
// command's success finds its aggregate. What a page costs is the store's to say, see
// their packages; on MongoDB it grows with the page alone.
//
// # The past
//
// ?version= shows the state at a version, ?at= (RFC 3339; a + is %2B in a URL) as the last
// commit until then had left it; with both, the earlier. It goes through the definition's upcasters and view, as the
// present state does, and is made by the node that is asked from what the store has: a
// majority read, not one with the aggregate's commands in one order, but of what changes no
// more. It replays 10,000 events at most behind the newest snapshot, or from the
// beginning for what is older than that: 422 replay_too_long otherwise. Version 0 and a
// time before the first event are 404 does_not_exist, a version behind the end is 404
// no_such_version; a time in the future is the newest state that is stored.
//
// GET /v1/{kind}/{id}/diff compares the state at ?from= or ?fromAt= with that at ?version=
// or ?at=, the newest without; without from, with nothing: {"from":3,"version":5,"patch":[...]}, a JSON Patch. The
// state of an aggregate that did not exist is null.
//
// # Views
//
// A page of a collection is {"documents":[{"key":...,"value":...}],"next":...}, as of a
// list; ?reverse=true goes from the last key to the first. A key is one percent-encoded
// segment of 1 to 1,024 bytes. An entity tag is of the content. With
// ?wait=account/a-1@41, up to 16 times, the answer waits until the view shows that version
// of that aggregate: 504 view_behind if it does not within the request's timeout, 404 no_such_version where
// the aggregate's history ends before it, 500 parked
// if an event of it has failed in the view and waits for an operator. Collections that the
// definition says are internal do not exist here.
//
// With Accept: text/event-stream a page or a document is followed, as it is asked for:
// messages of type put with a document, delete with a key, and reset, after which all that
// there is comes as put. What comes into a page or falls out of it is told. The id of a
// message stands for all that the client has then: one that comes back with it as
// Last-Event-ID gets nothing if all is as it was, else a reset. Several
// changes within a tenth of a second may be one. These streams count among
// [Config.MaxStreams] and end as event streams do.
//
// An empty parameter of any of these is refused (400), and so is one that is given twice,
// but for wait.
//
// # Concurrency
//
// A Gateway is safe for concurrent use and starts no goroutine: requests run in
// the server's. [Gateway.EndStreams] ends the event streams, which
// [http.Server.Shutdown] would wait for in vain:
//
//	server := &http.Server{Handler: g, ReadHeaderTimeout: 5 * time.Second}
//	server.RegisterOnShutdown(g.EndStreams)
//
// A request is bounded by its timeout, its body by [Config.BodyTimeout], too, and the
// number of streams by [Config.MaxStreams]. A client that takes no further 128 KiB of an answer within
// 10 s is cut. Both bounds are set for each request, whatever the server's ReadTimeout
// and WriteTimeout say; idle connections are left to its IdleTimeout.
//
// The gateway takes requests for any host and from any origin. Put it behind
// [http.CrossOriginProtection] and a check of the Host header if browsers can reach it,
// which they can on a loopback address, too. Package node does both: it answers with 403
// cross_origin and 421 unknown_host.
//
// # Rights
//
// Without [Config.Authenticate] the gateway authenticates nobody: put it behind something
// that does. With an [Authenticator] every request needs credentials; package jwtauth
// takes signed tokens, package tlsauth client certificates. With an [Authorizer], too, the
// principal needs the right to the [Action] on its target. Each is asked once for each
// request, in this order, before anything else is said:
//
//   - no credentials, or bad ones: 401 unauthenticated, with WWW-Authenticate, for every
//     path, also one that does not exist;
//   - a path of no known shape (404), or an id that none can be (400);
//   - no right: 403 forbidden, whether or not there is such a kind, command or aggregate;
//   - who cannot be checked now, because what decides does not answer: 503 unavailable.
//
// None of these reads the body, asks an owner or the store, or stores anything. The
// principal's name is the [actor.Metadata].User of the command: it is stored, events show
// it as user, and handlers find it in [actor.Context.Metadata]. No header of a request can
// set it. An Idempotency-Key belongs to the principal that used it first: from another one
// it is 422 key_reused, so that nobody gets the reply to somebody else's command.
//
// /openapi.json needs credentials as well, and the right to [ActionDescription], unless
// [Config.PublicDescription] is set.
//
// A stream ends when the credentials end with which it was opened: its last message has
// the type unauthenticated and the problem as its data, and a new stream with the same
// credentials is refused. Rights are asked for when a stream begins, not for each event.
//
// # Redaction
//
// Events show what the aggregate's definition lets outsiders see. If the kind has a view
// of its state ([actor.View]), which may hide some of it, the data of an event is null but
// for types that are declared [actor.Public] or with [actor.Redact]; name, version, time,
// command and user stay. "redacted": true says that data is not what is stored. Kinds
// without a view show their events whole, but for those with Redact. Events of a kind that
// the gateway has no definition of have no data. [Config.WholeEvents] shows everything.
//
// # Failures
//
// After 504 outcome_unknown the caller cannot know whether its command took
// effect; asking again with the same id is always safe. 429, 503 and 507 carry
// Retry-After and mean that nothing was executed. 507 storage_full means that the disk
// of the node is full, or fails; reads go on. 408 means that the body did
// not arrive in time, and 503 unavailable that the history or the cluster's
// state could not be read. 500 internal is a defect: a part of the gateway
// panicked or a reply was not JSON, and a command may have taken effect.
package gateway
