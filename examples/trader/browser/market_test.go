package browser_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/web"
	"github.com/ganglion-go/ganglion/node/nodetest"
)

// market is a node in this process, with a company whose shares have been traded.
type market struct {
	t    *testing.T
	node *nodetest.Node
	app  *web.App
}

const (
	shell       = "shell" // its book
	marketTrade = 24
)

func newMarket(t *testing.T) *market {
	t.Helper()
	m := &market{t: t, app: &web.App{APIAddr: "127.0.0.1:0", PasswordCost: 4}}
	m.node = nodetest.Start(t, m.app.Config(), web.Definitions()...)
	tell(m, domain.Companies.ID(shell), domain.CreateCompany{Name: "Shell", Value: 500, Shares: 5000})
	tell(m, domain.Companies.ID("long"), domain.CreateCompany{Name: "A company with a name that is as long as names of companies may be, " + strings.Repeat("y", 10), Shares: 1_000_000_000})
	for _, who := range []string{"maker", "taker"} {
		p := domain.Portfolios.ID(who)
		tell(m, p, domain.CreatePortfolio{UserID: who})
		tell(m, p, domain.DepositCash{Amount: 1_000_000})
	}
	m.node.AtRest()
	for _, who := range []string{"maker", "taker"} {
		tell(m, domain.Portfolios.ID(who), domain.AddItems{OrderBookID: shell, Count: 100_000})
	}
	for i := range marketTrade { // they meet
		price, count := int64(800+30*(i%7)-20*(i%4)), int64(5+i%9)
		m.offer(domain.SideSell, fmt.Sprint("maker-", i), "maker", count, price)
		m.node.AtRest()
		m.offer(domain.SideBuy, fmt.Sprint("taker-", i), "taker", count, price)
		m.node.AtRest()
	}
	for i := range int64(8) { // they wait
		m.offer(domain.SideSell, fmt.Sprint("ask-", i), "maker", 100+37*i, 1000+10*(i/2))
		m.offer(domain.SideBuy, fmt.Sprint("bid-", i), "taker", 300-31*i, 700-10*(i/2))
	}
	m.node.AtRest()
	return m
}

func tell[C actor.Asking[R], R any](m *market, to actor.Address, command C) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	if _, err := actor.Ask[R](ctx, m.node.Client(), to, command); err != nil {
		m.t.Fatalf("%s: %v", to, err)
	}
}

// offer starts the transaction of an order.
func (m *market) offer(side, id, portfolio string, count, price int64) {
	m.t.Helper()
	terms := domain.Terms{PortfolioID: portfolio, OrderBookID: shell, Count: count, Price: price}
	if side == domain.SideSell {
		tell(m, domain.Transactions.ID(id), domain.StartSellTransaction{Terms: terms})
	} else {
		tell(m, domain.Transactions.ID(id), domain.StartBuyTransaction{Terms: terms})
	}
}

// hosts are the addresses of its pages.
func (m *market) hosts() []string {
	return []string{strings.TrimPrefix(m.node.URL(), "http://"), strings.TrimPrefix(m.app.APIURL(), "http://")}
}

// trader returns a tab of somebody who has registered, with cash.
func (m *market) trader(t *testing.T, c *chrome, name string) *tab {
	t.Helper()
	p := c.user(t, name, m.hosts()...)
	p.register(m.node.URL())
	p.fill("[name=amount]", "500")
	p.click("[name=way][value=in]")
	p.at("/dashboard")
	p.shows(".figures", "$ 500.00 free")
	return p
}
