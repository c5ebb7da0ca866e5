package dashboard

import (
	"crypto/rand"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	ticketLife = 30 * time.Minute
	ticketsMax = 100_000 // that are remembered as used
)

// tickets let an action be done that a page has asked about: as it was asked, by whom it was
// asked, and once.
type tickets struct {
	now func() time.Time

	mu   sync.Mutex
	used map[string]time.Time // until when it would hold
}

func newTickets(now func() time.Time) *tickets {
	return &tickets{now: now, used: map[string]time.Time{}}
}

// Names of the fields that a ticket has in a form.
const (
	fieldOnce  = "once"
	fieldUntil = "until"
	fieldSeal  = "seal"
)

// issue returns the fields of a form that does what what says.
func (t *tickets) issue(a *access, v visitor, what url.Values) url.Values {
	until := strconv.FormatInt(t.now().Add(ticketLife).Unix(), 10)
	once := rand.Text()
	return url.Values{fieldOnce: {once}, fieldUntil: {until}, fieldSeal: {a.sign(v, "do", once, until, what.Encode())}}
}

// redeem reports whether a form has a ticket for what it does that was not used. It is used
// then.
func (t *tickets) redeem(a *access, v visitor, form, what url.Values) error {
	once, until := form.Get(fieldOnce), form.Get(fieldUntil)
	if !a.signed(form.Get(fieldSeal), a.sign(v, "do", once, until, what.Encode())) {
		return errTicket
	}
	seconds, err := strconv.ParseInt(until, 10, 64)
	ends := time.Unix(seconds, 0)
	if err != nil || !t.now().Before(ends) {
		return errTicketOld
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, was := t.used[once]; was {
		return errTicketUsed
	}
	if len(t.used) >= ticketsMax {
		for other, end := range t.used {
			if !t.now().Before(end) {
				delete(t.used, other)
			}
		}
	}
	if len(t.used) >= ticketsMax {
		return errTicketsFull
	}
	t.used[once] = ends
	return nil
}
