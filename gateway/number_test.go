package gateway_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

// TestCommand_WholeNumbers: an integer may be written as JSON Schema allows it.
func TestCommand_WholeNumbers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"amount":5}`:   `{"amount":5}`,
		`{"amount":5.0}`: `{"amount":5}`,
		`{"amount": -5.00 , "more":[{"amount":1e2}]}`: `{"amount": -5 , "more":[{"amount":100}]}`,
		`{"amount":1.25E+2}`:                          `{"amount":125}`,
		`{"amount":1200e-2}`:                          `{"amount":12}`,
		`{"amount":-0.0}`:                             `{"amount":0}`,
		`{"amount":9223372036854775807.0}`:            `{"amount":9223372036854775807}`,
		`{"amount":1.0,"unknown":"1.0 \\\" 2.0"}`:     `{"amount":1,"unknown":"1.0 \\\" 2.0"}`,
		`{"amount":1,"unknown":1.0}`:                  `{"amount":1,"unknown":1.0}`, // it could be decoded
	} {
		f := setup(t)
		f.do(t, "POST", "/v1/account/a/Deposit", body).is(t, 200, `{"version":41,"reply":{"balance":5}}`)
		if got := string(f.client.one(t).Data); got != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
	}
	for _, body := range []string{
		`{"amount":5.5}`, `{"amount":5e-1}`, `{"amount":1e400000000}`, `{"amount":1e41}`, `{"amount":9223372036854775808.0}`, `{"amount":5.}`, `{"amount":"5.0"}`,
	} {
		setup(t).do(t, "POST", "/v1/account/a/Deposit", body).fails(t, 400, actor.CodeMalformed)
	}
}
