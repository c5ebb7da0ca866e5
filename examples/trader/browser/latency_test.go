package browser_test

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// watchTrades has the page note when each trade that comes has arrived, and when it has been
// painted; what it returns returns how long that was after the trade's commit. All is told by
// the machine's clock.
func (p *tab) watchTrades() (seen func() (arrived, painted latencies)) {
	p.t.Helper()
	p.do("watch trades", script(`(() => {
	const rows = () => [...document.querySelectorAll("[data-part=book] .lines time")].map((e) => e.dateTime);
	const known = new Set(rows());
	window.arrivedTrades = [];
	window.paintedTrades = [];
	const note = (where, fresh) => fresh.forEach((at) => where.push(Date.now() - Date.parse(at)));
	new MutationObserver(() => {
		const fresh = rows().filter((at) => !known.has(at));
		fresh.forEach((at) => known.add(at));
		if (fresh.length === 0) return;
		note(window.arrivedTrades, fresh);
		requestAnimationFrame(() => setTimeout(() => note(window.paintedTrades, fresh)));
	}).observe(document.querySelector("[data-part=book]"), { childList: true });
})()`))
	return func() (arrived, painted latencies) {
		p.t.Helper()
		return get[latencies](p, `window.arrivedTrades`), get[latencies](p, `window.paintedTrades`)
	}
}

// latencies are in milliseconds.
type latencies []float64

// quantile returns the least latency that this share of all do not exceed.
func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return time.Duration(sorted[max(at, 0)] * float64(time.Millisecond))
}

// String writes the quantiles.
func (l latencies) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, at most %v (%d trades)", l.quantile(0.5), l.quantile(0.99), l.quantile(1), len(l))
}
