// Package browser has the tests that look at the trading application with a real Chromium,
// and the programs' pictures. It is a module of its own, so that whoever imports Ganglion
// gets none of what it needs.
//
// It drives the browser with chromedp: the tests are Go tests like all others, in one
// process with the nodes that they start, and need no Node.js and no second runner; one
// browser has a context, with cookies of its own, for each user. What runs in CI is without
// a build tag; what people run with make (make browser, demo-latency, pictures) has the tag
// manual, or asks for more by a variable of the environment.
//
// Every tab is watched, see tab_test.go: a message of the console, a violation of the content
// security policy, and a request to another host end the test that did not expect them.
//
// # Concurrency
//
// A tab belongs to one goroutine; several tabs may be used at the same time.
//
// # Failures
//
// Without a browser, tests are skipped on a laptop and fail where CI is set, as without a
// mongod.
package browser
