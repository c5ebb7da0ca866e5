package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// scan yields the commits that there were before the change stream starts, and
// after those that place says have been shown.
func (f *follower) scan(ctx context.Context) error {
	if f.place.Start == 0 {
		at, err := f.store.majorityTime(ctx)
		if err != nil {
			return err
		}
		f.place.Start = at
		f.place.Parts = []scanPart{{At: at}}
	}
	for {
		err := f.scanPart(ctx)
		if !hasCode(err, codeSnapshotTooOld, codeSnapshotGone) {
			return err
		}
		if err := f.nextPart(ctx); err != nil {
			return err
		}
	}
}

// nextPart lets the scan go on with the state of now.
func (f *follower) nextPart(ctx context.Context) error {
	p := &f.place
	if len(p.Parts) >= maxScanParts {
		return errScanTooLong
	}
	at, err := f.store.majorityTime(ctx)
	if err != nil {
		return err
	}
	part := scanPart{At: at}
	if p.Last != nil {
		part.From = *p.Last
		p.Parts = append(p.Parts, part)
		return nil
	}
	p.Start, p.Parts = at, []scanPart{part} // nothing has been shown: begin anew
	return nil
}

// scanPart yields what the last part shows after the last commit shown.
func (f *follower) scanPart(ctx context.Context) error {
	s, p := f.store, &f.place
	at := unpack(p.Parts[len(p.Parts)-1].At)
	session, err := s.client.StartSession(options.Session().SetSnapshot(true).SetSnapshotTime(at))
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	ctx = driver.NewSessionContext(ctx, session)
	filter := bson.D{}
	if p.Last != nil {
		filter = bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: p.Last.bson()}}}}
	}
	cursor, err := bounded(ctx, s.cfg.ReadTimeout, func(ctx context.Context) (*driver.Cursor, error) {
		return s.commits.Find(ctx, filter, byID(feedBatch))
	})
	if err != nil {
		return err
	}
	defer closeCursor(ctx, cursor)
	for !f.stopped && s.nextDocument(ctx, cursor) {
		if id, _, known := identify(cursor.Current); known {
			p.shown(id)
		}
		f.emitDocument(ctx, cursor.Current)
	}
	return cursor.Err()
}

// majorityTime returns the time of the newest state that a majority has, as far
// as the server knows.
func (s *Store) majorityTime(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	session, err := s.readSession()
	if err != nil {
		return 0, err
	}
	defer session.EndSession(ctx)
	err = s.commits.FindOne(driver.NewSessionContext(ctx, session), bson.D{},
		options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
	if err := optional(err); err != nil {
		return 0, err
	}
	return pack(*session.OperationTime()), nil
}
