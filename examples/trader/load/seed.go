package load

import (
	"context"
	"fmt"
	"slices"

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

// bookID: the policy gives a company's book the company's id.
func bookID(book int) actor.Address { return domain.OrderBooks.ID(companyID(book).ID) }

func userID(user int) string { return fmt.Sprintf("buyer%d", user+1) }

func portfolioID(user int) actor.Address { return domain.Portfolios.ID(userID(user)) }

// Seed creates users and companies, waits for what follows from them (names, portfolios,
// order books), and gives cash and items. The keys are the same at every run, so that
// seeding again gives nobody anything twice. report is called with the parts that are
// done.
func Seed(ctx context.Context, client *Client, recorder *Recorder, cfg Config, report func(done, of int)) error {
	s := &stepper{client: client, recorder: recorder, keys: func(step string) actor.CommandID {
		return actor.CommandID("seed-" + step)
	}}
	if err := s.create(ctx, cfg); err != nil {
		return err
	}
	total := cfg.Books + cfg.Users
	for book := range cfg.Books {
		id := companyID(book)
		var company domain.CompanyView
		if err := s.await(ctx, id, &company, func() bool { return slices.Contains(company.OrderBooks, id.ID) }); err != nil {
			return err
		}
		if err := s.await(ctx, bookID(book), &domain.OrderBookView{}, func() bool { return true }); err != nil {
			return err
		}
		report(book+1, total)
	}
	for user := range cfg.Users {
		var view domain.UserView
		if err := s.await(ctx, domain.Users.ID(userID(user)), &view, func() bool { return view.Status != domain.UserPending }); err != nil {
			return err
		}
		if view.Status != domain.UserActive {
			recorder.fault(fmt.Sprintf("user %s is %s: %s", userID(user), view.Status, view.Reason))
			return fmt.Errorf("user %s is %s: %w", userID(user), view.Status, errWrong)
		}
		if err := s.await(ctx, portfolioID(user), &domain.PortfolioView{}, func() bool { return true }); err != nil {
			return err
		}
		if err := s.all(ctx, gifts(user, cfg.Books)...); err != nil {
			return err
		}
		report(cfg.Books+user+1, total)
	}
	return nil
}

// create begins all that the rest follows from.
func (s *stepper) create(ctx context.Context, cfg Config) error {
	for book := range cfg.Books {
		c := companyOf(book)
		if err := s.all(ctx, step{
			to: companyID(book), name: "company", allowed: exists(),
			command: domain.CreateCompany{Name: c.name, Value: c.value, Shares: c.shares},
		}); err != nil {
			return err
		}
	}
	for user := range cfg.Users {
		id := userID(user)
		if err := s.all(ctx, step{
			to: domain.Users.ID(id), name: "user", allowed: exists(),
			command: domain.RegisterUser{Name: id, Username: id, PasswordHash: cfg.PasswordHash},
		}); err != nil {
			return err
		}
	}
	return nil
}

// exists are the refusals of what somebody has created before.
func exists() []string {
	return []string{string(actor.CodeAlreadyExists), domain.ErrCompanyExists.Code}
}

// gifts are cash for every other user, as in the original, and items for the others.
func gifts(user, books int) []step {
	if user%2 == 0 { // buyer1, buyer3, buyer5
		return []step{{to: portfolioID(user), name: "cash", command: domain.DepositCash{Amount: cashOfBuyer}}}
	}
	var steps []step
	for book := range books {
		steps = append(steps, step{
			to: portfolioID(user), name: "items-" + bookID(book).ID,
			command: domain.AddItems{OrderBookID: bookID(book).ID, Count: itemsOfSeller},
		})
	}
	return steps
}
