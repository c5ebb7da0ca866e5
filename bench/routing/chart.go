package main

import (
	"bytes"
	"fmt"
	"image/color"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	chartWidth  = 11 * vg.Inch
	chartHeight = 6 * vg.Inch
	barWidth    = 16 // points
)

// wayColor is a colour of the Okabe-Ito palette, which people who do not see all
// colours can tell apart: warm without routing, blue with it.
func wayColor(i int) color.Color {
	palette := []color.RGBA{
		{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
		{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff},
		{R: 0xf0, G: 0xd0, B: 0x60, A: 0xff},
		{R: 0x00, G: 0x72, B: 0xb2, A: 0xff},
		{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff},
	}
	return palette[i%len(palette)]
}

// panel is one of the measures that the chart shows.
type panel struct {
	label string
	of    func(result) float64
}

// chart returns the figures as SVG.
func (r *report) chart() ([]byte, error) {
	canvas := vgsvg.New(chartWidth, chartHeight)
	if err := r.draw(draw.New(canvas)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("write SVG: %w", err)
	}
	return out.Bytes(), nil
}

// draw has a column for each number of aggregates, and a row for each measure.
func (r *report) draw(c draw.Canvas) error {
	measures := []panel{
		{"commands a second", func(x result) float64 { return x.PerSecond }},
		{"99th percentile, ms", func(x result) float64 { return x.P99 }},
	}
	columns := r.aggregates()
	plots := make([][]*plot.Plot, len(measures))
	for row, m := range measures {
		for column, n := range columns {
			p, err := r.plot(m, n)
			if err != nil {
				return err
			}
			if row == 0 {
				p.Title.Text = aggregatesTitle(n)
			}
			if column == 0 {
				p.Y.Label.Text = m.label
			}
			plots[row] = append(plots[row], p)
		}
	}
	c.SetColor(color.White)
	c.Fill(c.Path())
	drawLegend(c)
	tiles := draw.Tiles{
		Rows: len(measures), Cols: len(columns), PadX: 0.25 * vg.Inch, PadY: 0.2 * vg.Inch,
		PadTop: 0.1 * vg.Inch, PadBottom: 0.4 * vg.Inch, PadLeft: 0.1 * vg.Inch, PadRight: 0.1 * vg.Inch,
	}
	canvases := plot.Align(plots, tiles, c)
	for row := range plots {
		for column, p := range plots[row] {
			p.Draw(canvases[row][column])
		}
	}
	return nil
}

// sans is the typeface of all texts. A viewer without it takes one of its own.
func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// plot draws one measure for one number of aggregates: a group of bars for each
// number of servers, a bar for each way.
func (r *report) plot(m panel, aggregates int) (*plot.Plot, error) {
	p := plot.New()
	p.Title.TextStyle.Font, p.Y.Label.TextStyle.Font = sans(12), sans(10)
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font = sans(10), sans(8)
	p.Y.Min = 0
	p.Y.Tick.Marker = plot.TickerFunc(ticks)
	var groups []string
	for _, servers := range r.servers() {
		groups = append(groups, strconv.Itoa(servers)+" servers")
	}
	for i, w := range ways() {
		var bars plotter.Values
		offset := vg.Length(barWidth) * vg.Length(float64(i)-float64(len(ways())-1)/2)
		for _, servers := range r.servers() {
			x, _ := r.find(w.Name, servers, aggregates)
			bars = append(bars, m.of(x))
		}
		chart, err := plotter.NewBarChart(bars, vg.Points(barWidth))
		if err != nil {
			return nil, err
		}
		chart.LineStyle.Width = 0
		chart.Color = wayColor(i)
		chart.Offset = offset
		p.Add(chart)
		if err := addLabels(p, bars, offset); err != nil {
			return nil, err
		}
	}
	p.NominalX(groups...)
	p.X.Min, p.X.Max = -0.55, float64(len(groups))-0.45
	p.Y.Max *= 1.08 // room for the labels
	return p, nil
}

// ticks are the usual ones with readable numbers.
func ticks(lowest, highest float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(lowest, highest)
	for i := range all {
		if all[i].Label != "" {
			all[i].Label = thousands(all[i].Value)
		}
	}
	return all
}

// addLabels writes each bar's value above it.
func addLabels(p *plot.Plot, bars plotter.Values, offset vg.Length) error {
	var values plotter.XYLabels
	for x, v := range bars {
		values.XYs = append(values.XYs, plotter.XY{X: float64(x), Y: v})
		values.Labels = append(values.Labels, short(v))
	}
	labels, err := plotter.NewLabels(values)
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font = sans(6.5)
		labels.TextStyle[i].XAlign = draw.XCenter
	}
	labels.Offset = vg.Point{X: offset, Y: vg.Points(1)}
	p.Add(labels)
	return nil
}

// short shows a value in the width of a bar.
func short(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.0fk", v/1000)
	case v >= 1000:
		return fmt.Sprintf("%.1fk", v/1000)
	default:
		return thousands(v)
	}
}

// drawLegend names the ways below the panels, in one line.
func drawLegend(c draw.Canvas) {
	style := draw.TextStyle{
		Color: color.Black, Font: sans(10), Handler: plot.DefaultTextHandler,
		XAlign: draw.XLeft, YAlign: draw.YCenter,
	}
	const swatch = 10 // points
	step := c.Rectangle.Size().X / vg.Length(len(ways()))
	y := c.Min.Y + vg.Points(swatch)
	for i, w := range ways() {
		x := c.Min.X + step*vg.Length(i) + vg.Points(swatch)
		c.FillPolygon(wayColor(i), []vg.Point{
			{X: x, Y: y - swatch/2}, {X: x + swatch, Y: y - swatch/2}, {X: x + swatch, Y: y + swatch/2}, {X: x, Y: y + swatch/2},
		})
		c.FillText(style, vg.Point{X: x + 1.5*swatch, Y: y}, w.Title)
	}
}
