package domain

import "github.com/ganglion-go/ganglion/actor"

// DepositCash adds free cash: from outside, or what a trade has brought in. The
// latter counts once for each trade.
type DepositCash struct {
	actor.Replies[actor.None]
	Amount int64 `json:"amount"`
	Settlement
}

// CashDeposited follows from [DepositCash].
type CashDeposited struct {
	Amount int64 `json:"amount"`
	Settlement
}

func (p *Portfolio) deposit(ctx *actor.Context, m DepositCash) (actor.None, error) {
	if err := p.accepts(m.Amount); err != nil {
		return actor.None{}, err
	}
	if p.settled(stepDeposit, m.Settlement) {
		return actor.None{}, nil // again
	}
	if !fits(p.Cash, p.ReservedCash, m.Amount) {
		return actor.None{}, ErrInvalidAmount
	}
	ctx.Raise(CashDeposited{Amount: m.Amount, Settlement: m.Settlement})
	return actor.None{}, nil
}

func (p *Portfolio) deposited(e CashDeposited) {
	p.Cash += e.Amount
	p.settle(stepDeposit, e.Settlement)
}

// WithdrawCash takes free cash out.
type WithdrawCash struct {
	actor.Replies[actor.None]
	Amount int64 `json:"amount"`
}

// CashWithdrawn follows from [WithdrawCash].
type CashWithdrawn struct {
	Amount int64 `json:"amount"`
}

func (p *Portfolio) withdraw(ctx *actor.Context, m WithdrawCash) (actor.None, error) {
	if err := p.accepts(m.Amount); err != nil {
		return actor.None{}, err
	}
	if m.Amount > p.Cash {
		return actor.None{}, ErrInsufficientCash.With("cash", p.Cash)
	}
	ctx.Raise(CashWithdrawn{Amount: m.Amount})
	return actor.None{}, nil
}

func (p *Portfolio) withdrawn(e CashWithdrawn) { p.Cash -= e.Amount }

// ReserveCash sets cash aside for a transaction. A second reserve for the same
// transaction changes nothing. The reply is what the transaction holds.
type ReserveCash struct {
	actor.Replies[Reservation]
	TransactionID string `json:"transactionId"`
	Amount        int64  `json:"amount"`
}

// CashReserved follows from [ReserveCash].
type CashReserved struct {
	TransactionID string `json:"transactionId"`
	Amount        int64  `json:"amount"`
}

func (p *Portfolio) reserveCash(ctx *actor.Context, m ReserveCash) (Reservation, error) {
	if err := p.accepts(m.Amount); err != nil {
		return Reservation{}, err
	}
	switch {
	case m.TransactionID == "":
		return Reservation{}, ErrInvalidAmount
	case p.knows(m.TransactionID):
		return p.Reservations[m.TransactionID], nil
	case m.Amount > p.Cash:
		return Reservation{}, ErrInsufficientCash.With("cash", p.Cash)
	}
	ctx.Raise(CashReserved{TransactionID: m.TransactionID, Amount: m.Amount})
	return p.Reservations[m.TransactionID], nil
}

func (p *Portfolio) cashReserved(e CashReserved) {
	p.Cash -= e.Amount
	p.ReservedCash += e.Amount
	p.hold(e.TransactionID, func(r *Reservation) { r.Cash += e.Amount })
}

// ConfirmCash spends cash that a transaction holds; once for each trade, if it names
// one. The reply is what it then holds.
type ConfirmCash struct {
	actor.Replies[Reservation]
	TransactionID string `json:"transactionId"`
	Amount        int64  `json:"amount"`
	TradeID       string `json:"tradeId,omitempty"`
}

// CashConfirmed follows from [ConfirmCash].
type CashConfirmed struct {
	TransactionID string `json:"transactionId"`
	Amount        int64  `json:"amount"`
	TradeID       string `json:"tradeId,omitempty"`
}

func (p *Portfolio) confirmCash(ctx *actor.Context, m ConfirmCash) (Reservation, error) {
	if p.settled(stepConfirm, Settlement{m.TransactionID, m.TradeID}) {
		return p.Reservations[m.TransactionID], nil // again
	}
	if err := p.holdsCash(m.TransactionID, m.Amount); err != nil {
		return Reservation{}, err
	}
	ctx.Raise(CashConfirmed{TransactionID: m.TransactionID, Amount: m.Amount, TradeID: m.TradeID})
	return p.Reservations[m.TransactionID], nil
}

func (p *Portfolio) cashConfirmed(e CashConfirmed) {
	p.ReservedCash -= e.Amount
	p.settle(stepConfirm, Settlement{e.TransactionID, e.TradeID})
	p.hold(e.TransactionID, func(r *Reservation) { r.Cash -= e.Amount })
}

// ReleaseCash frees cash that a transaction holds; once for each trade, if it names
// one. The reply is what it then holds.
type ReleaseCash struct {
	actor.Replies[Reservation]
	TransactionID string `json:"transactionId"`
	Amount        int64  `json:"amount"`
	TradeID       string `json:"tradeId,omitempty"`
}

// CashReleased follows from [ReleaseCash].
type CashReleased struct {
	TransactionID string `json:"transactionId"`
	Amount        int64  `json:"amount"`
	TradeID       string `json:"tradeId,omitempty"`
}

func (p *Portfolio) releaseCash(ctx *actor.Context, m ReleaseCash) (Reservation, error) {
	if p.settled(stepRelease, Settlement{m.TransactionID, m.TradeID}) {
		return p.Reservations[m.TransactionID], nil // again
	}
	if err := p.holdsCash(m.TransactionID, m.Amount); err != nil {
		return Reservation{}, err
	}
	ctx.Raise(CashReleased{TransactionID: m.TransactionID, Amount: m.Amount, TradeID: m.TradeID})
	return p.Reservations[m.TransactionID], nil
}

func (p *Portfolio) cashReleased(e CashReleased) {
	p.ReservedCash -= e.Amount
	p.Cash += e.Amount
	p.settle(stepRelease, Settlement{e.TransactionID, e.TradeID})
	p.hold(e.TransactionID, func(r *Reservation) { r.Cash -= e.Amount })
}

// holdsCash refuses to confirm or release more than a transaction still holds.
func (p *Portfolio) holdsCash(transactionID string, amount int64) error {
	if err := p.accepts(amount); err != nil {
		return err
	}
	switch held := p.Reservations[transactionID].Cash; {
	case held == 0:
		return ErrUnknownReservation.With("transactionId", transactionID)
	case amount > held:
		return ErrInsufficientCash.With("held", held)
	default:
		return nil
	}
}
