package gateway_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// TestSagasAndPolicies: what is the runtime's own of a saga is neither described nor
// taken from a caller, and a policy is no kind of resource.
func TestSagasAndPolicies(t *testing.T) {
	t.Parallel()
	type opened struct{}
	type state struct{ N int }
	source := actor.Define("source", func(d *actor.Definition[state]) { actor.Apply(d, func(*state, opened) {}) })
	saga := actor.DefineSaga("follow", func(d *actor.SagaDefinition[state]) {
		actor.StartsOn(d, source, func(*state, *actor.Context, opened) {}, func(opened, actor.EventRecord) string { return "x" })
	})
	policy := actor.DefinePolicy("greet", func(d *actor.PolicyDefinition) { actor.When(d, source, func(*actor.PolicyContext, opened) {}) })
	f := &fixture{client: &client{}}
	g, err := gateway.New(f.client, []actor.Registrable{source, saga, policy}, gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewServer(g)
	t.Cleanup(f.server.Close)
	doc := f.do(t, "GET", "/openapi.json", "").body
	if !strings.Contains(doc, `"/v1/follow/{id}"`) || strings.Contains(doc, "ganglion.on") || strings.Contains(doc, "ganglion.deadline") || strings.Contains(doc, "greet") {
		t.Errorf("described: %s", doc)
	}
	for name := range strings.FieldsSeq("ganglion.on.source.opened.v1 ganglion.deadline ganglion.other") {
		f.do(t, "POST", "/v1/follow/x/"+name, `{}`).fails(t, 404, actor.CodeUnknownCommand)
	}
	if n := len(f.client.sent()); n > 0 {
		t.Errorf("%d of them were sent", n)
	}
}
