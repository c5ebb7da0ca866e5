package domain

import "github.com/ganglion-go/ganglion/actor"

// Listing is the policy that gives every company its order book. The book has the
// company's id, so that there cannot be two.
var Listing = actor.DefinePolicy("listing", func(d *actor.PolicyDefinition) {
	actor.When(d, Companies, func(p *actor.PolicyContext, _ CompanyCreated) {
		company := p.Event().Source
		p.Send(OrderBooks.ID(company.ID), OpenOrderBook{CompanyID: company.ID})
		p.Send(company, AddOrderBook{OrderBookID: company.ID})
	})
})

// Opening is the policy that gives every user a portfolio.
var Opening = actor.DefinePolicy("opening", func(d *actor.PolicyDefinition) {
	actor.When(d, Users, func(p *actor.PolicyContext, e UserRegistered) {
		p.Send(Portfolios.ID(e.PortfolioID), CreatePortfolio{UserID: p.Event().Source.ID})
	})
})
