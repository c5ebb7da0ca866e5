package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node/internal/redact"
)

// target is the running node that a subcommand asks.
type target struct {
	URL      string `help:"HTTP API of any node of the cluster." default:"http://localhost:8080" env:"GANGLION_URL"`
	APIToken string `name:"url-token-file" help:"File with a token for it, if it asks for one." env:"GANGLION_URL_TOKEN_FILE" placeholder:"FILE"`
}

// call asks the HTTP API, with the token if there is one.
func (t target) call(path string) ([]byte, error) {
	header := http.Header{}
	if t.APIToken != "" {
		token, err := readSecret(t.APIToken)
		if err != nil {
			return nil, fmt.Errorf("--url-token-file: %w: %w", err, ErrConfig)
		}
		header.Set("Authorization", "Bearer "+token)
	}
	return call(http.DefaultClient, http.MethodGet, t.URL, path, header)
}

// adminTarget is the node that a subcommand of administration asks.
type adminTarget struct {
	AdminURL  string `name:"admin-url" help:"Admin server of the node: a URL, or unix:PATH." default:"http://localhost:8081" env:"GANGLION_ADMIN_URL"`
	TokenFile string `name:"admin-token-file" help:"File with the token that the admin server asks for." env:"GANGLION_ADMIN_TOKEN_FILE" placeholder:"FILE"`
	Operator  string `name:"operator-token-file" help:"File with a token of the HTTP API that says who you are: for the node's log." env:"GANGLION_OPERATOR_TOKEN_FILE" placeholder:"FILE"`
}

// call asks the admin server, with the token if there is one.
func (t adminTarget) call(method, path string) ([]byte, error) {
	header := http.Header{headerOperator: {operator()}}
	if t.TokenFile != "" {
		token, err := readSecret(t.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("--admin-token-file: %w: %w", err, ErrConfig)
		}
		header.Set("Authorization", "Bearer "+token)
	}
	if t.Operator != "" {
		token, err := readSecret(t.Operator)
		if err != nil {
			return nil, fmt.Errorf("--operator-token-file: %w: %w", err, ErrConfig)
		}
		header.Set(headerCredentials, "Bearer "+token)
	}
	socket, ok := strings.CutPrefix(t.AdminURL, socketScheme)
	if !ok {
		return call(http.DefaultClient, method, t.AdminURL, path, header)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	return call(&http.Client{Transport: transport}, method, "http://localhost", path, header)
}

// headerOperator says who runs a subcommand, as far as their machine knows: for the
// log, and for nothing else.
const headerOperator = "Ganglion-Operator"

// operator names the user of this process.
func operator() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// commandTimeout bounds a subcommand.
const commandTimeout = 30 * time.Second

// answerMax bounds the answer that a subcommand reads, in bytes.
const answerMax = 64 << 20

// call asks a node and returns the body of its answer.
func call(client *http.Client, method, base, path string, header http.Header) ([]byte, error) {
	if u, err := url.Parse(base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a node, such as http://localhost:8080: %w", redact.URLs(base), ErrConfig)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout) //nolint:forbidigo // the root of the process
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	maps.Copy(req.Header, header)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		var p gateway.Problem
		if json.Unmarshal(body, &p) == nil && p.Code != "" {
			return nil, fmt.Errorf("%s: %s %s", resp.Status, p.Code, p.Detail)
		}
		return nil, fmt.Errorf("%s %s: %s, and no reason: is it the right server of a node?", method, req.URL.Redacted(), resp.Status)
	}
	return body, nil
}

func (t target) cluster() (gateway.ClusterView, error) {
	var view gateway.ClusterView
	body, err := t.call("/v1/cluster")
	if err != nil {
		return view, err
	}
	return view, json.Unmarshal(body, &view)
}

func aggregatePath(address string) (string, error) {
	a, err := actor.ParseAddress(address)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return "/v1/" + string(a.Kind) + "/" + url.PathEscape(a.ID), nil
}

type statusCommand struct{ target }

// Run prints a line per member, and one per clock that differs.
func (c *statusCommand) Run(out io.Writer) error {
	view, err := c.cluster()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tSTATE\tPARTITIONS\tADDRESS\tBUILD\tINCARNATION")
	for _, m := range view.Members {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", m.Name, m.State, m.Partitions, m.Address, m.Build, m.Incarnation)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, m := range view.Members {
		_, _ = io.WriteString(out, clockLine(m.Name, view.Node, m.ClockAhead))
	}
	return nil
}

// clockLine says that the clock of a node differs from another one's; empty: it does not.
func clockLine(name, from string, ahead float64) string {
	switch {
	case ahead > 0:
		return fmt.Sprintf("the clock of %s is ahead of that of %s by at least %.1f s\n", name, from, ahead)
	case ahead < 0:
		return fmt.Sprintf("the clock of %s is behind that of %s by at least %.1f s\n", name, from, -ahead)
	default:
		return ""
	}
}

type partitionsCommand struct{ target }

// Run prints a line per partition.
func (c *partitionsCommand) Run(out io.Writer) error {
	view, err := c.cluster()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "PARTITION\tEPOCH\tWATERMARK\tLAG\tOWNER\t")
	for _, p := range view.Partitions {
		_, _ = fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%s\t\n", p.Partition, p.Epoch, p.Watermark, p.Lag, p.Owner)
	}
	return w.Flush()
}

type drainCommand struct{ adminTarget }

// Run asks the node to drain and stop.
func (c *drainCommand) Run(out io.Writer) error {
	if _, err := c.call(http.MethodPost, "/drain"); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "draining")
	return err
}

type eventsCommand struct {
	target
	Aggregate string `arg:"" help:"Address of the aggregate: kind/id."`
	After     uint64 `help:"Version after which to begin."`
}

// Run prints the aggregate's events, one in a line.
func (c *eventsCommand) Run(out io.Writer) error {
	path, err := aggregatePath(c.Aggregate)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for after := c.After; ; {
		body, err := c.call(fmt.Sprintf("%s/events?after=%d&limit=1000", path, after))
		if err != nil {
			return err
		}
		var page struct {
			Events []json.RawMessage `json:"events"`
			Next   uint64            `json:"next"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			_, _ = w.Write(append(e, '\n'))
		}
		if page.Next == after {
			return w.Flush()
		}
		after = page.Next
	}
}

func indent(out io.Writer, body []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, strings.TrimSpace(b.String()))
	return err
}
