package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

const (
	viewPace  = 100 * time.Millisecond // between two looks at what is followed
	viewReady = time.Second            // for changes to be seen before the first look
)

var errView = errors.New("the view cannot be read")

// viewStream is one client that follows a page of a collection, or a document. It knows
// what the client has by its hash, and sends what differs.
type viewStream struct {
	*stream
	page     ViewRange
	known    map[string]digest
	complete bool   // the page has all documents of its range
	has      digest // of all that the client has
}

// digest is the hash of a document, or of a set of them.
type digest [16]byte

func digestOf(d Document) digest {
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(d.Key)))) //nolint:gosec // of at most a kilobyte
	_, _ = h.Write([]byte(d.Key))
	_, _ = h.Write(d.Value)
	return digest(h.Sum(nil))
}

// toggle puts a document into a set, or takes it out.
func (d *digest) toggle(other digest) {
	for i := range d {
		d[i] ^= other[i]
	}
}

func (d *digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// serveViewStream follows a page or a document until the client goes away, the server
// shuts down, or the view cannot be read.
func (g *Gateway) serveViewStream(ctx context.Context, c *call, r ViewRange, resume string) *Problem {
	if p := g.expired(c); p != nil {
		return p
	}
	leave, p := g.enterStream()
	if p != nil {
		return p
	}
	defer leave()
	prefix := r.Prefix
	if c.route.key != "" {
		prefix = c.route.key
	}
	changes, stop, err := g.cfg.Views.Watch(ctx, c.route.collection, prefix)
	if err != nil {
		return g.viewFailed(ctx, err)
	}
	defer stop()
	select { // what is read after that needs no second look
	case <-changes:
	case <-time.After(viewReady):
	case <-g.ending:
	case <-ctx.Done():
	}
	s := &viewStream{stream: &stream{g: g, c: c, out: http.NewResponseController(c.w)}, page: r, known: map[string]digest{}}
	docs, p := s.look(ctx)
	if p != nil {
		return p
	}
	err = s.begin()
	if err == nil {
		err = s.first(docs, resume)
	}
	if err == nil {
		err = s.follow(ctx, changes)
	}
	g.written(ctx, err)
	return nil
}

// look reads all that is followed, in a time that is bounded also within a stream.
func (s *viewStream) look(ctx context.Context) ([]Document, *Problem) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	if s.c.route.key == "" {
		body, p := s.g.documents(ctx, s.c, s.page)
		s.complete = p == nil && body.Next == ""
		return body.Documents, p
	}
	doc, found, p := s.g.document(ctx, s.c)
	if p != nil || !found {
		return nil, p
	}
	return []Document{doc}, nil
}

// first sends what there is, unless the client says that it has just that.
func (s *viewStream) first(docs []Document, resume string) error {
	var now digest
	for _, d := range docs {
		now.toggle(digestOf(d))
	}
	if resume == now.String() {
		for _, d := range docs {
			s.known[d.Key] = digestOf(d)
		}
		s.has = now
		return nil
	}
	text := fmt.Appendf(nil, "event: reset\nid: %s\ndata: {}\n\n", s.has.String())
	text, err := s.appendChanges(text, docs)
	if err != nil {
		return err
	}
	return s.write(text)
}

// appendChanges adds messages for what the client lacks, and for what it has and should
// not. docs is all that there is.
func (s *viewStream) appendChanges(text []byte, docs []Document) (_ []byte, err error) {
	present := make(map[string]bool, len(docs))
	for _, d := range docs {
		present[d.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		if !present[key] {
			if text, err = s.appendDelete(text, key); err != nil {
				return nil, err
			}
		}
	}
	for _, d := range docs {
		if text, err = s.appendPut(text, d); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (s *viewStream) appendPut(text []byte, d Document) ([]byte, error) {
	is := digestOf(d)
	was, known := s.known[d.Key]
	if known && was == is {
		return text, nil
	}
	if known {
		s.has.toggle(was)
	}
	s.has.toggle(is)
	s.known[d.Key] = is
	return s.appendMessage(text, "put", d)
}

func (s *viewStream) appendDelete(text []byte, key string) ([]byte, error) {
	was, known := s.known[key]
	if !known {
		return text, nil
	}
	s.has.toggle(was)
	delete(s.known, key)
	return s.appendMessage(text, "delete", struct {
		Key string `json:"key"`
	}{key})
}

func (s *viewStream) appendMessage(text []byte, event string, v any) ([]byte, error) {
	data, err := encode(v) // one line, with a newline at its end
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(text, "event: %s\nid: %s\ndata: %s\n", event, s.has.String(), data), nil
}

// follow sends changes as they come, a few looks in a second at most.
func (s *viewStream) follow(ctx context.Context, changes <-chan ViewChange) error {
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	pace := time.NewTimer(viewPace)
	defer pace.Stop()
	rested, due := false, map[string]bool{} // keys to look at
	all := false                            // look at everything
	expiry, stop := s.c.expiry()
	defer stop()
	for {
		if p := s.g.expired(s.c); p != nil {
			return s.writeEnd(p)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.g.ending:
			return nil
		case <-expiry:
			expiry = nil // see stream.follow
			continue
		case <-heartbeat.C:
			if err := s.write([]byte(": keep-alive\n\n")); err != nil {
				return err
			}
		case change := <-changes:
			due[change.Key] = true
			all = all || change.Reset || len(due) > mostKeys
		case <-pace.C:
			rested = true
		}
		if all {
			clear(due)
		}
		if !rested || !all && len(due) == 0 {
			continue
		}
		if err := s.catchUp(ctx, all, due); err != nil && s.g.expired(s.c) == nil {
			return err
		}
		rested, all = false, false
		clear(due)
		pace.Reset(viewPace)
	}
}

// mostKeys is how many documents are read one by one, rather than all of the page.
const mostKeys = 8

// catchUp looks at what has changed and sends it.
func (s *viewStream) catchUp(ctx context.Context, all bool, due map[string]bool) error {
	var text []byte
	var err error
	if all || !s.complete {
		docs, p := s.look(ctx)
		if p != nil {
			return errView
		}
		text, err = s.appendChanges(text, docs)
	} else {
		text, err = s.appendKeys(ctx, slices.Sorted(maps.Keys(due)))
	}
	if err != nil || len(text) == 0 || s.g.expired(s.c) != nil {
		return err // what has been read is not for them any more
	}
	return s.write(text)
}

// appendKeys adds messages for single documents of a page that has all of its range. One
// too many makes it a page like others.
func (s *viewStream) appendKeys(ctx context.Context, keys []string) (text []byte, err error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	for _, key := range keys {
		if !s.page.behindAfter(key) {
			continue
		}
		value, found, err := s.g.cfg.Views.Document(ctx, s.c.route.collection, key)
		if err != nil {
			return nil, errView
		}
		_, known := s.known[key]
		switch {
		case !found:
			text, err = s.appendDelete(text, key)
		case !known && len(s.known) >= s.page.Limit:
			docs, p := s.look(ctx)
			if p != nil {
				return nil, errView
			}
			return s.appendChanges(text, docs)
		default:
			text, err = s.appendPut(text, Document{Key: key, Value: value})
		}
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}
