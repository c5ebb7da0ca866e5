package jetstream

// AggregateTokens lets the fuzz test see the encoding of addresses.
var AggregateTokens = aggregateTokens
