// Package projection is how one writes a read model, and the engine that runs it.
//
//	var accounts = projection.NewCollection[Balance]("accounts")
//
//	var Balances = projection.Define("balances", func(d *projection.Definition) {
//		d.Collections(accounts)
//		projection.On(d, Accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[Deposited]) error {
//			return accounts.Update(ctx, tx, e.Source.ID, func(b *Balance) error {
//				b.Cents += e.Data.Amount
//				return nil
//			})
//		})
//	})
//
// A view is a set of documents, by collection and key, in a [Storage]: MongoDB,
// JetStream or memory. An [Engine] reads the event stream from a checkpoint, hands
// each event to its handlers, and makes what they write durable together with the
// new checkpoint, on condition that the checkpoint is still the one that it has
// read. So an event changes the view once, whoever else runs the same partition at
// the same time. A [View] reads the documents, waits until they show an event, and
// a [Hub] tells of changes.
//
// A [Collection] is typed, and declared: a misspelt name is an error wherever it is used.
// A key is an id, or a [Key] of several parts: texts, numbers and times, in whose order
// the documents are. A [Range] selects those under some first parts, forward or backward,
// for [Collection.List], [Collection.Page] and [Collection.Count].
//
// A projection runs partition by partition, on the owners of the partitions, unless
// it is a [Definition.Singleton]. The events of one aggregate come in order. A
// [NewRouter] is a projection whose effect is commands: sagas and policies.
//
// A rebuild fills another generation of the view while the live one goes on. Near
// the end the live one is frozen, partition by partition, at a place that the new
// one then reaches exactly; one write makes the new one live.
//
// # Concurrency
//
// [Engine], [View], [Hub] and [Control] are safe for concurrent use. Handlers of
// one partition run one after another; those of different partitions of one
// projection at the same time, up to [Config.Parallel]. [Engine.Run] ends the
// goroutines it starts: one for each projection that runs here, one for a reader of
// each, and one for each partition with events to apply.
//
// # Failures
//
// A handler that returns an error or panics has the event parked with all later
// ones of its aggregate, durably, and tried again with growing pauses; after
// [Config.Attempts] it waits for [Control.Retry] or [Control.Skip]. Everything else
// goes on. With [Config.Claims], one that ends the process is found out by the owners that
// follow, and waits in the same manner. Errors of the storage are no fault of a handler: the batch is done again.
package projection
