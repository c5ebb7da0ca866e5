package main

// bound is what is wanted of one of ours beside a raw peer of the same run.
type bound struct {
	ours, raw string               // scenarios
	what      string               // of the rounds is compared, for people; empty: how many a second
	of, ofRaw func(*round) float64 // that
	floor     float64              // what must hold; 0: nothing
	most      bool                 // it is an upper bound
}

func (b *bound) name() string {
	if b.what == "" {
		return b.ours + " / " + b.raw
	}
	return b.what + ": " + b.ours + " / " + b.raw
}

func perSecond(r *round) float64 { return r.perSecond }
func middle(r *round) float64    { return float64(r.p50) }
func commitsOf(r *round) float64 { return r.named(commitsPerSecond) }

// bounds returns what is compared. A name that no scenario has would be left out of the
// report, so a test looks for all of them.
func bounds() []bound {
	faster := func(ours, raw string, floor float64) bound {
		return bound{ours: ours, raw: raw, of: perSecond, ofRaw: perSecond, floor: floor}
	}
	sooner := func(ours, raw string, most float64) bound {
		return bound{ours: ours, raw: raw, what: "p50", of: middle, ofRaw: middle, floor: most, most: most > 0}
	}
	return []bound{
		faster(oursName(manyCount, 1024, "durable"), rawMany, 4),
		faster(oursName(manyCount, 256, "durable"), rawMany, 2.5),
		faster(oursName(manyCount, 1024, "direct"), rawMany, 5),
		faster(oursName(manyCount, 256, "direct"), rawMany, 0),
		faster(oursName(1, 1024, "durable"), rawMany, 10),
		faster(oursName(1, 1024, "direct"), rawMany, 10),
		faster(oursName(1, 256, "durable"), rawMany, 0),
		faster(oursName(1, 256, "direct"), rawMany, 0),
		faster(oursName(manyCount, 1024, "durable")+", relayed", rawMany, 0),
		faster(oursName(manyCount, 1024, "direct")+", relayed", rawMany, 0),
		faster(ourHTTP, rawAsHTTP, 0),
		faster(ourHTTPRights, ourHTTP, 0),
		faster(ourRelay, rawChanges, 0.5),
		faster(ourRelay, rawBytes, 0),
		faster(ourRebuild, rawCursor, 0.3),
		faster(ourRebuildEmbedded, rawCursor, 0),
		{ours: ourTrader, raw: rawOfClients, what: "commits", of: commitsOf, ofRaw: perSecond},
		sooner(oursName(manyCount, 1, "durable"), rawOne, 1.25),
		sooner(oursName(manyCount, 1, "direct"), rawOne, 1.25),
		sooner(ourNotice, rawEcho, 3),
		sooner(ourWait, rawEcho, 0),
		sooner(ourSaga, rawChain, 0),
	}
}
