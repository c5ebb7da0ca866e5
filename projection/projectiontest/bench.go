package projectiontest

import (
	"fmt"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

const (
	benchSources    = 1000
	benchPartitions = 16
)

// Bench measures how fast a view is filled from an event stream in memory: 1000
// sources, each with a document of its own that every event changes, in 16 partitions.
func Bench(b *testing.B, open func(b *testing.B) projection.Storage) {
	b.Helper()
	from := counters()
	p := projection.Define("tallies", func(d *projection.Definition) {
		d.Collections(each())
		projection.On(d, from, tallyUp())
	})
	stream := NewStream(benchPartitions)
	for i := range b.N {
		stream.Append(from.ID(fmt.Sprint("c", i%benchSources)), from, added{1})
	}
	s := open(b)
	e, err := projection.New(projection.Config{Tick: 50 * time.Millisecond}, s, stream, benchPartitions, p)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	stop := runEngine(b.Context(), e)
	defer stop()
	v := projection.NewView(s, p)
	for i := range min(b.N, benchSources) {
		events := (b.N - i + benchSources - 1) / benchSources
		if err := v.Wait(b.Context(), projection.Version(from.ID(fmt.Sprint("c", i)), actor.Version(events))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
