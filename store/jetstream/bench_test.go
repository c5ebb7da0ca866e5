package jetstream_test

import (
	"fmt"
	"testing"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

// BenchmarkAppend writes commits of distinct aggregates against a server that
// calls fsync before each acknowledgement.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 16, 32, 64, 256} {
		b.Run(fmt.Sprintf("commits=%d", n), func(b *testing.B) {
			server := testharness.NATS(b, testharness.WithSyncAlways())
			s := open(b, server.Connect(b), jetstream.Config{})
			commits := make([]store.Commit, n)
			version := store.Version(0)
			b.ReportAllocs()
			for b.Loop() {
				version++
				for i := range commits {
					commits[i] = commit(store.Aggregate(fmt.Sprintf("account/a-%d", i)), version)
				}
				for _, err := range s.Append(b.Context(), commits) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkListAggregates is a page of 100 ids of a kind that has so many aggregates.
func BenchmarkListAggregates(b *testing.B) {
	for _, aggregates := range []int{1_000, 20_000, 100_000} {
		b.Run(fmt.Sprintf("aggregates=%d", aggregates), func(b *testing.B) {
			server := testharness.NATS(b)
			s := open(b, server.Connect(b), jetstream.Config{})
			commits := make([]store.Commit, 500)
			for from := 0; from < aggregates; from += len(commits) {
				for i := range commits {
					commits[i] = commit(store.Aggregate(fmt.Sprintf("account/a-%d", from+i)), 1)
				}
				for _, err := range s.Append(b.Context(), commits) {
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
