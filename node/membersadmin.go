package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// membersView is the answer to those who ask for the embedded servers.
type membersView struct {
	Members []serverMember `json:"members"`
	Lacking []streamLack   `json:"lacking"`
}

// register adds the paths of operation. A node without a cluster of embedded servers says
// so there.
func (m *memberships) register(mux *http.ServeMux, watch *replicaWatch) {
	if m == nil {
		none := func(w http.ResponseWriter, _ *http.Request) {
			answerProblem(w, http.StatusNotFound, codeNotFound, "the node is in no cluster of embedded NATS servers")
		}
		mux.HandleFunc("GET /nats-members", none)
		mux.HandleFunc("POST /nats-members/{name}/replace", none)
		return
	}
	mux.HandleFunc("GET /nats-members", func(w http.ResponseWriter, r *http.Request) {
		members, err := m.list(r.Context())
		lacks, err2 := watch.look(r.Context())
		if err := errors.Join(err, err2); err != nil {
			answerProblem(w, http.StatusServiceUnavailable, codeUnavailable, err.Error())
			return
		}
		answerJSON(w, http.StatusOK, membersView{members, lacks})
	})
	mux.HandleFunc("POST /nats-members/{name}/replace", func(w http.ResponseWriter, r *http.Request) {
		switch err := m.replace(r.Context(), r.PathValue("name")); {
		case err == nil:
			answerJSON(w, http.StatusOK, map[string]any{"status": "replaced"})
		case errors.Is(err, errNoMember):
			answerProblem(w, http.StatusNotFound, codeNotFound, err.Error())
		case errors.Is(err, errMemberLives), errors.Is(err, errNoReplacement):
			answerProblem(w, http.StatusConflict, codeMalformed, err.Error())
		default:
			answerProblem(w, http.StatusServiceUnavailable, codeUnavailable, err.Error())
		}
	})
}

// replaceMemberCommand takes a node of a cluster of embedded servers out for good.
type replaceMemberCommand struct {
	adminTarget
	Member string        `arg:"" help:"Name of the node that is gone for good. Start the new one first, under a new name."`
	Wait   time.Duration `help:"Time to wait until all streams have their replicas." default:"10m"`
}

// memberPoll is the time between two looks at what is still to be copied.
const memberPoll = time.Second

// Run has the replicas of the member go to the others, and waits until they are there.
func (c *replaceMemberCommand) Run(out io.Writer) error {
	begin := time.Now()
	before, err := c.view()
	if err != nil {
		return err
	}
	if _, err := c.call(http.MethodPost, "/nats-members/"+url.PathEscape(c.Member)+"/replace"); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%s is no member any more; %d streams lacked a replica\n", c.Member, len(before.Lacking))
	for said := ""; ; {
		// Whoever has just taken a replica counts as behind until it has all.
		view, err := c.view()
		if err == nil && len(view.Lacking) == 0 {
			_, err = fmt.Fprintln(out, "all streams have their replicas")
			return err
		}
		if now := lackText(view.Lacking); err == nil && now != said {
			_, _ = fmt.Fprintln(out, now)
			said = now
		}
		if time.Since(begin) > c.Wait {
			return fmt.Errorf("not all replicas are there after %v, and are being made: %w", c.Wait, errors.Join(err, errStillLacking))
		}
		<-time.After(memberPoll)
	}
}

// errStillLacking says that streams lack replicas at the end of the wait.
var errStillLacking = errors.New("streams lack a replica")

func (c *replaceMemberCommand) view() (membersView, error) {
	var view membersView
	body, err := c.call(http.MethodGet, "/nats-members")
	if err != nil {
		return view, err
	}
	return view, json.Unmarshal(body, &view)
}

func lackText(lacks []streamLack) string {
	names := make([]string, len(lacks))
	for i, l := range lacks {
		names[i] = l.Stream
	}
	return fmt.Sprintf("waiting for the replicas of %d streams: %s", len(lacks), strings.Join(names, ", "))
}
