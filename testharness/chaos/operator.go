package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const operatorPause = 200 * time.Millisecond // between two rounds

// parkedThing is what the administration of a node lists as parked.
type parkedThing struct {
	Aggregate  string `json:"aggregate"`
	CommandID  string `json:"commandId"`
	Projection string `json:"projection"`
	Reason     string `json:"reason"`
}

// RetryParked does what an operator does after a night like that: everything that is parked
// is tried again, until nothing is. Two kills -9 that meet the same command or event have it
// parked, and nobody can know that it is innocent. It returns what it has met. The error is
// that something stays parked until ctx ends.
func (c *Cluster) RetryParked(ctx context.Context) (met []string, err error) {
	seen := map[parkedThing]bool{}
	for at := 0; ; at++ {
		n := c.Nodes[at%len(c.Nodes)]
		var list struct {
			Parked []parkedThing `json:"parked"`
		}
		err := n.administer(ctx, http.MethodGet, "/parked?limit=1000", &list)
		if err == nil && len(list.Parked) == 0 {
			return met, nil
		}
		for _, p := range list.Parked {
			if !seen[p] {
				seen[p] = true
				met = append(met, fmt.Sprintf("%s %s%s: %s", p.Aggregate, p.CommandID, p.Projection, p.Reason))
			}
			q := url.Values{"aggregate": {p.Aggregate}}
			if p.Projection != "" {
				q.Set("projection", p.Projection)
			} else {
				q.Set("id", p.CommandID)
			}
			if e := n.administer(ctx, http.MethodPost, "/parked/retry?"+q.Encode(), nil); e != nil {
				err = e
			}
		}
		if !sleep(ctx, operatorPause) {
			return met, fmt.Errorf("stays parked although it is retried: %s: %w", strings.Join(met, "; "), err)
		}
	}
}

// administer asks a node's administration.
func (n *Node) administer(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.AdminURL()+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
