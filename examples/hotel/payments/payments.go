// Package payments asks a payment provider, over HTTP, for what the hotel's bookings want
// charged.
//
// # Concurrency
//
// A [Provider] is safe for concurrent use.
//
// # Failures
//
// A card that is declined, and a charge that the provider does not understand, are final
// ([actor.Final]). Whatever else fails is tried again by the effect's policy.
package payments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/examples/hotel/provider"
)

// Why a charge fails for good.
var (
	ErrDeclined = errors.New("the card is declined")
	ErrRefused  = errors.New("the provider refuses the charge")
)

// errUnavailable is worth another attempt.
var errUnavailable = errors.New("the provider is out of order")

// answerMax bounds what is read of an answer.
const answerMax = 64 << 10

// Provider is a payment provider.
type Provider struct {
	URL  *url.URL
	HTTP *http.Client // its transport; the time of each call is that of the attempt
}

// Charge is the handler of [domain.ChargeCard]. The provider charges once for each key,
// however often it is asked.
func (p *Provider) Charge(ctx context.Context, call actor.Call, payment domain.Payment) (domain.Paid, error) {
	body, err := json.Marshal(provider.Charge{Account: payment.Account, Cents: payment.Cents})
	if err != nil {
		return domain.Paid{}, actor.Final(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL.JoinPath("charges").String(), bytes.NewReader(body))
	if err != nil {
		return domain.Paid{}, actor.Final(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", call.Key)
	response, err := p.HTTP.Do(r)
	if err != nil {
		return domain.Paid{}, fmt.Errorf("charge: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	switch {
	case err != nil:
		return domain.Paid{}, fmt.Errorf("charge: %w", err)
	case response.StatusCode == http.StatusPaymentRequired:
		return domain.Paid{}, actor.Final(ErrDeclined)
	case response.StatusCode == http.StatusTooManyRequests, response.StatusCode >= http.StatusInternalServerError:
		return domain.Paid{}, fmt.Errorf("charge: %s: %w", response.Status, errUnavailable)
	case response.StatusCode >= http.StatusMultipleChoices:
		return domain.Paid{}, actor.Final(fmt.Errorf("%s: %w", response.Status, ErrRefused))
	}
	var receipt provider.Receipt
	if err := json.Unmarshal(answer, &receipt); err != nil {
		return domain.Paid{}, fmt.Errorf("charge: %w", err)
	}
	return domain.Paid{Charge: receipt.ID}, nil
}
