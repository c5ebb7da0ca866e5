package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/projection"
)

const (
	linesMax  = 100 // transactions on their page
	recentMax = 8   // on the dashboard
	lastOf    = 30  // among which the last one of a book is looked for
)

// step is one of a saga.
type step struct{ Name, State string } // State: done, now, failed, or nothing

// order is a transaction with where it stands.
type order struct {
	ID, Name    string
	Transaction domain.TransactionView
	Steps       []step
	Words       string // what it waits for, or how it has ended
	Cancel      bool   // what is left can be cancelled
	CSRF        string
}

// Left returns what can still be traded.
func (o order) Left() int64 { return o.Transaction.Count - o.Transaction.Executed }

// place starts the transaction of a form.
func (s *site) place(w http.ResponseWriter, r *http.Request, who visitor) {
	book := r.PathValue("book")
	m, found, err := s.readBook(r.Context(), who, book)
	switch {
	case err != nil:
		s.unavailable(w, who)
		return
	case !found:
		s.notFound(w, who)
		return
	}
	wish := wish{Side: r.PostFormValue("side"), Count: r.PostFormValue("count"), Price: r.PostFormValue("price")}
	terms := domain.Terms{PortfolioID: who.PortfolioID, OrderBookID: book} // whose it is, no form says
	if terms.Count, err = parseCount(wish.Count); err == nil {
		terms.Price, err = parseMoney(wish.Price)
	}
	if err == nil && wish.Side != domain.SideBuy && wish.Side != domain.SideSell {
		err = errSide
	}
	if err != nil {
		s.showBook(w, r, who, http.StatusUnprocessableEntity, m, wish, "Nothing was ordered: "+err.Error()+".")
		return
	}
	id := "t-" + once(r, who, "side", "count", "price")
	to := domain.Transactions.ID(id)
	if wish.Side == domain.SideBuy {
		_, err = actor.Ask(r.Context(), s.client, to, domain.StartBuyTransaction{Terms: terms}, by(who))
	} else {
		_, err = actor.Ask(r.Context(), s.client, to, domain.StartSellTransaction{Terms: terms}, by(who))
	}
	code, refused := refusal(err)
	switch {
	case refused:
		s.showBook(w, r, who, http.StatusUnprocessableEntity, m, wish, say(code)+" Nothing was ordered.")
	case err != nil && !errors.Is(err, actor.ErrAlreadyExists): // it exists: the form was sent twice
		s.unavailable(w, who)
	default:
		http.Redirect(w, r, "/market/"+book+"?order="+id, http.StatusSeeOther)
	}
}

var errSide = errors.New("an order buys or sells")

// wish is what an order's form has in it again.
type wish struct{ Side, Count, Price string }

// mine returns a transaction if it is of somebody's portfolio.
func (s *site) mine(ctx context.Context, who visitor, id string) (o order, found bool, err error) {
	to := domain.Transactions.ID(id)
	if !valid(to) {
		return o, false, nil
	}
	o = order{ID: id, CSRF: who.CSRF}
	o.Transaction, _, err = actor.State[domain.TransactionView](ctx, s.client, to)
	switch {
	case errors.Is(err, actor.ErrDoesNotExist):
		return o, false, nil
	case err != nil:
		return o, false, err
	case who.PortfolioID == "" || o.Transaction.PortfolioID != who.PortfolioID:
		return o, false, nil
	}
	saga := domain.Buyings.ID(id)
	if o.Transaction.Side == domain.SideSell {
		saga = domain.Sellings.ID(id)
	}
	trading, _, err := actor.State[domain.TradingView](ctx, s.client, saga)
	if err != nil && !errors.Is(err, actor.ErrDoesNotExist) {
		return o, false, err
	}
	o.Steps, o.Words = progress(o.Transaction, trading)
	switch o.Transaction.Status {
	case domain.StatusStarted, domain.StatusConfirmed, domain.StatusPartiallyExecuted:
		o.Cancel = true
	case domain.StatusCancelled, domain.StatusExecuted, domain.StatusRejected:
	}
	o.Name, err = s.companyOf(ctx, o.Transaction.OrderBookID)
	return o, true, err
}

// valid reports whether an aggregate can have the address: people type what they like.
func valid(a actor.Address) bool { return a.Validate() == nil }

// companyOf returns the name of the company that a book is of.
func (s *site) companyOf(ctx context.Context, book string) (string, error) {
	c, found, err := s.pages.Company(ctx, book) // a book has its company's id
	if !found {
		return book, err
	}
	return c.Name, err
}

// progress says how far the saga of a transaction is.
func progress(x domain.TransactionView, t domain.TradingView) (steps []step, words string) {
	now, words := 1, "The saga starts."
	switch t.Phase {
	case domain.PhaseReserving:
		words = "The portfolio reserves what the order may need."
	case domain.PhaseConfirming, domain.PhaseOrdering:
		now, words = 2, "It is reserved; the order is on its way to the book."
	case domain.PhaseLive:
		now, words = 3, "The order is in the book and waits for the market."
	case domain.PhaseCancelling:
		now, words = 3, "The order is being cancelled; what is left is given back."
	case domain.PhaseSettling:
		now, words = 4, "Trades are on their way to the portfolio."
	case domain.PhaseStuck:
		now, words = 4, "A trade could not be settled ("+t.Refusal+"). Operators see it."
	case domain.PhaseClosed:
		now, words = 5, "Everything is settled."
	}
	failed := t.Phase == domain.PhaseStuck
	switch {
	case x.Status == domain.StatusRejected:
		now, failed, words = 1, true, say(x.Reason)+" Nothing was traded."
	case x.Status == domain.StatusCancelled && now == 5:
		words = "It was cancelled; what was left has been given back."
	}
	for i, name := range []string{"started", "reserved", "in the book", "trading", "settled"} {
		state := ""
		switch {
		case i < now && (i != 3 || x.Executed > 0):
			state = "done"
		case i == now && failed:
			state = "failed"
		case i == now:
			state = "now"
		}
		steps = append(steps, step{name, state})
	}
	return steps, words
}

// transaction shows one order.
func (s *site) transaction(w http.ResponseWriter, r *http.Request, who visitor) {
	o, found, err := s.mine(r.Context(), who, r.PathValue("id"))
	switch {
	case err != nil:
		s.unavailable(w, who)
	case !found:
		s.notFound(w, who)
	default:
		s.show(w, http.StatusOK, "transaction", page{Title: "Order", At: "transactions", Live: "/transactions/" + url.PathEscape(o.ID) + "/live", Visitor: who, Data: o})
	}
}

var errNotTheirs = errors.New("it is not theirs")

// transactionLive follows one order, for as long as its owner is logged in.
func (s *site) transactionLive(w http.ResponseWriter, r *http.Request, who visitor) {
	id := r.PathValue("id")
	if _, found, err := s.mine(r.Context(), who, id); err != nil || !found {
		http.Error(w, "There is no such order.", http.StatusNotFound)
		return
	}
	s.follow(w, r, part{"order", s.theirs(r, func(ctx context.Context, now visitor) ([]byte, error) {
		o, found, err := s.mine(ctx, now, id)
		if err == nil && !found {
			err = errNotTheirs
		}
		if err != nil {
			return nil, err
		}
		return s.render("transaction", "order", o)
	}), []interest{{views.Transactions, id}}})
}

// theirs renders what is somebody's own, for as long as they are logged in.
func (s *site) theirs(r *http.Request, render func(context.Context, visitor) ([]byte, error)) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		now, err := s.who(r.WithContext(ctx))
		if err == nil && now.UserID == "" {
			err = errNotTheirs
		}
		if err != nil {
			return nil, err
		}
		return render(ctx, now)
	}
}

// ofTheirs is what changes with somebody's portfolio and orders.
func ofTheirs(who visitor) []interest {
	return []interest{{views.Portfolios, who.PortfolioID}, {views.Transactions, projection.KeyPrefix(who.PortfolioID)}}
}

// cancel gives up what is left of an order.
func (s *site) cancel(w http.ResponseWriter, r *http.Request, who visitor) {
	id := r.PathValue("id")
	o, found, err := s.mine(r.Context(), who, id)
	if err == nil && found {
		_, err = actor.Ask(r.Context(), s.client, domain.Transactions.ID(id), domain.CancelTransaction{}, by(who))
	}
	code, refused := refusal(err)
	switch {
	case refused:
		s.problem(w, http.StatusConflict, who, say(code)+" Nothing was cancelled.")
	case err != nil:
		s.unavailable(w, who)
	case !found:
		s.notFound(w, who)
	default:
		http.Redirect(w, r, "/market/"+o.Transaction.OrderBookID+"?order="+id, http.StatusSeeOther)
	}
}

// line is a transaction in a list.
type line struct {
	views.Transaction

	Name string // of the company
}

// lines returns the youngest transactions of a portfolio.
func (s *site) lines(ctx context.Context, portfolio string, most int) ([]line, error) {
	all, err := s.pages.Transactions(ctx, portfolio, most)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	lines := make([]line, 0, len(all))
	for _, t := range all {
		if _, known := names[t.OrderBookID]; !known {
			if names[t.OrderBookID], err = s.companyOf(ctx, t.OrderBookID); err != nil {
				return nil, err
			}
		}
		lines = append(lines, line{t, names[t.OrderBookID]})
	}
	return lines, nil
}

func (s *site) transactions(w http.ResponseWriter, r *http.Request, who visitor) {
	all, err := s.lines(r.Context(), who.PortfolioID, linesMax)
	if err != nil {
		s.unavailable(w, who)
		return
	}
	s.show(w, http.StatusOK, "transactions", page{Title: "Transactions", At: "transactions", Live: "/live/transactions", Visitor: who, Data: all})
}

func (s *site) transactionsLive(w http.ResponseWriter, r *http.Request, who visitor) {
	s.follow(w, r, part{"lines", s.theirs(r, func(ctx context.Context, now visitor) ([]byte, error) {
		all, err := s.lines(ctx, now.PortfolioID, linesMax)
		if err != nil {
			return nil, err
		}
		return s.render("transactions", "lines", all)
	}), ofTheirs(who)})
}

// position is what somebody has in a market.
type position struct {
	Cash, ReservedCash   int64
	Items, ReservedItems int64 // shares of the market's company
	Order                *order
}

// position reads what somebody has in a market; asked is the order to show.
func (s *site) position(ctx context.Context, who visitor, book, asked string) (mine position, err error) {
	p, _, err := actor.State[domain.PortfolioView](ctx, s.client, domain.Portfolios.ID(who.PortfolioID))
	if err == nil {
		mine.Order, err = s.lastOrder(ctx, who, book, asked)
	}
	mine.Cash, mine.ReservedCash, mine.Items, mine.ReservedItems = p.Cash, p.ReservedCash, p.Items[book], p.ReservedItems[book]
	return mine, err
}

// positionPart follows what somebody has in a market.
func (s *site) positionPart(r *http.Request, who visitor, book string) part {
	asked := r.URL.Query().Get("order")
	return part{"position", s.theirs(r, func(ctx context.Context, now visitor) ([]byte, error) {
		mine, err := s.position(ctx, now, book, asked)
		if err != nil {
			return nil, err
		}
		return s.render("book", "position", mine)
	}), ofTheirs(who)}
}

// lastOrder returns the order that a page of a book shows: the one that it is asked for,
// or the last of the visitor's in it.
func (s *site) lastOrder(ctx context.Context, who visitor, book, asked string) (*order, error) {
	if asked == "" {
		all, err := s.pages.Transactions(ctx, who.PortfolioID, lastOf)
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			if t.OrderBookID == book {
				asked = t.ID
				break
			}
		}
	}
	if asked == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	o, found, err := s.mine(ctx, who, asked)
	if err != nil || !found || o.Transaction.OrderBookID != book {
		return nil, err
	}
	return &o, nil
}

// holding is what somebody owns of a company.
type holding struct {
	Book, Name     string
	Free, Reserved int64
}

// holdings returns the shares of a portfolio, by company.
func (s *site) holdings(ctx context.Context, p domain.PortfolioView) ([]holding, error) {
	books := map[string]bool{}
	for book := range p.Items {
		books[book] = true
	}
	for book := range p.ReservedItems {
		books[book] = true
	}
	all := make([]holding, 0, len(books))
	for book := range books {
		if p.Items[book] == 0 && p.ReservedItems[book] == 0 {
			continue
		}
		name, err := s.companyOf(ctx, book)
		if err != nil {
			return nil, err
		}
		all = append(all, holding{Book: book, Name: name, Free: p.Items[book], Reserved: p.ReservedItems[book]})
	}
	slices.SortFunc(all, func(a, b holding) int { return strings.Compare(a.Name+a.Book, b.Name+b.Book) })
	return all, nil
}

// wealth is what somebody owns, and has ordered.
type wealth struct {
	Portfolio domain.PortfolioView
	Holdings  []holding
	Lines     []line
}

// dashboardPage is that, with the form for cash.
type dashboardPage struct {
	wealth

	Amount string
}

func (s *site) wealth(ctx context.Context, who visitor) (all wealth, err error) {
	if all.Portfolio, _, err = actor.State[domain.PortfolioView](ctx, s.client, domain.Portfolios.ID(who.PortfolioID)); err == nil {
		all.Holdings, err = s.holdings(ctx, all.Portfolio)
	}
	if err == nil {
		all.Lines, err = s.lines(ctx, who.PortfolioID, recentMax)
	}
	return all, err
}

func (s *site) dashboardLive(w http.ResponseWriter, r *http.Request, who visitor) {
	s.follow(w, r, part{"wealth", s.theirs(r, func(ctx context.Context, now visitor) ([]byte, error) {
		all, err := s.wealth(ctx, now)
		if err != nil {
			return nil, err
		}
		return s.render("dashboard", "wealth", all)
	}), ofTheirs(who)})
}

func (s *site) dashboard(w http.ResponseWriter, r *http.Request, who visitor) {
	s.showDashboard(w, r, who, http.StatusOK, "", "")
}

func (s *site) showDashboard(w http.ResponseWriter, r *http.Request, who visitor, status int, amount, why string) {
	d := dashboardPage{Amount: amount}
	var err error
	if d.wealth, err = s.wealth(r.Context(), who); err != nil {
		s.unavailable(w, who)
		return
	}
	s.show(w, status, "dashboard", page{Title: "Dashboard", At: "dashboard", Live: "/live/dashboard", Visitor: who, Error: why, Data: d})
}

// cash pays in or out.
func (s *site) cash(w http.ResponseWriter, r *http.Request, who visitor) {
	text := r.PostFormValue("amount")
	amount, err := parseMoney(text)
	if err != nil {
		s.showDashboard(w, r, who, http.StatusUnprocessableEntity, text, "Nothing was paid: "+err.Error()+".")
		return
	}
	to := domain.Portfolios.ID(who.PortfolioID)
	key := actor.WithCommandID(actor.CommandID("web-" + once(r, who, "amount", "way")))
	if r.PostFormValue("way") == "out" {
		_, err = actor.Ask(r.Context(), s.client, to, domain.WithdrawCash{Amount: amount}, key, by(who))
	} else {
		_, err = actor.Ask(r.Context(), s.client, to, domain.DepositCash{Amount: amount}, key, by(who))
	}
	code, refused := refusal(err)
	switch {
	case refused:
		s.showDashboard(w, r, who, http.StatusUnprocessableEntity, text, say(code)+" Nothing was paid.")
	case err != nil:
		s.unavailable(w, who)
	default:
		http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
	}
}

// status words where a transaction stands.
func status(s domain.Status) string { return strings.ReplaceAll(string(s), "_", " ") }

// started writes when a transaction has.
func started(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05") }
