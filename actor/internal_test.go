package actor_test

import (
	"maps"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

type (
	grantCredit    struct{ actor.Replies[actor.None] }
	grantCreditOld struct{}
	askCredit      struct{ actor.Replies[actor.None] }
	openCredit     struct{ actor.Replies[actor.None] }
)

func creditLines(options ...func(*actor.Definition[struct{}])) *actor.Aggregate[struct{}] {
	return actor.Define("credit", func(d *actor.Definition[struct{}]) {
		actor.On(d, func(*struct{}, *actor.Context, grantCredit) (actor.None, error) { return actor.None{}, nil },
			actor.Internal(), actor.From("grantCreditOld", func(grantCreditOld) grantCredit { return grantCredit{} }))
		actor.On(d, func(*struct{}, *actor.Context, openCredit) (actor.None, error) { return actor.None{}, nil },
			actor.From("openCreditOld", func(grantCreditOld) openCredit { return openCredit{} }))
		actor.Query(d, func(*struct{}, *actor.QueryContext, askCredit) (actor.None, error) { return actor.None{}, nil }, actor.Internal())
		for _, o := range options {
			o(d)
		}
	})
}

func TestBehavior_Conceals(t *testing.T) {
	t.Parallel()
	b := creditLines().Behavior()
	for _, c := range []struct {
		of   actor.MessageType
		name string
		want actor.Code
	}{
		{actor.TypeCommand, "grantCredit", actor.CodeUnknownCommand},
		{actor.TypeCommand, "grantCreditOld", actor.CodeUnknownCommand},
		{actor.TypeCommand, "openCredit", actor.CodeOK},
		{actor.TypeCommand, "openCreditOld", actor.CodeOK},
		{actor.TypeCommand, "askCredit", actor.CodeOK}, // not declared
		{actor.TypeQuery, "askCredit", actor.CodeUnknownCommand},
		{actor.TypeState, "", actor.CodeOK},
		{actor.TypeState, "grantCredit", actor.CodeOK},
	} {
		if got := b.Conceals(c.of, c.name); got != c.want {
			t.Errorf("%d %q: %q, want %q", c.of, c.name, got, c.want)
		}
		if got := creditLines((*actor.Definition[struct{}]).Internal).Behavior().Conceals(c.of, c.name); got != actor.CodeUnknownKind {
			t.Errorf("%d %q of an internal kind: %q", c.of, c.name, got)
		}
	}
	internal := map[string]bool{}
	for h := range b.Commands() {
		internal[h.Name] = h.Internal
	}
	for h := range b.Queries() {
		internal[h.Name] = h.Internal
	}
	if want := map[string]bool{"grantCredit": true, "openCredit": false, "askCredit": true}; !maps.Equal(internal, want) {
		t.Errorf("described as %v", internal)
	}
}
