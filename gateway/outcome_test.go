package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// statuses is the outer contract, by hand.
func statuses() map[actor.Code]int {
	return map[actor.Code]int{
		actor.CodeOK: 200, actor.CodeRejected: 422, actor.CodeAlreadyExists: 409, actor.CodeDoesNotExist: 409,
		actor.CodeVersionMismatch: 412, actor.CodeMalformed: 400, actor.CodeUnknownKind: 404, actor.CodeUnknownCommand: 404,
		actor.CodeEnded: 409, actor.CodeCancelled: 409, actor.CodeKeyReused: 422,
		actor.CodeTooLarge: 413, actor.CodeOverloaded: 429, actor.CodeNoOwner: 503, actor.CodeExpired: 503,
		actor.CodeUnknownOutcome: 504, actor.CodeParked: 500, actor.CodeUnloadable: 500, actor.CodeStorageFull: 507,
	}
}

// declaredCodes reads the constants of type Code from the actor package, so
// that a new one without a status fails here.
func declaredCodes(t *testing.T) []actor.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../actor/outcome.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []actor.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		for _, v := range spec.Values {
			text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, actor.Code(text))
		}
		return true
	})
	return codes
}

func TestOutcomes_HaveTheirStatus(t *testing.T) {
	t.Parallel()
	codes := declaredCodes(t)
	if len(codes) != len(statuses()) {
		t.Fatalf("%d codes are declared, %d have a status", len(codes), len(statuses()))
	}
	for _, code := range codes {
		t.Run("code="+string(code), func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			f := setup(t, func(c *gateway.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
				return actor.Outcome{Code: code, Version: 7, Reply: []byte(`1`), Detail: "why"}
			}
			want := statuses()[code]
			for _, path := range []string{"/v1/account/a/Deposit", "/v1/account/a/queries/Statement"} {
				a := f.do(t, "POST", path, "")
				if code == actor.CodeOK {
					a.is(t, 200, `{"version":7,"reply":1}`)
					continue
				}
				p := a.fails(t, want, code)
				if p.Version != 7 {
					t.Errorf("problem %s", a.body)
				}
				// What a fault says may be the text of a panic or of the store: it is for the
				// log, under the incident that the caller is told.
				switch {
				case !faults()[code] && (p.Detail != "why" || p.Incident != ""):
					t.Errorf("problem %s", a.body)
				case faults()[code] && (p.Incident == "" || !strings.HasSuffix(p.Detail, "(incident "+p.Incident+")") || strings.Contains(p.Detail, "why")):
					t.Errorf("problem %s", a.body)
				case faults()[code] && !strings.Contains(log.String(), "incident="+p.Incident+" code="+string(code)+" text=why"):
					t.Errorf("log %s", log.String())
				}
				if retry := a.Header.Get("Retry-After") != ""; retry != (want == 429 || want == 503 || want == 507) {
					t.Errorf("%d has Retry-After: %v", want, retry)
				}
			}
		})
	}
}

// faults are the codes of what failed, in the place of what was decided or refused.
func faults() map[actor.Code]bool {
	return map[actor.Code]bool{actor.CodeParked: true, actor.CodeUnloadable: true, actor.CodeStorageFull: true}
}

// TestOutcome_OfAnIncident_IsToldAsItCame: the owner has kept back what is not for callers.
func TestOutcome_OfAnIncident_IsToldAsItCame(t *testing.T) {
	t.Parallel()
	for _, code := range []actor.Code{actor.CodeParked, actor.CodeUnloadable, actor.CodeUnknownOutcome} {
		f := setup(t)
		f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
			return actor.Outcome{Code: code, Detail: "it failed (incident ABC)", Incident: "ABC"}
		}
		if p := f.do(t, "POST", "/v1/account/a/Deposit", "").fails(t, statuses()[code], code); p.Detail != "it failed (incident ABC)" || p.Incident != "ABC" {
			t.Errorf("problem %+v", p)
		}
	}
}

func TestOutcomes_OfState(t *testing.T) {
	t.Parallel()
	for code, want := range statuses() {
		if code == actor.CodeDoesNotExist {
			want = 404
		}
		t.Run("code="+string(code), func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
				return actor.Outcome{Code: code, Version: 7, Reply: []byte(`{"owner":"o"}`)}
			}
			a := f.do(t, "GET", "/v1/account/a", "")
			if code == actor.CodeOK {
				a.is(t, 200, `{"version":7,"state":{"owner":"o"}}`)
				return
			}
			if p := a.fails(t, want, code); p.Detail == "" {
				t.Error("no detail")
			}
		})
	}
}

func TestOutcomes_OfEnqueue(t *testing.T) {
	t.Parallel()
	for code, want := range statuses() {
		if code == actor.CodeOK {
			continue
		}
		t.Run("code="+string(code), func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.client.enqueue = func(context.Context, actor.Message) error { return &actor.Error{Code: code, Detail: "why"} }
			f.do(t, "POST", "/v1/account/a/Deposit", "", "Prefer: respond-async").fails(t, want, code)
		})
	}
	t.Run("foreign error", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		f.client.enqueue = func(context.Context, actor.Message) error { return errors.New("host secret:1 is down") }
		a := f.do(t, "POST", "/v1/account/a/Deposit", "", "Prefer: respond-async")
		a.fails(t, 504, actor.CodeUnknownOutcome)
		if strings.Contains(a.body, "secret") {
			t.Error("the problem tells the inside of the node")
		}
	})
}

func TestOutcome_CodeOfANewerNode_IsUnknown(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
		return actor.Outcome{Code: "brand_new", Detail: "why"}
	}
	if p := f.do(t, "POST", "/v1/account/a/Deposit", "").fails(t, 504, actor.CodeUnknownOutcome); strings.Contains(p.Detail, "why") || p.Incident == "" {
		t.Errorf("problem %+v", p)
	}
}

func TestRejection_KeepsItsCode(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
		return actor.Outcome{Code: actor.CodeRejected, Version: 3, Rejection: errAmount.With("least", 1)}
	}
	a := f.do(t, "POST", "/v1/account/a/Deposit", `{"amount":-1}`)
	want := gateway.Problem{
		Title: "Unprocessable Entity", Status: 422, Code: "invalid_amount", Detail: "the amount must be positive",
		Version: 3, Details: map[string]any{"least": 1.0},
	}
	if diff := cmp.Diff(want, a.problem(t), cmp.AllowUnexported(gateway.Problem{})); diff != "" {
		t.Error(diff)
	}
}

func TestRejection_DetailsThatAreNoJSON_AreLeftOut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
		return actor.Outcome{Code: actor.CodeRejected, Rejection: errAmount.With("bad", func() {})}
	}
	if p := f.do(t, "POST", "/v1/account/a/Deposit", "").fails(t, 422, "invalid_amount"); p.Details != nil {
		t.Errorf("details %v", p.Details)
	}
}

func TestReply_ThatIsNoJSON_IsInternal(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
		return actor.Outcome{Version: 4, Reply: []byte(`{`)}
	}
	a := f.do(t, "POST", "/v1/account/a/Deposit", "")
	if p := a.fails(t, 500, "internal"); p.Version != 4 || a.Header.Get("ETag") != "" {
		t.Errorf("version %d, ETag %q", p.Version, a.Header.Get("ETag"))
	}
}

func TestPanic_IsAProblem(t *testing.T) {
	t.Parallel()
	var done []gateway.RequestInfo
	f := setup(t, func(c *gateway.Config) {
		c.Listener.RequestDone = func(i gateway.RequestInfo) { done = append(done, i) }
	})
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome { panic("secret") }
	a := f.do(t, "POST", "/v1/account/a/Deposit", "")
	a.fails(t, 500, "internal")
	if strings.Contains(a.body, "secret") {
		t.Error("the problem tells the panic")
	}
	if a.Header.Get("Ganglion-Command-ID") == "" {
		t.Error("the id of a command that may have been executed is not told")
	}
	f.server.Close() // waits for the handler
	if len(done) != 1 || done[0].Status != 500 || done[0].Kind != "account" || done[0].Name != "Deposit" || done[0].Method != http.MethodPost {
		t.Errorf("listener got %+v", done)
	}
}

func TestAbort_CutsTheConnection(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome { panic(http.ErrAbortHandler) }
	if a, err := send(t.Context(), f.server.Client(), "GET", f.server.URL+"/v1/account/a", ""); err == nil {
		t.Fatalf("got an answer: %d %s", a.StatusCode, a.body)
	}
}
