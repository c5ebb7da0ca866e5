package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
)

const (
	listMax   = 200 // companies on a page
	depthMax  = 200 // orders read of each side
	levelsMax = 12  // prices shown of each side
	tradesMax = 20
	barSteps  = 20 // widths that the style sheet has
)

// listing is a company with its book.
type listing struct {
	views.Company

	Book views.Book
}

// market shows all companies.
func (s *site) market(w http.ResponseWriter, r *http.Request, who visitor) {
	rows, err := s.listings(r.Context())
	if err != nil {
		s.unavailable(w, who)
		return
	}
	s.show(w, http.StatusOK, "market", page{Title: "Market", At: "market", Live: "/live/market", Visitor: who, Data: rows})
}

func (s *site) marketLive(w http.ResponseWriter, r *http.Request, _ visitor) {
	s.follow(w, r, part{"listings", func(ctx context.Context) ([]byte, error) {
		rows, err := s.listings(ctx)
		if err != nil {
			return nil, err
		}
		return s.render("market", "listings", rows)
	}, []interest{{view: views.OrderBooks}, {view: views.Companies}}})
}

// listings returns all companies, by name.
func (s *site) listings(ctx context.Context) ([]listing, error) {
	companies, err := s.pages.Companies(ctx, "", listMax)
	if err != nil {
		return nil, err
	}
	books, err := s.pages.Books(ctx, "", listMax)
	if err != nil {
		return nil, err
	}
	byID := map[string]views.Book{}
	for _, b := range books {
		byID[b.ID] = b
	}
	rows := make([]listing, 0, len(companies))
	for _, c := range companies {
		row := listing{Company: c}
		if len(c.OrderBooks) > 0 {
			row.Book = byID[c.OrderBooks[0]]
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b listing) int { return strings.Compare(a.Name+"\x00"+a.ID, b.Name+"\x00"+b.ID) })
	return rows, nil
}

// level is all that is for sale, or wanted, at one price.
type level struct {
	Price, Shares, Orders int64
	Mine                  int64 // of the orders, the visitor's
	Width                 int   // of its bar, in steps
}

// marketPage is an order book as it is shown.
type marketPage struct {
	Book   views.Book
	Name   string
	Buys   []level
	Sells  []level
	Trades []views.Trade
	Chart  *chart // nil: there were too few trades
}

// bookPage is an order book with what its visitor does there.
type bookPage struct {
	marketPage

	Wish     wish
	Position position
}

// book shows an order book.
func (s *site) book(w http.ResponseWriter, r *http.Request, who visitor) {
	m, found, err := s.readBook(r.Context(), who, r.PathValue("book"))
	switch {
	case err != nil:
		s.unavailable(w, who)
	case !found:
		s.notFound(w, who)
	default:
		s.showBook(w, r, who, http.StatusOK, m, wish{Side: domain.SideBuy}, "")
	}
}

// showBook shows an order book, with a form that was not right if there is one.
func (s *site) showBook(w http.ResponseWriter, r *http.Request, who visitor, status int, m marketPage, again wish, why string) {
	b := bookPage{marketPage: m, Wish: again}
	if who.UserID != "" {
		var err error
		if b.Position, err = s.position(r.Context(), who, m.Book.ID, r.URL.Query().Get("order")); err != nil {
			s.unavailable(w, who)
			return
		}
	}
	live := "/market/" + url.PathEscape(m.Book.ID) + "/live"
	if o := b.Position.Order; o != nil && o.ID == r.URL.Query().Get("order") {
		live += "?order=" + url.QueryEscape(o.ID)
	}
	s.show(w, status, "book", page{Title: m.Name, At: "market", Live: live, Visitor: who, Error: why, Data: b})
}

// bookLive follows an order book.
func (s *site) bookLive(w http.ResponseWriter, r *http.Request, who visitor) {
	id := r.PathValue("book")
	if _, found, err := s.readBook(r.Context(), who, id); err != nil || !found {
		http.Error(w, "There is no such book.", http.StatusNotFound)
		return
	}
	parts := []part{{"book", func(ctx context.Context) ([]byte, error) {
		m, _, err := s.readBook(ctx, who, id)
		if err != nil {
			return nil, err
		}
		return s.render("book", "book", m)
	}, []interest{{views.OrderBooks, id}}}}
	if who.UserID != "" {
		parts = append(parts, s.positionPart(r, who, id))
	}
	s.follow(w, r, parts...)
}

// readBook reads a book, with who's orders marked, and the name of its company.
func (s *site) readBook(ctx context.Context, who visitor, id string) (m marketPage, found bool, err error) {
	if !valid(domain.OrderBooks.ID(id)) {
		return m, false, nil
	}
	market, found, err := s.pages.Market(ctx, id, depthMax)
	if err != nil || !found {
		return m, found, err
	}
	company, _, err := s.pages.Company(ctx, market.CompanyID)
	if err != nil {
		return m, false, err
	}
	m = marketPage{Book: market.Book, Name: company.Name, Buys: levels(market.Bids, who), Sells: levels(market.Asks, who)}
	widen(m.Buys, m.Sells)
	m.Chart = newChart(market.Recent[:min(len(market.Recent), chartTrades)])
	m.Trades = market.Recent[:min(len(market.Recent), tradesMax)]
	return m, true, nil
}

// levels sums up orders by price. They come in the order in which the book matches them.
func levels(orders []views.Order, who visitor) []level {
	var all []level
	for _, o := range orders {
		if n := len(all); n == 0 || all[n-1].Price != o.Price {
			if n == levelsMax {
				break
			}
			all = append(all, level{Price: o.Price})
		}
		last := &all[len(all)-1]
		last.Shares += o.Remaining
		last.Orders++
		if who.PortfolioID != "" && o.PortfolioID == who.PortfolioID {
			last.Mine++
		}
	}
	return all
}

// widen gives each level its bar, all by one measure.
func widen(sides ...[]level) {
	most := int64(1)
	for _, side := range sides {
		for _, l := range side {
			most = max(most, l.Shares)
		}
	}
	for _, side := range sides {
		for i := range side {
			side[i].Width = max(1, int(float64(side[i].Shares)/float64(most)*barSteps))
		}
	}
}
