package mongo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// AbandonedAfter is how long a transaction may wait for its next operation before
// whoever meets what it has written ends it.
const AbandonedAfter = 3 * time.Second

const (
	abandonedLook    = time.Second // between two looks of a storage for such transactions
	abandonedTimeout = time.Second
)

// AppName is what connections of a [Storage] on a database call themselves. By it
// transactions that were abandoned are known: see [New].
func AppName(database string) string {
	if database == "" {
		database = DefaultDatabase
	}
	return "ganglion-projections " + database
}

// abandonment ends transactions whose process cannot do so any more.
//
//	node A                        server               node B
//	begins, writes checkpoint 7   holds checkpoint 7
//	kill -9
//	                                                   takes A's partitions
//	                                                   writes checkpoint 7: conflict
//	                                                   again, and again
//	                              ends A's transaction after
//	                              transactionLifetimeLimitSeconds, 60 s, if it looks
//	                              then, and it does every 30 s
//
// The server does not end it when the connection is lost, since a transaction belongs to
// a session, which may go on over another one. So B ends it, if A's session has been
// silent for so long. To be wrong about that costs a repetition: the checkpoint says
// what was committed, whoever ended what.
type abandonment struct {
	client *driver.Client
	app    string

	suspected atomic.Bool // by a handler

	mu     sync.Mutex
	looked time.Time
}

// end looks for transactions that were abandoned if err may come of one, and says in
// the error which it returns how many it has ended.
func (a *abandonment) end(ctx context.Context, err error) error {
	if !blocked(err) {
		return err
	}
	switch n, failed := a.look(ctx); {
	case failed != nil:
		return fmt.Errorf("%w; look for abandoned transactions: %w", err, failed)
	case n > 0:
		return fmt.Errorf("%w; %d abandoned transactions ended", err, n)
	}
	return err
}

// suspect notes what a handler has met, for when its transaction is over.
func (a *abandonment) suspect(err error) {
	if blocked(err) {
		a.suspected.Store(true)
	}
}

// endSuspected is end for what handlers have met, whose errors are told without it.
func (a *abandonment) endSuspected(ctx context.Context) {
	if a.suspected.Swap(false) {
		_, _ = a.look(ctx)
	}
}

// blocked reports whether an error may be due to another transaction's writes.
// Operations outside a transaction wait for those until their time is over.
func blocked(err error) bool {
	return hasCode(err, codeWriteConflict) || driver.IsTimeout(err)
}

// look ends what was abandoned, at most once in a while, and returns how many.
func (a *abandonment) look(ctx context.Context) (int, error) {
	if !a.due() {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonedTimeout)
	defer cancel()
	admin := a.client.Database("admin", options.Database().SetReadPreference(readpref.Primary()).SetReadConcern(readconcern.Local()))
	// Without allUsers no privilege is needed, neither to see them nor to end them.
	found, err := admin.Aggregate(ctx, driver.Pipeline{
		{{Key: "$currentOp", Value: bson.D{{Key: "idleSessions", Value: true}}}},
		{{Key: "$match", Value: bson.D{
			{Key: "type", Value: "idleSession"},
			{Key: "appName", Value: a.app},
			{Key: "transaction.timeInactiveMicros", Value: bson.D{{Key: "$gte", Value: AbandonedAfter.Microseconds()}}},
		}}},
		{{Key: "$project", Value: bson.D{{Key: "id", Value: "$lsid.id"}}}},
	})
	if err != nil {
		return 0, err
	}
	var sessions []bson.M
	if err := found.All(ctx, &sessions); err != nil || len(sessions) == 0 {
		return 0, err
	}
	return len(sessions), admin.RunCommand(ctx, bson.D{{Key: "killSessions", Value: sessions}}).Err()
}

func (a *abandonment) due() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.looked) < abandonedLook {
		return false
	}
	a.looked = time.Now()
	return true
}
