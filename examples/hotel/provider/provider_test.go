package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/examples/hotel/provider"
)

func charge(t *testing.T, p *provider.Provider, key, body string) (int, provider.Receipt) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/charges", strings.NewReader(body))
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	var receipt provider.Receipt
	if w.Code < 300 {
		if err := json.Unmarshal(w.Body.Bytes(), &receipt); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, receipt
}

func TestProvider_ChargesOnceAKey(t *testing.T) {
	t.Parallel()
	p := provider.New(provider.Config{Limit: 1000})
	for i, want := range []struct {
		key, body string
		status    int
		id        string
	}{
		{"k-1", `{"account":"g-1","cents":500}`, 201, "ch-1"},
		{"k-1", `{"account":"g-1","cents":500}`, 200, "ch-1"},
		{"k-1", `{"account":"g-1","cents":501}`, 422, ""},
		{"k-2", `{"account":"g-1","cents":1001}`, 402, ""},
		{"k-3", `{"account":"g-1","cents":1000}`, 201, "ch-2"},
		{"", `{"account":"g-1","cents":1000}`, 400, ""},
		{"k-4", `{"account":"g-1"}`, 400, ""},
		{"k-4", `[`, 400, ""},
	} {
		if status, receipt := charge(t, p, want.key, want.body); status != want.status || receipt.ID != want.id {
			t.Errorf("call %d: %d %+v, want %d %s", i, status, receipt, want.status, want.id)
		}
	}
	if r := p.Report(); r.Calls != 5 || r.Charges != 2 || r.Cents != 1500 || r.Keys["k-1"] != 3 {
		t.Errorf("report %+v", r)
	}
}

func TestProvider_OutOfOrder(t *testing.T) {
	t.Parallel()
	p := provider.New(provider.Config{})
	p.Down(true)
	if status, _ := charge(t, p, "k", `{"account":"g","cents":1}`); status != 503 || p.Report().Charges != 0 {
		t.Errorf("%d, %+v", status, p.Report())
	}
	p.Down(false)
	if status, _ := charge(t, p, "k", `{"account":"g","cents":1}`); status != 201 {
		t.Error(status)
	}
}

// Of the calls that fail, some have charged: who tries again with the key is charged once.
func TestProvider_FailsBeforeAndAfterItCharges(t *testing.T) {
	t.Parallel()
	p := provider.New(provider.Config{Failing: 0.8, Seed: 1})
	const keys = 100
	answers := map[int]int{}
	for i := range keys {
		key := string(rune('A' + i))
		for tries := 0; ; tries++ {
			status, _ := charge(t, p, key, `{"account":"g","cents":1}`)
			answers[status]++
			if status < 300 {
				break
			}
			if tries > 1000 {
				t.Fatal("it never answers")
			}
		}
	}
	if r := p.Report(); r.Charges != keys || answers[200] == 0 || answers[201] == 0 || answers[503] == 0 || r.Calls != answers[200]+answers[201]+answers[503] {
		t.Errorf("report %+v, answers %v", r, answers)
	}
}
