package domain_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

// Whatever is asked of a portfolio, nothing comes from nowhere: cash and items,
// free and reserved, are what came in less what went out; what is reserved is
// the sum of what the transactions hold; nothing is negative.
func TestPortfolio_Conserves(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 40 {
		i := domain.Portfolios.Behavior().New(p1)
		var cashIn, itemsIn int64
		do := func(name, data string) bool {
			t.Helper()
			d := i.Decide(&actor.Message{Target: p1, ID: "c", Name: name, Data: []byte(data)})
			if d.Panic != nil || d.Tainted {
				t.Fatalf("%s %s: %+v", name, data, d)
			}
			return d.Outcome.Code == actor.CodeOK && len(d.Events) > 0
		}
		do("CreatePortfolio", `{}`)
		for range 300 {
			n := 1 + rnd.Int64N(20)
			tx := "tx-" + strconv.Itoa(rnd.IntN(12))
			held := fmt.Sprintf(`{"transactionId":%q,"amount":%d,"count":%d,"orderBookId":"b"}`, tx, n, n)
			free := fmt.Sprintf(`{"amount":%d,"count":%d,"orderBookId":"b"}`, n, n)
			name := []string{
				"DepositCash", "WithdrawCash", "AddItems", "ReserveCash", "ConfirmCash", "ReleaseCash",
				"ReserveItems", "ConfirmItems", "ReleaseItems",
			}[rnd.IntN(9)]
			switch name {
			case "DepositCash", "WithdrawCash", "AddItems":
				if !do(name, free) {
					continue
				}
			default:
				if !do(name, held) {
					continue
				}
			}
			switch name {
			case "DepositCash":
				cashIn += n
			case "WithdrawCash", "ConfirmCash":
				cashIn -= n
			case "AddItems":
				itemsIn += n
			case "ConfirmItems":
				itemsIn -= n
			}
			checkPortfolio(t, i, cashIn, itemsIn)
		}
	}
}

func checkPortfolio(t *testing.T, i *actor.Instance, cash, items int64) {
	t.Helper()
	var v domain.PortfolioView
	if err := json.Unmarshal(i.Decide(&actor.Message{Type: actor.TypeState}).Outcome.Reply, &v); err != nil {
		t.Fatal(err)
	}
	var heldCash, heldItems int64
	for tx, r := range v.Reservations {
		if r.Cash < 0 || r.Items < 0 || r.Cash == 0 && r.Items == 0 {
			t.Fatalf("%s holds %+v", tx, r)
		}
		heldCash += r.Cash
		heldItems += r.Items
	}
	if v.Cash < 0 || v.Items["b"] < 0 || v.Cash+v.ReservedCash != cash || v.Items["b"]+v.ReservedItems["b"] != items ||
		heldCash != v.ReservedCash || heldItems != v.ReservedItems["b"] {
		t.Fatalf("%d cash and %d items came in and stayed: %+v", cash, items, v)
	}
}
