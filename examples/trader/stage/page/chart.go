package page

import (
	"math"
	"strings"
	"time"
)

// chart is a drawing of two lines over time, with its axes.
type chart struct {
	Title, Unit string
	Label       string // for those who do not see it
	Ours, Other string // paths; empty: nothing was measured
	Y, X        []tick
}

// tick is a mark of an axis.
type tick struct {
	At   string
	Text string
}

// The view box of a chart, and what is left in it for the lines.
const (
	chartLeft, chartRight = 46.0, 308.0
	chartTop, chartBottom = 10.0, 118.0
	ticksY, ticksX        = 4, 4

	chartMost = 1e15 // what is more is drawn as that
)

// charts draws what was measured in both ways, with the same measure for both.
func charts(c Compare) []chart {
	orders := func(p Point) float64 { return min(p.Orders, chartMost) }
	p99 := func(p Point) float64 { return float64(p.P99) / float64(time.Millisecond) }
	conflicts := func(p Point) float64 { return min(p.Conflicts, chartMost) }
	return []chart{
		newChart(c, "Orders", "per second", orders), newChart(c, "p99", "ms", p99), newChart(c, "Conflicts", "per second", conflicts),
	}
}

func newChart(c Compare, name, unit string, of func(Point) float64) chart {
	most, width := 0.0, c.Span
	for _, way := range [][]Point{c.Ours.Points, c.Other.Points} {
		for _, p := range way {
			width = max(width, p.At)
			if v := of(p); finite(v) {
				most = max(most, v)
			}
		}
	}
	width = max(width, time.Second)
	step := niceStep(most / ticksY)
	top := step * math.Max(1, math.Ceil(most/step))
	out := chart{Title: name, Unit: unit, Label: chartWords(c, name+" "+unit, of)}
	x := func(at time.Duration) float64 {
		return chartLeft + float64(at)/float64(width)*(chartRight-chartLeft)
	}
	y := func(v float64) float64 { return chartBottom - v/top*(chartBottom-chartTop) }
	for v := 0.0; v <= top*1.001; v += step {
		out.Y = append(out.Y, tick{At: decimal(y(v)), Text: number(v)})
	}
	every := niceStep(width.Seconds() / ticksX)
	for at := 0.0; at <= width.Seconds()*1.001; at += every {
		out.X = append(out.X, tick{At: decimal(x(time.Duration(at * float64(time.Second)))), Text: number(at)})
	}
	draw := func(points []Point) string {
		var b strings.Builder
		for _, p := range points {
			v := of(p)
			if !finite(v) || p.At < 0 {
				continue
			}
			letter := "L"
			if b.Len() == 0 {
				letter = "M"
			}
			b.WriteString(letter + decimal(x(p.At)) + " " + decimal(y(math.Max(v, 0))))
		}
		return b.String()
	}
	out.Ours, out.Other = draw(c.Ours.Points), draw(c.Other.Points)
	return out
}

// niceStep returns 1, 2 or 5 times a power of ten that is at least v.
func niceStep(v float64) float64 {
	if !finite(v) || v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*unit*1.0001 {
			return n * unit
		}
	}
	return 10 * unit
}

// chartWords says what a chart shows.
func chartWords(c Compare, what string, of func(Point) float64) string {
	return what + ". Routed: " + lineWords(c.Ours.Points, of) + ". Balancer and database alone: " + lineWords(c.Other.Points, of) + "."
}

func lineWords(points []Point, of func(Point) float64) string {
	if len(points) == 0 {
		return "not measured"
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range points {
		if v := of(p); finite(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	return "from " + number(low) + " to " + number(high) + ", now " + number(of(points[len(points)-1]))
}
