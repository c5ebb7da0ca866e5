package domain

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// StayMax is the largest number of nights of one booking.
const StayMax = 30

// Stay is a number of nights, the first of which begins on the evening of a day.
type Stay struct {
	From   string `json:"from"`   // a day, such as 2026-12-24
	Nights int    `json:"nights"` // 1 to [StayMax]
}

// ErrInvalidStay rejects a stay that is no days, or too many.
var ErrInvalidStay = actor.Reject("invalid_stay", "a stay begins on a day, as in 2026-12-24, and has 1 to 30 nights")

// Days returns the days on whose evenings the nights of the stay begin.
func (s Stay) Days() ([]string, error) {
	first, err := time.Parse(time.DateOnly, s.From)
	if err != nil || s.Nights < 1 || s.Nights > StayMax {
		return nil, ErrInvalidStay
	}
	days := make([]string, s.Nights)
	for i := range days {
		days[i] = first.AddDate(0, 0, i).Format(time.DateOnly)
	}
	return days, nil
}
