package dashboard

import (
	"context"
	"net/http"
	"time"
)

// projectionsBody shows the projections, and the routers of sagas and policies.
type projectionsBody struct {
	Look  *Look
	Rows  []projectionRow
	Pager pager
}

// projectionRow is a projection as the storage has it, and as the nodes run it.
type projectionRow struct {
	Projection
	Nodes   int           // that run a part of it
	Lag     uint64        // the largest of them
	Age     time.Duration // likewise
	Waiting int
	Parked  int // aggregates
	Stuck   int // of them: they wait for an operator
	Applied float64
	Known   bool // Applied was measured
	Error   string
	ErrorAt time.Time
	ErrorOf string // the node
}

// Doing says in a word what the projection does.
func (p projectionRow) Doing() string {
	switch {
	case p.Err != "":
		return "unknown"
	case p.Paused:
		return "paused"
	case p.Rebuild != nil:
		return "rebuilding"
	case !p.Started:
		return "not begun"
	case p.Nodes == 0:
		return "not run"
	}
	return "runs"
}

// Percent is how much of a rebuild is done, in percent.
func (p projectionRow) Percent() int { return percent(p.Rebuild.Done, p.Rebuild.Total) }

// Bar is the class of the bar that shows it.
func (p projectionRow) Bar() string { return barClass(uint64(p.Percent()), 100) }

const projectionsPage = 25

func (d *Dashboard) projections(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	look, err := d.looks.look(ctx, s)
	if err != nil {
		return "", nil, err
	}
	stored, err := s.Projections(ctx, offsetOf(r), projectionsPage)
	if err != nil {
		return "", nil, err
	}
	body := &projectionsBody{Look: look, Pager: pagerOf(r, stored.Total, projectionsPage)}
	for _, p := range stored.All {
		body.Rows = append(body.Rows, projectionOf(look, p))
	}
	return "Projections", body, nil
}

// projectionOf gathers what the nodes say of a projection.
func projectionOf(look *Look, p Projection) projectionRow {
	row := projectionRow{Projection: p}
	for _, m := range look.Live() {
		if m.Figures == nil {
			continue
		}
		before, over := look.since(m.Figures)
		for _, f := range m.Figures.Projections {
			if f.Name != p.Name {
				continue
			}
			if f.Partitions > 0 {
				row.Nodes++
			}
			row.Lag, row.Age = max(row.Lag, f.Lag), max(row.Age, f.Age)
			row.Waiting += f.Waiting
			row.Parked += f.Parked
			row.Stuck += f.Stuck
			if f.Error != "" && f.ErrorAt.After(row.ErrorAt) {
				row.Error, row.ErrorAt, row.ErrorOf = f.Error, f.ErrorAt, m.Name
			}
			if over > 0 {
				row.Known = true
				row.Applied += float64(gained(f.Applied, appliedOf(before, p.Name))) / over.Seconds()
			}
		}
	}
	return row
}

func appliedOf(f *Figures, name string) uint64 {
	for i := range f.Projections {
		if f.Projections[i].Name == name {
			return f.Projections[i].Applied
		}
	}
	return 0
}
