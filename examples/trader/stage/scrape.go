package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	scrapeMax = 2 * time.Second
	bodyMax   = 16 << 20
)

// sampler asks the parts for their figures.
type sampler struct{ http *http.Client }

func newSampler() *sampler {
	return &sampler{&http.Client{Timeout: scrapeMax, Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}}}
}

var errStatus = errors.New("unexpected status")

// get reads a URL.
func (s *sampler) get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, bodyMax))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %w %s", url, errStatus, answer.Status)
	}
	return body, err
}

func (s *sampler) json(ctx context.Context, url string, into any) error {
	body, err := s.get(ctx, url)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// scrape is what a node's metrics said at a moment.
type scrape struct {
	at       time.Time
	families map[string]*dto.MetricFamily
}

func (s *sampler) scrape(ctx context.Context, admin string) (*scrape, error) {
	body, err := s.get(ctx, admin+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return &scrape{time.Now(), families}, nil
}

// where selects series by their labels; nil: all.
type where func(labels map[string]string) bool

// sum adds up the values of a family; of a histogram, the sum of what was observed.
func (s *scrape) sum(family string, of where) (total float64) {
	for _, m := range s.series(family, of) {
		switch {
		case m.Counter != nil:
			total += m.GetCounter().GetValue()
		case m.Gauge != nil:
			total += m.GetGauge().GetValue()
		case m.Histogram != nil:
			total += m.GetHistogram().GetSampleSum()
		}
	}
	return total
}

// count returns how often a histogram was observed.
func (s *scrape) count(family string, of where) (total float64) {
	for _, m := range s.series(family, of) {
		total += float64(m.GetHistogram().GetSampleCount())
	}
	return total
}

func (s *scrape) series(family string, of where) (some []*dto.Metric) {
	if s == nil || s.families[family] == nil {
		return nil
	}
	for _, m := range s.families[family].GetMetric() {
		if of == nil || of(labelsOf(m)) {
			some = append(some, m)
		}
	}
	return some
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := make(map[string]string, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// buckets adds up a histogram's buckets, by upper bound.
func (s *scrape) buckets(family string, of where) map[float64]float64 {
	all := map[float64]float64{}
	for _, m := range s.series(family, of) {
		for _, b := range m.GetHistogram().GetBucket() {
			all[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	}
	return all
}

// pair is two scrapes of one process, one after the other. Figures are of the time between.
type pair struct{ before, after *scrape }

// known reports whether there are two, of the same life.
func (p pair) known() bool {
	return p.before != nil && p.after != nil && p.after.at.After(p.before.at) &&
		p.after.sum("process_start_time_seconds", nil) == p.before.sum("process_start_time_seconds", nil)
}

func (p pair) seconds() float64 { return p.after.at.Sub(p.before.at).Seconds() }

// rate is how much a counter has grown in a second.
func (p pair) rate(family string, of where) float64 {
	return max(0, p.after.sum(family, of)-p.before.sum(family, of)) / p.seconds()
}

// times is how often a histogram was observed in a second.
func (p pair) times(family string, of where) float64 {
	return max(0, p.after.count(family, of)-p.before.count(family, of)) / p.seconds()
}

// quantile estimates one of how long requests took, as Prometheus does: linearly within a bucket. ok is
// false if nothing was observed.
func (p pair) quantile(q float64, of where) (d time.Duration, ok bool) {
	before, after := p.before.buckets(metricRequests, of), p.after.buckets(metricRequests, of)
	bounds := make([]float64, 0, len(after))
	total := 0.0
	for bound, n := range after {
		bounds = append(bounds, bound)
		total = max(total, n-before[bound])
	}
	if total <= 0 {
		return 0, false
	}
	slices.Sort(bounds)
	rank, low, below := q*total, 0.0, 0.0
	for _, bound := range bounds {
		n := after[bound] - before[bound]
		if n >= rank && n > below {
			if math.IsInf(bound, 1) {
				bound = low
			}
			return time.Duration((low + (bound-low)*(rank-below)/(n-below)) * float64(time.Second)), true
		}
		low, below = bound, n
	}
	return time.Duration(low * float64(time.Second)), true
}
