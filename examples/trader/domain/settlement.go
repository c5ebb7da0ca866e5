package domain

// SettlementsMax is the number of settlement steps that a portfolio ignores when
// they come again: at least the latest that many. At 16 bytes each they cost a
// portfolio 64 kB at most. A trade is two to three of them for each side.
const SettlementsMax = 4096

// Settlement names the trade that a change of a portfolio settles, and the
// transaction on whose side. Empty: the change comes from outside.
type Settlement struct {
	TransactionID string `json:"transactionId,omitempty"`
	TradeID       string `json:"tradeId,omitempty"`
}

// The steps by which a portfolio settles a trade. A transaction is on one side of
// it, so that cash and items need not be told apart.
const (
	stepDeposit = "deposit"
	stepConfirm = "confirm"
	stepRelease = "release"
)

// key names a step of a settlement. A trade id holds no line break.
func (s Settlement) key(step string) string { return step + "\n" + s.TradeID + "\n" + s.TransactionID }

// settled reports whether a step has been made: it must not count twice.
func (p *Portfolio) settled(step string, s Settlement) bool {
	return s.TradeID != "" && p.Settled.contains(s.key(step))
}

func (p *Portfolio) settle(step string, s Settlement) {
	if s.TradeID != "" {
		p.Settled.add(s.key(step), SettlementsMax)
	}
}
