package provider_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// A provider that is killed knows afterwards what it had charged, and one line that was cut
// off is nothing.
func TestOpen_KnowsWhatWasCharged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "charges")
	open := func() *provider.Provider {
		t.Helper()
		p, err := provider.Open(provider.Config{Limit: 1000}, file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	first := open()
	for key, want := range map[string]int{"k-1": 201, "declined": 402} {
		if status, _ := charge(t, first, key, map[int]string{201: `{"account":"g-1","cents":500}`, 402: `{"account":"g-1","cents":1001}`}[want]); status != want {
			t.Fatalf("%s: %d", key, status)
		}
	}
	before := first.Report()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"key":"k-2","id":"ch-2"`); err != nil { // killed in the middle of it
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	if status, _ := charge(t, first, "k-3", `{"account":"g-1","cents":500}`); status != 503 || first.Report().Charges != 1 {
		t.Errorf("without its file: %d, %+v", status, first.Report())
	}
	for range 2 { // the cut line stays away
		again := open()
		if d := cmp.Diff(before, again.Report()); d != "" {
			t.Error(d)
		}
	}
	again := open()
	if status, r := charge(t, again, "k-1", `{"account":"g-1","cents":500}`); status != 200 || r.ID != "ch-1" {
		t.Errorf("%d %+v", status, r)
	}
	if status, r := charge(t, again, "k-2", `{"account":"g-1","cents":7}`); status != 201 || r.ID != "ch-2" {
		t.Errorf("%d %+v", status, r)
	}
	want := []provider.Entry{{Key: "k-1", ID: "ch-1", Charge: provider.Charge{Account: "g-1", Cents: 500}}, {Key: "k-2", ID: "ch-2", Charge: provider.Charge{Account: "g-1", Cents: 7}}}
	if d := cmp.Diff(want, again.Charges()); d != "" || again.Report().Keys["k-1"] != 2 {
		t.Error(d, again.Report())
	}
}

func TestOpen_NoJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"text": "hello\n", "no key": "{}\n", "empty line": "\n"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := provider.Open(provider.Config{}, file); err == nil {
			t.Errorf("%s: taken for a journal", name)
		}
	}
	if _, err := provider.Open(provider.Config{}, dir); err == nil {
		t.Error("a folder is taken for a journal")
	}
}
