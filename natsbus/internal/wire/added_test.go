package wire_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// TestEarlierBuild_DoesNotLookAtWhatIsNew: a message or an outcome that says what earlier
// builds have no word for has one header more for each, and no other one changed.
func TestEarlierBuild_DoesNotLookAtWhatIsNew(t *testing.T) {
	t.Parallel()
	added := func(without, with nats.Header) []string {
		for name, values := range without {
			if !cmp.Equal(values, with[name]) {
				t.Errorf("%s is %q, and was %q", name, with[name], values)
			}
			delete(with, name)
		}
		return slices.Sorted(maps.Keys(with))
	}
	outside, waits := samples()["command"], samples()["state"]
	outside.Outside, waits.Wait = true, actor.Wait{Beyond: 3, For: time.Second}
	ended := outcomes()["reply"]
	ended.Ended = true
	for name, m := range map[string]struct {
		without, with nats.Header
		want          string
	}{
		"from outside": {wire.EncodeMessage(new(samples()["command"])), wire.EncodeMessage(&outside), "Gn-Outside"},
		"waits":        {wire.EncodeMessage(new(samples()["state"])), wire.EncodeMessage(&waits), "Gn-Wait"},
		"has ended":    {wire.EncodeOutcome(earlierInbox, outcomes()["reply"]).Header, wire.EncodeOutcome(earlierInbox, ended).Header, "Gn-Ended"},
	} {
		if got := added(m.without, m.with); !slices.Equal(got, []string{m.want}) {
			t.Errorf("what %s has the headers %q more, want %s", name, got, m.want)
		}
	}
	ns := wire.Namespace("gn")
	to := actor.Address{Kind: "account", ID: "a"}
	for name, subject := range map[string]string{"on the direct lane": ns.Request(3, to), "as a caller": ns.Ask(3, to)} {
		for _, taken := range ns.Subjects() { // a new family may not be among what the stream stores
			if subjectMatches(taken, subject) {
				t.Errorf("what is asked %s, at %s, is stored by the command stream, as %s", name, subject, taken)
			}
		}
	}
}

func subjectMatches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	if len(p) != len(s) {
		return false
	}
	for i := range p {
		if p[i] != "*" && p[i] != s[i] {
			return false
		}
	}
	return true
}
