package main

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

// errAudit wraps what disagrees with the ledger.
var errAudit = errors.New("the history is not what was acknowledged")

// held is what the store has of one aggregate.
type held struct {
	Aggregate string `bson:"_id"`
	Events    int64  `bson:"events"`
	Amount    int64  `bson:"amount"`
	Last      int64  `bson:"last"` // version
}

// audit compares every aggregate's history, as a majority has it, with the
// ledger: as many events as commands were acknowledged, of the same sum, without
// a gap. A command of unknown outcome may be there or not; without one, the
// figures must be equal.
func audit(ctx context.Context, db *mongo.Database, l *ledger) error {
	commits := db.Collection(unrouted.Commits, options.Collection().SetReadConcern(readconcern.Majority()))
	size := bson.D{{Key: "$size", Value: "$ev"}}
	cursor, err := commits.Aggregate(ctx, mongo.Pipeline{{{Key: "$group", Value: bson.D{
		{Key: "_id", Value: "$_id.a"},
		{Key: "events", Value: bson.D{{Key: "$sum", Value: size}}},
		{Key: "amount", Value: bson.D{{Key: "$sum", Value: bson.D{{Key: "$sum", Value: "$ev.d.amount"}}}}},
		{Key: "last", Value: bson.D{{Key: "$max", Value: bson.D{{Key: "$add", Value: bson.A{"$_id.v", size, -1}}}}}},
	}}}})
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	var all []held
	if err := cursor.All(ctx, &all); err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	byAggregate := map[string]held{}
	for _, h := range all {
		byAggregate[h.Aggregate] = h
	}
	for i := range l.pages {
		address := unrouted.Kind + "/" + accountID(i)
		if err := l.pages[i].check(byAggregate[address]); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		delete(byAggregate, address)
	}
	if len(byAggregate) > 0 {
		return fmt.Errorf("%w: %d aggregates that nobody changed", errAudit, len(byAggregate))
	}
	return nil
}

func (p *page) check(h held) error {
	commands, amount, doubts := p.commands.Load(), p.amount.Load(), p.unknown.Load()
	switch {
	case h.Events != h.Last:
		return fmt.Errorf("%w: %d events up to version %d", errAudit, h.Events, h.Last)
	case h.Events < commands || h.Events > commands+doubts:
		return fmt.Errorf("%w: %d events, %d commands were acknowledged and %d unknown", errAudit, h.Events, commands, doubts)
	case h.Amount < amount || doubts == 0 && h.Amount != amount:
		return fmt.Errorf("%w: a sum of %d, %d was acknowledged", errAudit, h.Amount, amount)
	case p.version.Load() > h.Last:
		return fmt.Errorf("%w: version %d, and %d was acknowledged", errAudit, h.Last, p.version.Load())
	}
	return nil
}

// auditReads reads all aggregates through the balancer, after the last command,
// and compares them with the ledger.
func auditReads(ctx context.Context, c *client, l *ledger) error {
	for i := range l.pages {
		p := &l.pages[i]
		if p.unknown.Load() > 0 {
			continue
		}
		version, balance, err := c.read(ctx, accountID(i))
		if err != nil {
			return fmt.Errorf("%s: %w", accountID(i), err)
		}
		if version != p.commands.Load() || balance != p.amount.Load() {
			return fmt.Errorf("%s: %w: read version %d with balance %d, %d commands of %d were acknowledged",
				accountID(i), errAudit, version, balance, p.commands.Load(), p.amount.Load())
		}
	}
	return nil
}
