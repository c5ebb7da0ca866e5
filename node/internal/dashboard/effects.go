package dashboard

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"
)

// effectsBody shows what aggregates have asked of the world.
type effectsBody struct {
	Look    *Look
	Effects []effectRow
	Pending PendingEffects
	Rows    []PendingEffect // a page of them
	Pager   pager
	Err     string // why they are not known
}

// effectRow is an effect, of all nodes that answer.
type effectRow struct {
	Effect    string
	Handled   int      // nodes that carry it out
	Unhandled []string // nodes whose aggregates ask for it and that do not
	Paused    bool
	Slots     int
	Busy      int
	Stuck     int
	Overdue   int
	Waiting   int
	Oldest    time.Time
	Error     string
}

const (
	effectsPage  = 50
	effectsLimit = 1000
)

func (d *Dashboard) effects(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	look, err := d.looks.recent(ctx, s)
	if err != nil {
		return "", nil, err
	}
	body := &effectsBody{Look: look, Effects: effectRows(look)}
	body.Pending, err = s.PendingEffects(ctx, effectsLimit)
	if err != nil {
		body.Err = short(err.Error())
	}
	body.Pager = pagerOf(r, len(body.Pending.All), effectsPage)
	body.Rows = body.Pending.All[body.Pager.From:body.Pager.To]
	return "Effects", body, nil
}

func effectRows(look *Look) []effectRow {
	all := map[string]*effectRow{}
	for _, m := range look.Live() {
		if m.Figures == nil {
			continue
		}
		for _, f := range m.Figures.Effects {
			row := all[f.Effect]
			if row == nil {
				row = &effectRow{Effect: f.Effect}
				all[f.Effect] = row
			}
			if f.Handled {
				row.Handled++
			} else {
				row.Unhandled = append(row.Unhandled, m.Name)
			}
			row.Paused = row.Paused || f.Paused
			row.Slots, row.Busy, row.Stuck, row.Overdue = row.Slots+f.Slots, row.Busy+f.Busy, row.Stuck+f.Stuck, row.Overdue+f.Overdue
			for _, n := range f.States {
				row.Waiting += n
			}
			if !f.Oldest.IsZero() && (row.Oldest.IsZero() || f.Oldest.Before(row.Oldest)) {
				row.Oldest = f.Oldest
			}
			if f.Error != "" {
				row.Error = f.Error
			}
		}
	}
	rows := make([]effectRow, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		rows = append(rows, *all[name])
	}
	return rows
}
