package actor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

func TestKind_Validate(t *testing.T) {
	t.Parallel()
	for _, kind := range []actor.Kind{"a", "order-book_2", actor.Kind(strings.Repeat("k", 64))} {
		if err := kind.Validate(); err != nil {
			t.Errorf("%q: %v", kind, err)
		}
	}
	for _, kind := range []actor.Kind{"", "A", "1a", "-a", "aB", "a.b", "a/b", "ä", "a b", actor.Kind(strings.Repeat("k", 65))} {
		if err := kind.Validate(); !errors.Is(err, actor.ErrAddress) {
			t.Errorf("%q: got %v, want ErrAddress", kind, err)
		}
	}
}

// tickKind and tockKind are constants, so that handlers of each can name the other.
const (
	tickKind actor.Kind = "tick"
	tockKind actor.Kind = "tock"
)

type (
	tick struct{}
	tock struct{}
	hit  struct{ actor.Replies[actor.None] }
)

func (*tick) hit(ctx *actor.Context, _ hit) (actor.None, error) {
	ctx.Send(tockKind.ID(ctx.Address().ID), hit{})
	return actor.None{}, nil
}

func (*tock) hit(ctx *actor.Context, _ hit) (actor.None, error) {
	ctx.Send(tickKind.ID(ctx.Address().ID), hit{})
	return actor.None{}, nil
}

var (
	ticks = actor.Define(tickKind, func(d *actor.Definition[tick]) { actor.On(d, (*tick).hit) })
	tocks = actor.Define(tockKind, func(d *actor.Definition[tock]) { actor.On(d, (*tock).hit) })
)

func TestKind_ID(t *testing.T) {
	t.Parallel()
	if got := tickKind.ID("p"); got != ticks.ID("p") || got == tocks.ID("p") {
		t.Errorf("%v", got)
	}
	if err := actor.Kind("No").ID("p").Validate(); !errors.Is(err, actor.ErrAddress) {
		t.Error(err)
	}
	m := &actor.Message{Target: tickKind.ID("p"), ID: "c-1", Name: "hit", Time: at}
	if out := ticks.Behavior().New(ticks.ID("p")).Decide(m).Out; len(out) != 1 || out[0].To != tocks.ID("p") {
		t.Errorf("%+v", out)
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]actor.Address{
		"portfolio/p-7":                 {Kind: "portfolio", ID: "p-7"},
		"portfolio/a/b//":               {Kind: "portfolio", ID: "a/b//"},
		"k/ü .*>":                       {Kind: "k", ID: "ü .*>"},
		"k/" + strings.Repeat("i", 256): {Kind: "k", ID: strings.Repeat("i", 256)},
	} {
		got, err := actor.ParseAddress(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "portfolio", "/p", "portfolio/", "P/1", "k/\xff", "k/" + strings.Repeat("i", 257)} {
		if _, err := actor.ParseAddress(text); !errors.Is(err, actor.ErrAddress) {
			t.Errorf("%q: got %v, want ErrAddress", text, err)
		}
	}
}

func TestAddress_Token(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"p-7_A":     "p-7_A",
		"a.b":       "a%2Eb",
		"50%":       "50%25",
		"%2E":       "%252E",
		"ü":         "%C3%BC",
		"* > ":      "%2A%20%3E%20",
		"\x00\x7f/": "%00%7F%2F",
	} {
		got := actor.Address{Kind: "k", ID: id}.Token()
		if got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
		if back, err := actor.ParseToken(got); err != nil || back != id {
			t.Errorf("%q: comes back as %q, %v", id, back, err)
		}
	}
	for _, token := range []string{"", ".", "a b", "ü", "%", "%4", "%4x", "%zz", "%2e", "%41", "a%41", "%2E."} {
		if id, err := actor.ParseToken(token); !errors.Is(err, actor.ErrAddress) {
			t.Errorf("%q: got %q, %v, want ErrAddress", token, id, err)
		}
	}
}

func FuzzAddress_Token(f *testing.F) {
	for _, id := range []string{"p-7", "a/b", "ü%.*>", "%2E", "\x00\xff"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		token := actor.Address{Kind: "k", ID: id}.Token()
		if id != "" {
			back, err := actor.ParseToken(token)
			if err != nil || back != id {
				t.Fatalf("%q is %q, which comes back as %q, %v", id, token, back, err)
			}
		}
		if strings.ContainsAny(token, ".*> \t\r\n") || !utf8.ValidString(token) || len(token) > 3*len(id) {
			t.Fatalf("%q is no legal subject token: %q", id, token)
		}
		// Whatever is read as a token is the one token of what it was read as.
		if read, err := actor.ParseToken(id); err == nil {
			if again := (actor.Address{Kind: "k", ID: read}).Token(); again != id {
				t.Fatalf("token %q is read as %q, whose token is %q", id, read, again)
			}
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add("portfolio/p-7")
	f.Add("k//")
	f.Add("/")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := actor.ParseAddress(text)
		switch {
		case err == nil && (a.String() != text || a.Validate() != nil):
			t.Fatalf("%q is read as %q", text, a)
		case err != nil && !errors.Is(err, actor.ErrAddress):
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// The stream's subject transform decides which partition a command goes to;
// this function must agree with the server's own code.
func TestPartitions_Of_AgreesWithServer(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for _, p := range []actor.Partitions{1, 2, actor.DefaultPartitions, actor.MaxPartitions} {
		transform, err := server.NewSubjectTransform("cmd.*.*", fmt.Sprintf("cmd.{{partition(%d,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", p))
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			id := make([]byte, 1+rnd.IntN(20))
			for i := range id {
				id[i] = byte(rnd.IntN(256))
			}
			a := actor.Address{Kind: actor.Kind(string(rune('a' + rnd.IntN(26)))), ID: string(id)}
			subject, err := transform.Match("cmd." + string(a.Kind) + "." + a.Token())
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("cmd.%d.%s.%s", p.Of(a), a.Kind, a.Token()); subject != want {
				t.Fatalf("P=%d: the server maps %q to %q, not to %q", p, a, subject, want)
			}
		}
	}
}

func TestPartitions_Valid(t *testing.T) {
	t.Parallel()
	for p, want := range map[actor.Partitions]bool{0: false, 1: true, 2: true, 3: false, 128: true, 129: false, 16384: true, 32768: false} {
		if p.Valid() != want {
			t.Errorf("%d: got %v", p, !want)
		}
	}
}
