package tradertest

import (
	"fmt"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// What [Seed] gives: cash to every other user, items of each book to the others.
const (
	Cash  = 100_000
	Items = 10_000
)

// User returns the id of a user, and of the user's portfolio.
func User(n int) string { return fmt.Sprintf("buyer%d", n+1) }

// Company returns the id of a company, and of its book.
func Company(n int) string { return fmt.Sprintf("company-%d", n+1) }

// Seed creates users and companies, with all that follows from them, and gives the
// users what they trade with.
func Seed(w *World, users, books int) {
	w.t.Helper()
	for n := range books {
		w.Must(domain.Companies.ID(Company(n)), domain.CreateCompany{Name: Company(n), Value: 1000, Shares: 10_000})
	}
	for n := range users {
		w.Must(domain.Users.ID(User(n)), domain.RegisterUser{Name: User(n), Username: User(n), PasswordHash: "$2a$10$x"})
	}
	w.Settle()
	for n := range users {
		portfolio := domain.Portfolios.ID(User(n))
		if n%2 == 0 {
			w.Must(portfolio, domain.DepositCash{Amount: Cash})
			continue
		}
		for book := range books {
			w.Must(portfolio, domain.AddItems{OrderBookID: Company(book), Count: Items})
		}
	}
}
