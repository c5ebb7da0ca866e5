package dashboard

import (
	"context"
	"net/http"
	"slices"
)

// actionsBody shows what operators did last, at all nodes that answer.
type actionsBody struct {
	Look *Look
	Rows []ActionRecord
}

const actionsShown = 100

func (d *Dashboard) actions(ctx context.Context, _ *http.Request, s Source) (string, any, error) {
	look, err := d.looks.look(ctx, s)
	if err != nil {
		return "", nil, err
	}
	body := &actionsBody{Look: look}
	for _, m := range look.Live() {
		if m.Figures == nil {
			continue
		}
		for _, a := range m.Figures.Actions {
			a.Node = m.Name
			body.Rows = append(body.Rows, a)
		}
	}
	slices.SortStableFunc(body.Rows, func(a, b ActionRecord) int { return b.At.Compare(a.At) })
	body.Rows = body.Rows[:min(len(body.Rows), actionsShown)]
	return "Actions of operators", body, nil
}
