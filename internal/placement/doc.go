// Package placement decides for one node of a cluster: whether it may answer,
// which other nodes are dead, which partitions it should take, and which it
// should hand over. There is no coordinator. Every node runs a [Machine] of its
// own on what it reads from the store, and nodes that read the same decide alike.
//
// A Machine does no I/O and reads no clock. Its owner tells it what has happened
// and when, by the node's own clock, and carries out the [Plan] that it returns:
//
//	renewal succeeded ---> Renewed --+
//	sessions, claims  ---> Looked  --+--> Plan --> declare dead, take, hand over,
//	carried out       ---> Took, ... +            release, when to look again
//
// Nodes of several builds may differ in what they know. What a node has met and does not
// know ([Machine.Lack]) is in its session, and the partition goes to one that is fit for
// it; what is free goes to the newest build (fit.go).
//
// Safety does not rest on who should have what. It rests on three rules, which
// the tests explore: a node answers only within Lease from when it sent a renewal
// that succeeded; another is declared dead only after its beat has stood still
// for its lease and Margin while the observer's own lease was valid; and claims and
// deaths are changed by compare-and-set on what was read.
//
// # Concurrency
//
// A Machine is not safe for concurrent use. Nothing is shared between machines.
//
// # Failures
//
// There are none: whatever could not be carried out, or whose outcome is unknown,
// is seen as it is by the next reading, and decided upon again.
package placement
