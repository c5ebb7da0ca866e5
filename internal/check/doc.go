// Command check is everything that must hold before a commit, in one place for
// people and for CI: formatting, vet, fix, build, lint, all tests under the race
// detector with a real MongoDB, and a seeded run of the fault tests.
//
//	go run ./internal/check            # all steps
//	go run ./internal/check lint test  # some
//
// It needs Go alone: a mongod is found or fetched, a Chromium is found or, for root on a
// system with apt-get, installed, golangci-lint is built from tools/go.mod, schemathesis is
// installed into bin/ if there is a Python. With the environment variable CI set, what a
// laptop may lack is an error: a mongod, a Chromium, a C compiler for the race detector, a
// Python, and with them any skipped test.
//
// # Concurrency
//
// Steps run one after another. Each is a child process, which ends with this one.
//
// # Failures
//
// The first step that fails ends the run with exit status 1, after its own
// output. An interrupt does the same.
package main
