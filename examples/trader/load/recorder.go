package load

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	latencyMax   = 10 * time.Minute
	latencyDigit = 3
	faultsMax    = 20 // that are kept with their text
)

// Recorder gathers what the load saw. It is safe for concurrent use.
type Recorder struct {
	mu              sync.Mutex
	attempts        *hdrhistogram.Histogram // one request
	commands        *hdrhistogram.Histogram // one command with all its attempts
	transactions    *hdrhistogram.Histogram // all steps of one, from when it was due
	retries         int64
	commandAttempts int64
	answers         map[string]int64 // of attempts, by status and code
	refusals        map[string]int64 // expected ones, by code
	tooEarly        map[string]int64 // of reads of what is not there yet, by kind
	outcomes        map[string]int64 // of transactions
	wrong           int64
	faults          []string
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	histogram := func() *hdrhistogram.Histogram {
		return hdrhistogram.New(1, latencyMax.Microseconds(), latencyDigit)
	}
	return &Recorder{
		attempts: histogram(), commands: histogram(), transactions: histogram(),
		answers: map[string]int64{}, refusals: map[string]int64{}, tooEarly: map[string]int64{}, outcomes: map[string]int64{},
	}
}

func observe(h *hdrhistogram.Histogram, d time.Duration) {
	// Clamped to the histogram's range, RecordValue cannot fail.
	_ = h.RecordValue(min(max(d, time.Microsecond), latencyMax).Microseconds())
}

func (r *Recorder) attempt(method string, d time.Duration, failure string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	observe(r.attempts, d)
	if method == http.MethodPost {
		r.commandAttempts++
	}
	if failure != "" {
		r.answers[failure]++
	}
}

// early takes an answer for one that was to be expected: what was read comes about by
// what follows from a command, and was not there yet.
func (r *Recorder) early(kind actor.Kind, refusal *RefusalError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failure := refusal.failure()
	if r.answers[failure]--; r.answers[failure] <= 0 {
		delete(r.answers, failure)
	}
	r.tooEarly[string(kind)]++
}

func (r *Recorder) retry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retries++
}

func (r *Recorder) command(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	observe(r.commands, d)
}

func (r *Recorder) refused(code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals[code]++
}

func (r *Recorder) transaction(d time.Duration, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	observe(r.transactions, d)
	r.outcomes[outcome]++
}

// fault counts a wrong answer.
func (r *Recorder) fault(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong++
	if len(r.faults) < faultsMax {
		r.faults = append(r.faults, what)
	}
}

// Wrong returns the number of wrong answers.
func (r *Recorder) Wrong() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrong
}

// Transactions returns the number of transactions that have been walked to their end.
func (r *Recorder) Transactions() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.transactions.TotalCount()
}

// TransactionTime returns a quantile, 0 to 100, of the time from when a transaction was
// due until its commands were answered, to three digits.
func (r *Recorder) TransactionTime(q float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.transactions.ValueAtQuantile(q)) * time.Microsecond
}

// Attempts returns the number of requests that carried a command.
func (r *Recorder) Attempts() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.commandAttempts
}

// WriteReport writes all figures for people to read.
func (r *Recorder) WriteReport(w io.Writer, took time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	seconds := max(took.Seconds(), 0.001)
	fmt.Fprintf(&b, "%d transactions in %.1f s (%.1f/s), %d commands (%.1f/s), %d requests, %d retries\n",
		r.transactions.TotalCount(), seconds, float64(r.transactions.TotalCount())/seconds,
		r.commands.TotalCount(), float64(r.commands.TotalCount())/seconds, r.attempts.TotalCount(), r.retries)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "latency\tp50\tp90\tp99\tp99.9\tmax\t") // Flush tells
	for _, row := range []struct {
		name string
		h    *hdrhistogram.Histogram
	}{{"request", r.attempts}, {"command", r.commands}, {"transaction", r.transactions}} {
		_, _ = fmt.Fprintf(table, "%s\t%v\t%v\t%v\t%v\t%v\t\n", row.name,
			quantile(row.h, 50), quantile(row.h, 90), quantile(row.h, 99), quantile(row.h, 99.9), quantile(row.h, 100))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	writeCounts(&b, "transactions", r.outcomes)
	writeCounts(&b, "refused as expected", r.refusals)
	writeCounts(&b, "read before it was there, as expected", r.tooEarly)
	writeCounts(&b, "requests not answered with 200", r.answers)
	fmt.Fprintf(&b, "wrong answers: %d\n", r.wrong)
	for _, fault := range r.faults {
		fmt.Fprintf(&b, "  %s\n", fault)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	d := time.Duration(h.ValueAtQuantile(q)) * time.Microsecond
	if d < time.Second {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

func writeCounts(w io.Writer, title string, counts map[string]int64) {
	if len(counts) == 0 {
		return
	}
	_, _ = fmt.Fprintf(w, "%s:\n", title) // into a strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		_, _ = fmt.Fprintf(w, "  %8d  %s\n", counts[name], name)
	}
}

// FirstFault says what the first wrong answer was; empty: there was none.
func (r *Recorder) FirstFault() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) == 0 {
		return ""
	}
	return r.faults[0]
}
