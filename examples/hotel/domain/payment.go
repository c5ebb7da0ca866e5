package domain

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Payment is what the payment provider is asked for.
type Payment struct {
	Account string `json:"account"` // id of the guest
	Cents   int64  `json:"cents"`
}

// Paid is the provider's answer.
type Paid struct {
	Charge string `json:"charge"` // its id of the charge
}

// ChargeCard has the payment provider charge a guest. A provider that is out of order is
// asked for a day, at intervals that grow to 5 seconds: a booking waits for it, and its
// nights stay held.
var ChargeCard = actor.DefineEffect[Payment, Paid]("charge", actor.EffectPolicy{
	Timeout: 10 * time.Second, MaxRetry: 5 * time.Second, GiveUpAfter: 24 * time.Hour, Parallel: 64,
})
