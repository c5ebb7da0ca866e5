package store

import (
	"context"
	"iter"
	"time"
)

// FollowUntilQuiet yields the commits of a feed from its first one on, and ends when
// none has come for the time quiet: a feed does not say where it ends. The time in which
// the caller is busy with a commit counts. Only commits for which counts is true begin
// the time anew; nil: all do. It ends with the feed's error, and without one also when
// ctx ends, which is for the caller to tell apart. A feed that is away looks like one at
// its end.
func FollowUntilQuiet(ctx context.Context, feed Feed, quiet time.Duration, counts func(*Commit) bool) iter.Seq2[FeedItem, error] {
	return func(yield func(FeedItem, error) bool) {
		following, cancel := context.WithCancel(ctx)
		defer cancel()
		silence := time.AfterFunc(quiet, cancel)
		defer silence.Stop()
		for item, err := range feed.Follow(following, "") {
			if err == nil && (counts == nil || counts(&item.Commit)) {
				silence.Reset(quiet)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
