package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
)

// operatorPrefix begins the principal of commands that operators send.
const operatorPrefix = "operator:"

// operatorAuthenticator names who sends commands from the dashboard, for histories: the
// principal whose credentials they show, or who they say they are.
type operatorAuthenticator struct{}

// Authenticate implements gateway.Authenticator. Who comes here was let in by the admin
// server.
func (operatorAuthenticator) Authenticate(r *http.Request) (gateway.Principal, error) {
	name := strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(operatorOf(r), ""))
	const most = 128
	name = strings.ToValidUTF8(name[:min(len(name), most)], "")
	name = strings.TrimSpace(strings.TrimSuffix(name, " (dashboard)")) // which the log has, too
	return gateway.Principal{Name: operatorPrefix + cmp.Or(name, "unnamed")}, nil
}

// Schemes implements gateway.Authenticator.
func (operatorAuthenticator) Schemes() []gateway.Scheme {
	return []gateway.Scheme{gateway.BearerScheme("")}
}

// MaySend implements dashboard.Inspector.
func (i *inspector) MaySend() bool { return i.node.sending != nil }

// Send implements dashboard.Inspector. It goes the way of the HTTP API, with all that is
// checked there but rights, and under a key: however often it is sent, it takes effect once.
func (i *inspector) Send(ctx context.Context, by dashboard.Operator, c dashboard.SentCommand) dashboard.SentResult {
	if !i.MaySend() {
		return dashboard.SentResult{Status: http.StatusForbidden, Code: "forbidden", Detail: "the node does not let operators send commands: --dashboard-commands"}
	}
	path := "/v1/" + url.PathEscape(string(c.To.Kind)) + "/" + url.PathEscape(c.To.ID) + "/" + url.PathEscape(c.Name)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(c.Body))
	if err != nil {
		return dashboard.SentResult{Status: http.StatusBadRequest, Code: string(codeMalformed), Detail: err.Error()}
	}
	r.RemoteAddr = by.From
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", c.Key)
	if by.Who != "" {
		r.Header.Set(headerOperator, by.Who)
	}
	if len(by.Credentials) > 0 {
		r.Header[headerCredentials] = by.Credentials
	}
	answer := &answerRecorded{header: http.Header{}, status: http.StatusOK}
	i.node.audited(i.node.sending).ServeHTTP(answer, r)
	return sentResult(answer)
}

// sentResult is what the API answered to a command.
func sentResult(a *answerRecorded) dashboard.SentResult {
	var told struct {
		Version  actor.Version   `json:"version"`
		Reply    json.RawMessage `json:"reply"`
		Code     string          `json:"code"`
		Detail   string          `json:"detail"`
		Details  json.RawMessage `json:"details"`
		Incident string          `json:"incident"`
	}
	if err := json.Unmarshal(a.body.Bytes(), &told); err != nil {
		return dashboard.SentResult{Status: http.StatusInternalServerError, Code: "outcome_unknown", Detail: "the answer cannot be read"}
	}
	return dashboard.SentResult{
		OK: a.status == http.StatusOK, Status: a.status, Replayed: a.header.Get("Ganglion-Replayed") == "true",
		Version: told.Version, Reply: told.Reply, Code: told.Code, Detail: told.Detail, Details: told.Details, Incident: told.Incident,
	}
}
