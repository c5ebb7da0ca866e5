package load

import (
	"context"
	"fmt"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

const (
	cashOfBuyer   = 100_000
	itemsOfSeller = 10_000
)

type company struct {
	name   string
	value  int64
	shares int64
}

// companyOf returns the company of a book: the three of the original, and then
// as many as are asked for.
func companyOf(book int) company {
	known := []company{{"Philips", 1000, 10000}, {"Shell", 500, 5000}, {"BP", 15000, 100000}}
	if book < len(known) {
		return known[book]
	}
	return company{fmt.Sprintf("Company %d", book+1), 1000, 10000}
}

func companyID(book int) actor.Address { return domain.Companies.ID(fmt.Sprintf("company-%d", book+1)) }

func bookID(book int) actor.Address { return domain.OrderBooks.ID(fmt.Sprintf("book-%d", book+1)) }

func userID(user int) string { return fmt.Sprintf("buyer%d", user+1) }

func portfolioID(user int) actor.Address { return domain.Portfolios.ID(userID(user)) }

// Seed creates users, companies, their books, cash and items. The keys are the
// same at every run, so that seeding again gives nobody anything twice. report
// is called with the parts that are done.
func Seed(ctx context.Context, client *Client, recorder *Recorder, cfg Config, report func(done, of int)) error {
	s := &stepper{client: client, recorder: recorder, keys: func(step string) actor.CommandID {
		return actor.CommandID("seed-" + step)
	}}
	total := cfg.Books + cfg.Users
	for book := range cfg.Books {
		if err := s.all(ctx, companySteps(book)...); err != nil {
			return err
		}
		report(book+1, total)
	}
	for user := range cfg.Users {
		if err := s.all(ctx, userSteps(user, cfg.Books, cfg.PasswordHash)...); err != nil {
			return err
		}
		report(cfg.Books+user+1, total)
	}
	return nil
}

// exists are the refusals of what somebody has created before.
func exists() []string {
	return []string{string(actor.CodeAlreadyExists), domain.ErrCompanyExists.Code}
}

func companySteps(book int) []step {
	c, id := companyOf(book), companyID(book)
	return []step{
		{to: id, name: "company", allowed: exists(), command: domain.CreateCompany{Name: c.name, Value: c.value, Shares: c.shares}},
		{to: bookID(book), name: "book", allowed: exists(), command: domain.OpenOrderBook{CompanyID: id.ID}},
		{to: id, name: "add-book", command: domain.AddOrderBook{OrderBookID: bookID(book).ID}},
	}
}

func userSteps(user, books int, passwordHash string) []step {
	id := userID(user)
	steps := []step{
		{to: domain.Users.ID(id), name: "user", allowed: exists(), command: domain.RegisterUser{Name: id, Username: id, PasswordHash: passwordHash}},
		{to: domain.Usernames.ID(id), name: "username", command: domain.ClaimUsername{UserID: id}},
		{to: domain.Users.ID(id), name: "complete", command: domain.CompleteRegistration{}},
		{to: portfolioID(user), name: "portfolio", allowed: exists(), command: domain.CreatePortfolio{UserID: id}},
	}
	if user%2 == 0 { // buyer1, buyer3, buyer5, as in the original
		return append(steps, step{to: portfolioID(user), name: "cash", command: domain.DepositCash{Amount: cashOfBuyer}})
	}
	for book := range books {
		steps = append(steps, step{
			to: portfolioID(user), name: "items-" + bookID(book).ID,
			command: domain.AddItems{OrderBookID: bookID(book).ID, Count: itemsOfSeller},
		})
	}
	return steps
}
