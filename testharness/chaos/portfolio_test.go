package chaos_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/testharness/chaos"
)

// portfolio is the state of the model of a trader's portfolio: money alone.
type portfolio struct {
	Created bool
	Cash    int64
}

// portfolios is that model, written down apart from the trader's code.
func portfolios() chaos.Model[portfolio] {
	return chaos.Model[portfolio]{
		Kind:   "portfolio",
		Create: call("CreatePortfolio", `{"userId":"u"}`),
		Next: func(rnd *rand.Rand) chaos.Call {
			switch n := rnd.IntN(10); {
			case n < 3:
				return chaos.Call{}
			case n < 6:
				return call("DepositCash", fmt.Sprintf(`{"amount":%d}`, 1+rnd.IntN(1000)))
			case n < 9:
				return call("WithdrawCash", fmt.Sprintf(`{"amount":%d}`, 1+rnd.IntN(1500)))
			default:
				return call("CreatePortfolio", `{"userId":"u"}`)
			}
		},
		Decide: func(p portfolio, c chaos.Call) (portfolio, chaos.Decision) {
			var body struct{ Amount int64 }
			_ = json.Unmarshal(c.Body, &body) // our own
			switch {
			case c.Command == "CreatePortfolio" && p.Created:
				return p, chaos.Decision{Refuse: "already_exists"}
			case c.Command == "CreatePortfolio":
				return portfolio{Created: true}, chaos.Decision{Events: 1}
			case !p.Created:
				return p, chaos.Decision{Refuse: "portfolio_not_found"}
			case c.Command == "DepositCash":
				p.Cash += body.Amount
			case body.Amount > p.Cash:
				return p, chaos.Decision{Refuse: "insufficient_cash"}
			default:
				p.Cash -= body.Amount
			}
			return p, chaos.Decision{Events: 1}
		},
		Shows: func(p portfolio, state json.RawMessage) bool {
			var view domain.PortfolioView
			return json.Unmarshal(state, &view) == nil && view.Cash == p.Cash && view.ReservedCash == 0
		},
	}
}

func call(command, body string) chaos.Call {
	return chaos.Call{Command: command, Body: json.RawMessage(body)}
}

// conserved: what came in and did not go out is there, over all portfolios, by
// the events and by what clients were told.
func conserved(h *chaos.History) error {
	var flow, held int64
	for target, commits := range h.Commits {
		for _, c := range commits {
			for _, e := range c.Events {
				var data struct{ Amount int64 }
				if err := json.Unmarshal(e.Data, &data); err != nil {
					return fmt.Errorf("%s: event %s: %w", target, e.Name, err)
				}
				switch e.Name {
				case "cashDeposited.v1":
					flow += data.Amount
				case "cashWithdrawn.v1":
					flow -= data.Amount
				}
			}
		}
		state, ok := h.LastState(target)
		if !ok {
			return fmt.Errorf("%s was not read", target)
		}
		var view domain.PortfolioView
		if err := json.Unmarshal(state, &view); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		held += view.Cash + view.ReservedCash
	}
	if flow != held {
		return fmt.Errorf("deposits less withdrawals are %d, and portfolios hold %d", flow, held)
	}
	return nil
}
