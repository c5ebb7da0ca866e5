package audit

import (
	"slices"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// checkUsers: an active user has the name, alone, and a portfolio; no name is with
// anybody else.
func (l *Ledger) checkUsers(f *findings) {
	names := map[string]string{}
	for id, u := range l.users {
		if u.status != domain.UserActive {
			continue
		}
		address := domain.Users.ID(id).String()
		name, err := domain.NormalizeUsername(u.username)
		switch n := l.usernames[name]; {
		case err != nil:
			f.add(Username, address, "is active with the name %q: %v", u.username, err)
		case names[name] != "":
			f.add(Username, address, "has the name %s, and so has %s", name, names[name])
		case n == nil || n.owner != id || !n.confirmed:
			f.add(Username, address, "is active, and the name %s is not confirmed as its own", name)
		}
		names[name] = id
		if p := l.portfolios[u.portfolio]; p == nil || !p.created {
			f.add(Listing, address, "has no portfolio %s", u.portfolio)
		}
	}
	for name, n := range l.usernames {
		if u := l.users[n.owner]; n.owner != "" && (u == nil || u.status != domain.UserActive) {
			f.add(Username, domain.Usernames.ID(name).String(), "is with %s, who is not active", n.owner)
		}
	}
}

// checkCompanies: the policy has given each its book.
func (l *Ledger) checkCompanies(f *findings) {
	for id, c := range l.companies {
		if !c.created {
			continue
		}
		b := l.books[id]
		if b == nil || !b.open || !slices.Contains(c.books, id) {
			f.add(Listing, domain.Companies.ID(id).String(), "has no open order book of its own")
		}
	}
}
