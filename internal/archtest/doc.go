// Package archtest holds the import rule: which package of this module may
// import which other one, and which libraries. Its test checks all packages of
// the module, as `go list` sees them. golangci-lint's depguard has the same rule
// for editors; this one also knows about packages that nobody has thought of: a
// package without a [Rule] is a violation. Beside it stand tests that the documents
// show code and files as they are.
//
// # Concurrency
//
// The package is stateless. [List] runs the go command and waits for it.
//
// # Failures
//
// [Check] returns violations as sentences for people. [List] returns the go
// command's own words.
package archtest
