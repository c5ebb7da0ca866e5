package page

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	check := func(got, want string) {
		t.Helper()
		if got = strings.ReplaceAll(got, "\u00a0", " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for v, want := range map[float64]string{
		0: "0", 0.04: "0", 0.05: "0.1", 1: "1.0", 9.94: "9.9", 9.96: "10", 412.4: "412", 99_999.6: "100,000", 2.5e6: "2.5 M", 1e15: "1e+15",
		-3: "-3.0", -1234: "−1,234", math.Inf(1): "–", math.NaN(): "–",
	} {
		check(number(v), want)
	}
	for d, want := range map[time.Duration]string{
		0: "0 ms", -1: "0 ms", 400 * time.Microsecond: "0.4 ms", 31 * time.Millisecond: "31 ms", 999_600 * time.Microsecond: "1.0 s", 1234 * time.Millisecond: "1.2 s",
		11 * time.Second: "11 s", 3 * time.Minute: "3 min", 5 * time.Hour: "5 h", 72 * time.Hour: "3 days",
	} {
		check(span(d), want)
	}
	for v, want := range map[float64]string{0: "0", 0.11: "11 %", 0.004: "0.4 %", 0.0001: "< 0.1 %", 1: "100 %"} {
		check(share(&v), want)
	}
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{0: "00:00.0", 131_400 * time.Millisecond: "02:11.4", -time.Second: "00:00.0", time.Hour + time.Second: "1:00:01.0"} {
		check(offset(start.Add(d), start), want)
	}
	check(offset(time.Time{}, start)+figure(nil)+duration(nil)+share(nil), "––––")
	check(short("portfolios", 6)+short("a", 1)+title("élan")+title(""), "portf…aÉlan")
}

func TestPerDot(t *testing.T) {
	t.Parallel()
	for busiest, want := range map[float64]float64{0: 1, 12: 1, 12.1: 2, 412: 50, 1e6: 100_000, math.Inf(1): 1, math.NaN(): 1} {
		if got := perDot(busiest); got != want {
			t.Errorf("%v a second: a dot is %v, want %v", busiest, got, want)
		}
	}
}

func TestCharts_Axes(t *testing.T) {
	t.Parallel()
	points := []Point{{At: 0, Orders: 3}, {At: 30 * time.Second, Orders: 412}}
	c := charts(Compare{Span: time.Minute, Ours: Way{Points: points}})[0]
	if len(c.Y) != 4 || c.Y[0].Text != "0" || c.Y[3].Text != "600" || c.Y[3].At != "10" || len(c.X) != 4 || c.X[3].Text != "60" || c.X[3].At != "308" {
		t.Errorf("axes %v and %v", c.Y, c.X)
	}
	if c.Ours != "M46 117.5L177 43.8" || c.Other != "" {
		t.Errorf("lines %q and %q", c.Ours, c.Other)
	}
	if want := "Orders per second. Routed: from 3.0 to 412, now 412. Balancer and database alone: not measured."; c.Label != want {
		t.Errorf("%q, want %q", c.Label, want)
	}
	for v, want := range map[float64]float64{0: 1, -1: 1, 0.3: 0.5, 1: 1, 1.1: 2, 103: 200, 7: 10} {
		if got := niceStep(v); got != want {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}

func TestGrid_FillsItsRectangle(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 7, 16, 128, 1000, 1024} {
		s := Snapshot{}
		for i := range n {
			s.Partitions = append(s.Partitions, Partition{Number: i})
		}
		cells := newGrid(10, 20, 216, 224, n).cells(s, nil)
		seen := map[[2]string]bool{}
		for _, c := range cells {
			seen[[2]string{c.X, c.Y}] = true
		}
		if len(cells) != n || len(seen) != n {
			t.Errorf("%d partitions: %d cells at %d places", n, len(cells), len(seen))
		}
	}
}
