package unrouted

// Account is the aggregate: the same as Ganglion's in this benchmark.
type Account struct {
	Version int64 // of its last event; 0: it has none
	Balance int64
}

// Deposit is the command, and the data of the event that it makes. One of less than 0 is
// a withdrawal.
type Deposit struct {
	Amount int64  `json:"amount" bson:"amount"`
	Note   string `json:"note" bson:"note"`
}

// after returns the account with the deposit applied.
func (a Account) after(d Deposit) Account {
	return Account{Version: a.Version + 1, Balance: a.Balance + d.Amount}
}
