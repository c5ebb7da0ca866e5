package domain

import (
	"slices"

	"github.com/ganglion-go/ganglion/actor"
)

// Company is the state of a company whose shares are traded.
type Company struct {
	Name       string   `json:"name"`
	Value      int64    `json:"value"`
	Shares     int64    `json:"shares"`
	OrderBooks []string `json:"orderBooks"`
	Created    bool     `json:"created"`
}

// CreateCompany creates a company.
type CreateCompany struct {
	actor.Replies[actor.None]
	Name   string `json:"name"`
	Value  int64  `json:"value"`
	Shares int64  `json:"shares"`
}

// CompanyCreated follows from [CreateCompany].
type CompanyCreated struct {
	Name   string `json:"name"`
	Value  int64  `json:"value"`
	Shares int64  `json:"shares"`
}

// AddOrderBook adds an order book to a company; one that it has changes nothing.
type AddOrderBook struct {
	actor.Replies[actor.None]
	OrderBookID string `json:"orderBookId"`
}

// OrderBookAdded follows from [AddOrderBook].
type OrderBookAdded struct {
	OrderBookID string `json:"orderBookId"`
}

// ErrCompanyExists rejects a second [CreateCompany].
var ErrCompanyExists = actor.Reject("company_exists", "the company exists already")

// Companies defines kind company.
var Companies = actor.Define("company", func(d *actor.Definition[Company]) {
	actor.On(d, (*Company).create)
	actor.On(d, (*Company).addOrderBook, actor.ExistingOnly(), actor.Internal())
	actor.Apply(d, (*Company).created)
	actor.Apply(d, (*Company).orderBookAdded)
	actor.View(d, (*Company).view)
	d.PublicEvents()
	d.Rejections(ErrCompanyExists)
})

func (c *Company) create(ctx *actor.Context, m CreateCompany) (actor.None, error) {
	if c.Created {
		return actor.None{}, ErrCompanyExists
	}
	ctx.Raise(CompanyCreated{Name: m.Name, Value: m.Value, Shares: m.Shares})
	return actor.None{}, nil
}

func (c *Company) addOrderBook(ctx *actor.Context, m AddOrderBook) (actor.None, error) {
	if !slices.Contains(c.OrderBooks, m.OrderBookID) {
		ctx.Raise(OrderBookAdded{OrderBookID: m.OrderBookID})
	}
	return actor.None{}, nil
}

func (c *Company) created(e CompanyCreated) {
	c.Name, c.Value, c.Shares, c.Created = e.Name, e.Value, e.Shares, true
}

func (c *Company) orderBookAdded(e OrderBookAdded) {
	c.OrderBooks = append(c.OrderBooks, e.OrderBookID)
}

// CompanyView is what a read of a company shows.
type CompanyView struct {
	Name       string   `json:"name"`
	Value      int64    `json:"value"`
	Shares     int64    `json:"shares"`
	OrderBooks []string `json:"orderBooks"`
}

func (c *Company) view() CompanyView {
	return CompanyView{Name: c.Name, Value: c.Value, Shares: c.Shares, OrderBooks: append([]string{}, c.OrderBooks...)}
}
