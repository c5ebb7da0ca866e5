package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// TestOutcome_DetailsKeepTheirDigits: what a float64 cannot hold is not rounded on the way
// to the caller; all other numbers are the float64 that they always were.
func TestOutcome_DetailsKeepTheirDigits(t *testing.T) {
	t.Parallel()
	const big = 1<<53 + 1
	rejected := actor.Outcome{Code: actor.CodeRejected, Rejection: actor.Reject("no", "").With("big", int64(big)).With("few", 5).
		With("part", 0.5).With("list", []any{int64(big), map[string]any{"n": int64(big), "s": "x"}})}
	got, err := wire.DecodeOutcome(wire.EncodeOutcome("inbox", rejected))
	if err != nil {
		t.Fatal(err)
	}
	exact := json.Number("9007199254740993")
	want := map[string]any{"big": exact, "few": 5.0, "part": 0.5, "list": []any{exact, map[string]any{"n": exact, "s": "x"}}}
	if diff := cmp.Diff(want, got.Rejection.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}
