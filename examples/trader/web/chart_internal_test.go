package web

import (
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/examples/trader/views"
)

func TestChart(t *testing.T) {
	t.Parallel()
	if c := newChart([]views.Trade{{Price: 5, Count: 1}}); c != nil {
		t.Errorf("a line of one point: %+v", c)
	}
	c := newChart([]views.Trade{{Price: 300, Count: 10}, {Price: 100, Count: 1}, {Price: 200, Count: 5}}) // the youngest first
	if c.Line != "M8.0 65.0L360.0 122.0L712.0 8.0" || c.Last != "M712.0 8.0h.01" || c.Low != 100 || c.High != 300 {
		t.Errorf("%+v", c)
	}
	if strings.Count(c.Bars, "M") != 3 || !strings.HasSuffix(c.Bars, "M712.0 164V138.0") {
		t.Errorf("bars: %s", c.Bars)
	}
	if flat := newChart([]views.Trade{{Price: 7, Count: 1}, {Price: 7, Count: 1}}); flat == nil || strings.Contains(flat.Line, "NaN") {
		t.Errorf("one price: %+v", flat)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	ann := visitor{PortfolioID: "ann"}
	all := []views.Order{{Price: 9, Remaining: 5, PortfolioID: "ann"}, {Price: 9, Remaining: 7, PortfolioID: "bob"}, {Price: 8, Remaining: 1}}
	got := levels(all, ann)
	if len(got) != 2 || got[0] != (level{Price: 9, Shares: 12, Orders: 2, Mine: 1}) || got[1].Mine != 0 {
		t.Errorf("%+v", got)
	}
	if got := levels(all, visitor{}); got[0].Mine != 0 || got[1].Mine != 0 {
		t.Errorf("orders of nobody: %+v", got)
	}
	for want, sides := range map[string][2][]level{
		"Nobody buys or sells at the moment.":                                                   {},
		"The best buyer pays $\u00a00.09; nobody sells.":                                        {got[:1], nil},
		"The best seller asks $\u00a00.09; nobody buys.":                                        {nil, got[:1]},
		"The best buyer pays $\u00a00.08, the best seller asks $\u00a00.09: $\u00a00.01 apart.": {got[1:], got[:1]},
	} {
		if text := spread(sides[0], sides[1]); text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}
