//go:build unix

package mongo_test

import (
	"fmt"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
)

// BenchmarkInsertOne is what an application does that writes each event itself.
func BenchmarkInsertOne(b *testing.B) {
	uri := testharness.SharedMongo(b, 3).URI()
	journal := true
	client := connect(b, uri)
	coll := client.Database(testharness.DatabaseName(b)).Collection("c", options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}))
	i := 0
	for b.Loop() {
		i++
		doc := bson.D{
			{Key: "_id", Value: bson.D{{Key: "a", Value: fmt.Sprintf("account/a-%d", i)}, {Key: "v", Value: 1}}},
			{Key: "amount", Value: 125000},
			{Key: "text", Value: "0123456789012345678901234567890123456789012345678901234567890123456789"},
		}
		if _, err := coll.InsertOne(b.Context(), doc); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		for _, flights := range []int{1, 4} {
			b.Run(fmt.Sprintf("commits=%d/flights=%d", size, flights), func(b *testing.B) { benchmarkAppend(b, size, flights) })
		}
	}
}

func benchmarkAppend(b *testing.B, size, flights int) {
	b.Helper()
	s := open(b, testharness.SharedMongo(b, 3).URI(), mongostore.Config{Database: testharness.DatabaseName(b)})
	work := make(chan int)
	var wg sync.WaitGroup
	for range flights {
		wg.Go(func() {
			for n := range work {
				commits := make([]store.Commit, size)
				for i := range commits {
					commits[i] = typicalCommit(n*size + i)
				}
				for _, err := range s.Append(b.Context(), commits) {
					if err != nil {
						b.Errorf("append: %v", err)
					}
				}
			}
		})
	}
	b.ReportAllocs()
	before := processorTime(b)
	n := 0
	for b.Loop() {
		work <- n
		n++
	}
	close(work)
	wg.Wait()
	total := float64(n * size)
	b.ReportMetric(total/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/total, "cpu-us/commit")
}

func BenchmarkLoad(b *testing.B) {
	const commits = 200
	s := open(b, testharness.SharedMongo(b, 3).URI(), mongostore.Config{Database: testharness.DatabaseName(b)})
	for v := range commits {
		c := typicalCommit(0)
		c.First = store.Version(v + 1)
		if err := s.Append(b.Context(), []store.Commit{c})[0]; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		n := 0
		for _, err := range s.Load(b.Context(), "account/a-0", 0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != commits {
			b.Fatalf("loaded %d commits, want %d", n, commits)
		}
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/load")
}

// BenchmarkLeases is what every node does all the time, and a node that starts.
func BenchmarkLeases(b *testing.B) {
	const partitions = 128
	s := open(b, testharness.SharedMongo(b, 3).URI(), mongostore.Config{Database: testharness.DatabaseName(b)})
	node := store.Session{Name: "node-1", Incarnation: "one", Kinds: []string{"account"}}
	if err := s.OpenSession(b.Context(), node, nil); err != nil {
		b.Fatal(err)
	}
	claims := make([]store.Claim, partitions)
	for i := range claims {
		claims[i].Partition = store.Partition(i)
	}
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			held, err := s.TakeClaims(b.Context(), node, claims)
			if err != nil || len(held) != partitions {
				b.Fatal(len(held), err)
			}
			claims = held
		}
	})
	node.Beat = 1
	for name, operation := range map[string]func() error{
		"watermarks": func() error { return s.SaveWatermarks(b.Context(), claims) },
		"sessions":   func() error { _, err := s.Sessions(b.Context()); return err },
		"claims":     func() error { _, err := s.Claims(b.Context()); return err },
		"now":        func() error { _, err := s.Now(b.Context()); return err },
		"renew":      func() error { err := s.Renew(b.Context(), node); node.Beat++; return err },
		"keyed outcome": func() error {
			_, _, err := s.FindOutcome(b.Context(), "account/a-1", "key", true)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := operation(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkListAggregates is a page of 100 ids, where histories are short and where they
// are long.
func BenchmarkListAggregates(b *testing.B) {
	for _, commits := range []int{1, 5, 100} {
		b.Run(fmt.Sprintf("commits=%d", commits), func(b *testing.B) {
			s := open(b, testharness.SharedMongo(b, 3).URI(), mongostore.Config{Database: testharness.DatabaseName(b)})
			const aggregates = 1000
			for v := range commits {
				all := make([]store.Commit, aggregates)
				for i := range all {
					all[i] = typicalCommit(i)
					all[i].First = store.Version(v + 1)
				}
				for _, err := range s.Append(b.Context(), all) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			for b.Loop() {
				n := 0
				for _, err := range s.ListAggregates(b.Context(), store.AggregateRange{Prefix: "account/", After: "account/a-4", Limit: 100, Ignore: []string{"none"}}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != 100 {
					b.Fatalf("%d ids", n)
				}
			}
		})
	}
}
