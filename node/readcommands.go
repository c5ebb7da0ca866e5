package node

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/ganglion-go/ganglion/actor"
)

type inspectCommand struct {
	target
	Aggregate string  `arg:"" help:"Address of the aggregate: kind/id."`
	Version   *uint64 `help:"The state at this version." placeholder:"N"`
	At        string  `help:"The state at this time, as RFC 3339 has it." placeholder:"TIME"`
	From      string  `help:"A version or a time: show what has changed since, as a JSON Patch." placeholder:"N|TIME"`
}

// Run prints the aggregate's version and state, and its last event with the command that
// caused it; or the state of another moment, or what has changed between two.
func (c *inspectCommand) Run(out io.Writer) error {
	path, err := aggregatePath(c.Aggregate)
	if err != nil {
		return err
	}
	query := c.query()
	switch {
	case c.From != "":
		path += "/diff"
	case len(query) == 0:
		body, err := c.call(path)
		if err != nil {
			return err
		}
		return indent(out, c.withLastEvent(path, body))
	}
	body, err := c.call(path + "?" + query.Encode())
	if err != nil {
		return err
	}
	return indent(out, body)
}

// query says which moments are asked for; the node checks them.
func (c *inspectCommand) query() url.Values {
	query := url.Values{}
	if c.Version != nil {
		query.Set("version", strconv.FormatUint(*c.Version, 10))
	}
	if c.At != "" {
		query.Set("at", c.At)
	}
	switch {
	case c.From == "":
	case strings.ContainsFunc(c.From, func(r rune) bool { return !unicode.IsDigit(r) }):
		query.Set("fromAt", c.From)
	default:
		query.Set("from", c.From)
	}
	return query
}

// withLastEvent adds the last event to the state of an aggregate. Where it cannot be
// read, or has been followed by others meanwhile, the state is as it was.
func (c *inspectCommand) withLastEvent(path string, body []byte) []byte {
	var state struct {
		Version   uint64          `json:"version"`
		State     json.RawMessage `json:"state"`
		LastEvent json.RawMessage `json:"lastEvent"`
	}
	if json.Unmarshal(body, &state) != nil || state.Version == 0 {
		return body
	}
	read, err := c.call(fmt.Sprintf("%s/events?after=%d&limit=1", path, state.Version-1))
	var page struct {
		Events []json.RawMessage `json:"events"`
	}
	if err != nil || json.Unmarshal(read, &page) != nil || len(page.Events) == 0 {
		return body
	}
	state.LastEvent = page.Events[0]
	if all, err := json.Marshal(state); err == nil {
		return all
	}
	return body
}

type listCommand struct {
	target
	Kind   string `arg:"" help:"Kind of the aggregates."`
	Prefix string `help:"What their ids begin with."`
	After  string `help:"Id after which to begin."`
	Limit  int    `help:"The most ids to show; 0: all."`
}

// Run prints the ids, one in a line, sorted by their bytes. One that would not be seen as
// it is is printed as a JSON string.
func (c *listCommand) Run(out io.Writer) error {
	if err := actor.Kind(c.Kind).Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.Limit < 0 {
		return fmt.Errorf("--limit %d is negative: %w", c.Limit, ErrConfig)
	}
	w := bufio.NewWriter(out)
	for after, left := c.After, c.Limit; ; {
		query := url.Values{"limit": {"1000"}}
		if c.Limit > 0 {
			query.Set("limit", strconv.Itoa(min(left, 1000)))
		}
		for name, value := range map[string]string{"prefix": c.Prefix, "after": after} {
			if value != "" {
				query.Set(name, value)
			}
		}
		body, err := c.call("/v1/" + c.Kind + "?" + query.Encode())
		if err != nil {
			return err
		}
		var page struct {
			IDs  []string `json:"ids"`
			Next string   `json:"next"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return err
		}
		for _, id := range page.IDs {
			_, _ = fmt.Fprintln(w, idLine(id))
		}
		after, left = page.Next, left-len(page.IDs)
		if after == "" || c.Limit > 0 && left <= 0 {
			return w.Flush()
		}
	}
}

// idLine is an id as one line that is no other id's.
func idLine(id string) string {
	plain := !strings.HasPrefix(id, `"`) && strings.TrimSpace(id) == id &&
		!strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) })
	if plain {
		return id
	}
	line, _ := json.Marshal(id) // a string always has a JSON form
	return string(line)
}
