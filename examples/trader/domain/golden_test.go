package domain_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, definition := range domain.Definitions() {
		actortest.Golden(t, definition, "testdata/events",
			domain.OrderBookOpened{CompanyID: "philips"},
			domain.BuyOrderPlaced{Placement: placement("b-1", 3, 10)},
			domain.SellOrderPlaced{Placement: placement("s-1", 2, 10)},
			domain.TradeExecuted{
				Count: 2, Price: 10, BuyOrderID: "b-1", SellOrderID: "s-1",
				BuyTransactionID: "tx-b-1", SellTransactionID: "tx-s-1",
			},
			domain.OrderCancelled{OrderID: "b-1", Remaining: 3},
		)
	}
}
