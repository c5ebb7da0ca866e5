package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/projection"
)

const (
	listMax   = 200 // companies on a page
	depthMax  = 200 // orders read of each side
	levelsMax = 12  // prices shown of each side
	tradesMax = 20
	barSteps  = 20 // widths that the style sheet has
	chartWide = 720
	chartHigh = 130
	chartPad  = 8
	chartMax  = 60 // trades in it
)

// listing is a company with its book.
type listing struct {
	views.Company

	Book views.Book
}

// market shows all companies.
func (s *site) market(w http.ResponseWriter, r *http.Request, who visitor) {
	companies, err := s.pages.Companies(r.Context(), "", listMax)
	if err != nil {
		s.unavailable(w, who)
		return
	}
	books, err := s.pages.Books(r.Context(), "", listMax)
	if err != nil {
		s.unavailable(w, who)
		return
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
	slices.SortFunc(rows, func(a, b listing) int { return strings.Compare(a.Name, b.Name) })
	s.show(w, http.StatusOK, "market", page{Title: "Market", At: "market", Visitor: who, Data: rows})
}

// level is all that is for sale, or wanted, at one price.
type level struct {
	Price, Shares, Orders int64
	Width                 int // of its bar, in steps
}

// marketPage is an order book as it is shown.
type marketPage struct {
	Book       views.Book
	Name       string
	Buys       []level
	Sells      []level
	Trades     []views.Trade
	Chart      string // path of an SVG; empty: there were too few trades
	ChartArea  string
	ChartLabel string
}

// bookPage is an order book with what its visitor does there.
type bookPage struct {
	marketPage

	Wish  wish
	Cash  int64 // that is free
	Items int64 // shares that are
	Order *order
}

// book shows an order book.
func (s *site) book(w http.ResponseWriter, r *http.Request, who visitor) {
	m, found, err := s.readBook(r.Context(), r.PathValue("book"))
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
		p, _, err := actor.State[domain.PortfolioView](r.Context(), s.client, domain.Portfolios.ID(who.PortfolioID))
		if err == nil {
			b.Order, err = s.lastOrder(r.Context(), who, m.Book.ID, r.URL.Query().Get("order"))
		}
		if err != nil {
			s.unavailable(w, who)
			return
		}
		b.Cash, b.Items = p.Cash, p.Items[m.Book.ID]
	}
	s.show(w, status, "book", page{Title: m.Name, At: "market", Visitor: who, Error: why, Data: b})
}

// bookLive follows an order book.
func (s *site) bookLive(w http.ResponseWriter, r *http.Request, _ visitor) {
	id := r.PathValue("book")
	if _, found, err := s.readBook(r.Context(), id); err != nil || !found {
		http.Error(w, "There is no such book.", http.StatusNotFound)
		return
	}
	s.follow(w, r, views.OrderBooks, projection.Interest{Prefix: id}, func(ctx context.Context) ([]byte, error) {
		m, _, err := s.readBook(ctx, id)
		if err != nil {
			return nil, err
		}
		return s.render("book", "book", m)
	})
}

// readBook reads a book and the name of its company.
func (s *site) readBook(ctx context.Context, id string) (m marketPage, found bool, err error) {
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
	m = marketPage{Book: market.Book, Name: company.Name, Buys: levels(market.Bids), Sells: levels(market.Asks)}
	widen(m.Buys, m.Sells)
	m.Chart, m.ChartArea, m.ChartLabel = chart(market.Recent[:min(len(market.Recent), chartMax)])
	m.Trades = market.Recent[:min(len(market.Recent), tradesMax)]
	return m, true, nil
}

// levels sums up orders by price. They come in the order in which the book matches them.
func levels(orders []views.Order) []level {
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

// chart draws the prices of trades, of which the youngest comes first.
func chart(trades []views.Trade) (line, area, label string) {
	if len(trades) < 2 {
		return "", "", ""
	}
	low, high := trades[0].Price, trades[0].Price
	for _, t := range trades {
		low, high = min(low, t.Price), max(high, t.Price)
	}
	spread := max(high-low, 1)
	var path strings.Builder
	for i := range trades {
		t := trades[len(trades)-1-i]
		x := float64(i) * chartWide / float64(len(trades)-1)
		y := chartHigh - chartPad - float64(t.Price-low)/float64(spread)*(chartHigh-2*chartPad)
		command := "L"
		if i == 0 {
			command = "M"
		}
		_, _ = fmt.Fprintf(&path, "%s%.1f %.1f", command, x, y)
	}
	line = path.String()
	area = line + fmt.Sprintf("L%d %dL0 %dZ", chartWide, chartHigh, chartHigh)
	label = fmt.Sprintf("Prices of the last %d trades, from %s to %s", len(trades), money(low), money(high))
	return line, area, label
}
