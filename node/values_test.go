package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// scrap keeps what events bring in a way that shows it: text as it is, and types.
type scrap struct {
	Texts []string       `json:"texts"`
	Seen  map[string]int `json:"seen"`
}

type (
	keep struct {
		actor.Replies[actor.None]
		Raw json.RawMessage `json:"raw"`
		Cut int             `json:"cut"`
	}
	scrapped struct {
		Short  string
		Raw    json.RawMessage
		Any    map[string]any
		Number json.Number
	}
)

func (keep) WireName() string { return "Keep" }

func scraps(every int) *actor.Aggregate[scrap] {
	return actor.Define("scrap", func(d *actor.Definition[scrap]) {
		actor.On(d, func(_ *scrap, ctx *actor.Context, c keep) (actor.None, error) {
			ctx.Raise(scrapped{
				Short: "Zürich"[:c.Cut], Raw: c.Raw, Number: "1.50",
				Any: map[string]any{"big": int64(1<<53 + 1), "n": c.Cut},
			})
			return actor.None{}, nil
		})
		actor.Apply(d, func(s *scrap, e scrapped) {
			if s.Seen == nil {
				s.Seen = map[string]int{}
			}
			s.Seen[e.Short]++
			s.Texts = append(s.Texts, string(e.Raw), e.Number.String(), fmt.Sprintf("%T %v %T", e.Any["big"], e.Any["big"], e.Any["n"]))
		})
		d.SnapshotEvery(every)
	})
}

// TestNode_StateAfterRestart: what JSON makes of values is seen at once and is the same
// after a restart, with and without snapshots, on both stores.
func TestNode_StateAfterRestart(t *testing.T) {
	t.Parallel()
	for name, uri := range map[string]func(*testing.T) string{
		"jetstream": func(*testing.T) string { return "" },
		"mongo":     func(t *testing.T) string { return testharness.SharedMongo(t, 1).URI() },
	} {
		for _, every := range []int{0, 2} {
			t.Run(fmt.Sprint(name, "/every ", every), func(t *testing.T) {
				t.Parallel()
				cfg := node.Config{DataDir: t.TempDir(), Partitions: 4, MongoURI: uri(t), MongoDatabase: testharness.DatabaseName(t)}
				n := nodes.Start(t, cfg, scraps(every))
				for _, raw := range []string{`1.50`, `{"a":[1e2,1152921504606846976,1e400,-0,12345678901234567890],"b":"<ä\u00e4\/>"}`, `null`, `[1E2]`} {
					if status, body := answerOf(t, http.MethodPost, n.URL()+"/v1/scrap/x/Keep", `{"cut":2,"raw":`+raw+`}`); status != http.StatusOK {
						t.Fatalf("keep %s: %d %s", raw, status, body)
					}
				}
				_, live := answerOf(t, http.MethodGet, n.URL()+"/v1/scrap/x", "")
				n.Stop(t)
				n = nodes.Start(t, cfg, scraps(every))
				if _, again := answerOf(t, http.MethodGet, n.URL()+"/v1/scrap/x", ""); again != live {
					t.Errorf("live:    %s\nrestart: %s", live, again)
				}
				for _, want := range []string{`"1.50"`, `1e2,1152921504606846976,1e400,-0,12345678901234567890`, `float64 9.007199254740992e+15 float64`, `1E2`} {
					if !strings.Contains(live, want) {
						t.Errorf("the state has no %s: %s", want, live)
					}
				}
			})
		}
	}
}

func answerOf(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	return requestWith(t.Context(), t, method, url, strings.NewReader(body))
}
