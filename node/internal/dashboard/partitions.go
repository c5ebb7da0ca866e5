package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// partitionsBody shows who owns what.
type partitionsBody struct {
	Look   *Look
	Owners []ownerRow
	Cells  []partitionCell
	Odd    []partitionCell // that need a look, at most oddShown
	OddAll int
	Rows   []partitionCell // a page of all
	Pager  pager
}

// ownerRow is an owner in the legend.
type ownerRow struct {
	Mark, Class, Name string
	Partitions        int
	Lag               uint64
	State             string
}

// partitionCell is a partition in the grid.
type partitionCell struct {
	Partition
	Mark, Class string
	Why         string // what is out of the ordinary; empty: nothing
}

// Title is the cell in words.
func (c partitionCell) Title() string {
	owner := short(c.Owner)
	if owner == "" {
		owner = "no owner"
	}
	text := fmt.Sprintf("Partition %d: %s", c.Number, owner)
	if c.Lag > 0 {
		text += fmt.Sprintf(", %s waiting", count(c.Lag))
	}
	if c.Why != "" {
		text += "; " + c.Why
	}
	return text
}

const (
	oddShown       = 50
	partitionsPage = 64
	lagOdd         = 1000 // commands of a partition that wait and are worth a look
)

// markOf is the letter of an owner in the grid.
func markOf(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return strconv.Itoa(i + 1)
}

func (d *Dashboard) partitions(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	look, err := d.looks.look(ctx, s)
	if err != nil {
		return "", nil, err
	}
	body := &partitionsBody{Look: look}
	at := map[string]int{}
	for i := range look.Members {
		m := &look.Members[i]
		if _, ok := at[m.Name]; ok || m.State == MemberDead && m.Partitions == 0 {
			continue
		}
		at[m.Name] = len(body.Owners)
		body.Owners = append(body.Owners, ownerRow{Name: m.Name, State: readiness(m)})
	}
	colours := ownersOf(look)
	for i := range body.Owners {
		o := &body.Owners[i]
		o.Mark, o.Class = markOf(i), colours[o.Name]
	}
	for _, p := range look.Partitions {
		cell := partitionCell{Partition: p, Mark: "–", Class: "none", Why: oddity(&p)}
		if i, ok := at[p.Owner]; ok {
			o := &body.Owners[i]
			o.Partitions++
			o.Lag += p.Lag
			cell.Mark, cell.Class = o.Mark, o.Class
		} else if p.Owner != "" {
			cell.Mark = "?"
		}
		if cell.Why != "" {
			if body.OddAll++; len(body.Odd) < oddShown {
				body.Odd = append(body.Odd, cell)
			}
		}
		body.Cells = append(body.Cells, cell)
	}
	body.Pager = pagerOf(r, len(body.Cells), partitionsPage)
	body.Rows = body.Cells[body.Pager.From:body.Pager.To]
	return "Partitions", body, nil
}

// oddity says what about a partition needs a look.
func oddity(p *Partition) string {
	switch {
	case p.Owner == "":
		return "no owner: its commands wait"
	case p.AwaitingParking > 0:
		return count(p.AwaitingParking) + " stand still, as no more can be parked"
	case p.Orphan:
		return "watched: the owner before has not released it"
	case p.Lag >= lagOdd:
		return "many commands wait"
	}
	return ""
}

// pager is which part of a list is shown.
type pager struct {
	From, To, Total int
	Before, After   string // offsets of the pages before and after; empty: there is none
}

// pagerOf reads offset= of a request.
func pagerOf(r *http.Request, total, limit int) pager {
	from := offsetOf(r)
	if from >= total {
		from = max((total-1)/limit*limit, 0)
	}
	p := pager{From: from, To: min(from+limit, total), Total: total}
	if from > 0 {
		p.Before = strconv.Itoa(max(from-limit, 0))
	}
	if p.To < total {
		p.After = strconv.Itoa(p.To)
	}
	return p
}

// offsetMax bounds how far a list is paged.
const offsetMax = 1_000_000

func offsetOf(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("offset"))
	if err != nil || n < 0 || n > offsetMax {
		return 0
	}
	return n
}
