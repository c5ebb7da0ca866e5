package web

import (
	"fmt"
	"strings"

	"github.com/ganglion-go/ganglion/examples/trader/views"
)

// The chart's measures, in units of its picture.
const (
	chartWide   = 720
	chartPrices = 130 // high, of the part for prices
	chartVolume = 34  // high, of the part for shares below it
	chartPad    = 8
	chartTrades = 60
)

// chart is a picture of the last trades: a line for prices, a bar for the shares of each.
// Its fields are paths of an SVG, but for Low, High and Label.
type chart struct {
	Line, Area, Last, Bars string
	Low, High              int64 // prices
	Label                  string
}

// newChart draws trades, of which the youngest comes first; nil: there are too few.
func newChart(trades []views.Trade) *chart {
	if len(trades) < 2 {
		return nil
	}
	c := &chart{Low: trades[0].Price, High: trades[0].Price}
	most := trades[0].Count
	for _, t := range trades {
		c.Low, c.High, most = min(c.Low, t.Price), max(c.High, t.Price), max(most, t.Count)
	}
	spread := max(c.High-c.Low, 1)
	var line, bars strings.Builder
	x, y := 0.0, 0.0
	for i := range trades {
		t := trades[len(trades)-1-i]
		x = chartPad + float64(i)*(chartWide-2*chartPad)/float64(len(trades)-1)
		y = chartPrices - chartPad - float64(t.Price-c.Low)/float64(spread)*(chartPrices-2*chartPad)
		command := "L"
		if i == 0 {
			command = "M"
		}
		_, _ = fmt.Fprintf(&line, "%s%.1f %.1f", command, x, y)
		high := max(1, float64(t.Count)/float64(most)*(chartVolume-chartPad))
		_, _ = fmt.Fprintf(&bars, "M%.1f %dV%.1f", x, chartPrices+chartVolume, chartPrices+chartVolume-high)
	}
	c.Line, c.Bars = line.String(), bars.String()
	c.Area = c.Line + fmt.Sprintf("L%.1f %dL%d %dZ", x, chartPrices, chartPad, chartPrices)
	c.Last = fmt.Sprintf("M%.1f %.1fh.01", x, y) // with round ends, that is a dot
	c.Label = fmt.Sprintf("Prices of the last %d trades, from %s to %s, the last one %s", len(trades), money(c.Low), money(c.High), money(trades[0].Price))
	return c
}

// spread words how far the two sides of a market are apart.
func spread(buys, sells []level) string {
	switch {
	case len(buys) == 0 && len(sells) == 0:
		return "Nobody buys or sells at the moment."
	case len(buys) == 0:
		return "The best seller asks " + money(sells[0].Price) + "; nobody buys."
	case len(sells) == 0:
		return "The best buyer pays " + money(buys[0].Price) + "; nobody sells."
	default:
		return fmt.Sprintf("The best buyer pays %s, the best seller asks %s: %s apart.", money(buys[0].Price), money(sells[0].Price), money(sells[0].Price-buys[0].Price))
	}
}
