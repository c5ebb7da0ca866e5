package stage

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestPair: figures are those of the time between two scrapes of one life.
func TestPair(t *testing.T) {
	t.Parallel()
	text := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
	defer server.Close()
	scrape := func(start, outcomes, below, above int) *scrape {
		t.Helper()
		text = fmt.Sprintf(`# TYPE process_start_time_seconds gauge
process_start_time_seconds %d
# TYPE ganglion_outcomes_total counter
ganglion_outcomes_total{kind="a",code="ok"} %d
ganglion_outcomes_total{kind="b",code="ok"} 1
# TYPE ganglion_http_request_seconds histogram
ganglion_http_request_seconds_bucket{method="POST",le="0.01"} %d
ganglion_http_request_seconds_bucket{method="POST",le="0.02"} %d
ganglion_http_request_seconds_bucket{method="POST",le="+Inf"} %d
ganglion_http_request_seconds_sum{method="POST"} 1
ganglion_http_request_seconds_count{method="POST"} %d
ganglion_http_request_seconds_bucket{method="GET",le="+Inf"} 7
ganglion_http_request_seconds_sum{method="GET"} 1
ganglion_http_request_seconds_count{method="GET"} 7
`, start, outcomes, below, below+above, below+above, below+above)
		s, err := newSampler().scrape(t.Context(), server.URL)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p := pair{scrape(1, 10, 100, 0), scrape(1, 30, 190, 10)}
	p.after.at = p.before.at.Add(2 * time.Second)
	if !p.known() || p.rate(metricOutcomes, nil) != 10 || p.times(metricRequests, commands) != 50 {
		t.Errorf("known %v, %v outcomes, %v requests a second", p.known(), p.rate(metricOutcomes, nil), p.times(metricRequests, commands))
	}
	if d, ok := p.quantile(0.5, commands); !ok || d < 5*time.Millisecond || d > 6*time.Millisecond {
		t.Errorf("p50 %v", d)
	}
	if d, ok := p.quantile(0.99, commands); !ok || d < 18*time.Millisecond || d > 20*time.Millisecond {
		t.Errorf("p99 %v", d)
	}
	if _, ok := (pair{p.after, p.after}).quantile(0.5, commands); ok {
		t.Error("a quantile of nothing")
	}
	if (pair{p.before, scrape(2, 1, 1, 1)}).known() || (pair{nil, p.after}).known() {
		t.Error("figures of two lives, or of one scrape")
	}
}
