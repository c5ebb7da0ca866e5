package gateway

import (
	"context"
	"crypto/rand"
	"log/slog"

	"github.com/ganglion-go/ganglion/actor"
)

// incident keeps back the text of what failed inside: it may name hosts, or hold data of
// others. It goes to the log, with the name under which the caller is told of it.
func (g *Gateway) incident(ctx context.Context, level slog.Level, code actor.Code, text string) *Problem {
	id := rand.Text()[:12]
	g.cfg.Logger.LogAttrs(ctx, level, "withheld_from_the_caller",
		slog.String("incident", id), slog.String("code", string(code)), slog.String("text", text))
	return newProblem(code, "").of(id)
}

// of names the incident in a problem.
func (p *Problem) of(incident string) *Problem {
	p.Incident = incident
	p.Detail += " (incident " + incident + ")"
	return p
}

// problem is problemOf for what an owner has answered. Owners keep back what is not for
// callers; what comes without an incident, under a code that tells of a fault, is of one
// that does not: an earlier build, or a newer one whose codes are not known here.
func (g *Gateway) problem(ctx context.Context, o actor.Outcome) *Problem {
	switch p := problemOf(o); {
	case o.Incident != "" || o.Detail == "" || !ofAFault(o.Code):
		return p
	default:
		q := g.incident(ctx, slog.LevelError, o.Code, o.Detail)
		q.Version = p.Version
		return q
	}
}

// ofAFault reports whether a code stands for something that failed, in the place of
// something that was decided or refused.
func ofAFault(code actor.Code) bool {
	switch code {
	case actor.CodeParked, actor.CodeUnloadable, actor.CodeStorageFull:
		return true
	case actor.CodeUnknownOutcome:
		return false
	default:
		return failureOf(code) == failureOf(actor.CodeUnknownOutcome) // not of the closed set
	}
}
