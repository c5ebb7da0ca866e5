# Plain go commands behind short names. `make` or `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

GO       ?= go
LINT     := $(GO) tool -modfile=tools/go.mod golangci-lint
PKG      ?= ./...
FUZZTIME ?= 30s
KILLS    ?= 50
FAULTS   ?= 20
SEED     ?=
EXAMPLES ?= 100
DURATION ?= 2m
ARGS     ?=
EFFECTS  ?= 10000
AGGREGATES ?= 1000000
OLD      ?= 291a882
TRADES   ?= 200

# The accessibility engine that pages are tried with. It is no part of this repository.
AXE      := axe-core@4.14.1
AXE_DIR  := $(CURDIR)/bin/axe
BROWSER  := $(GO) -C examples/trader/browser test -count=1 -timeout 1h -v

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build all packages, and the node into bin/.
	$(GO) build ./...
	$(GO) build -o bin/ ./cmd/...

.PHONY: demo
demo: ## Run the trading application on this machine: two nodes with web servers, NATS, MongoDB, a balancer (ARGS="--help" shows the flags).
	$(GO) run ./examples/trader $(ARGS)

.PHONY: browser
browser: $(AXE_DIR)/node_modules/axe-core/axe.min.js ## Have a real Chromium look at every page in both colour schemes, with axe-core, and use them (needs npm; pictures go to bin/look).
	@mkdir -p bin/look
	GANGLION_AXE=$< GANGLION_LOOK=$(CURDIR)/bin/look $(BROWSER) -tags manual -run '^Test(Pages|Dashboard|Demo)' .

$(AXE_DIR)/node_modules/axe-core/axe.min.js:
	npm install --prefix $(AXE_DIR) --no-save --no-audit --no-fund --ignore-scripts --silent $(AXE)

.PHONY: demo-latency
demo-latency: ## Measure how long TRADES (200) trades take from their commit to another user's browser, with the demonstration on this machine.
	GANGLION_TRADES=$(TRADES) $(BROWSER) -tags manual -run '^TestLatency$$' .

.PHONY: pictures
pictures: ## Renew the pictures of README and docs: screenshots of the demonstration, and a recording of its stage while a node is killed.
	GANGLION_PICTURES=$(CURDIR)/docs/pictures $(BROWSER) -tags manual -run '^TestPictures$$' .

.PHONY: check
check: ## Everything that must hold before a commit: what CI runs.
	$(GO) run ./internal/check $(ARGS)

.PHONY: test
test: ## Run the tests (PKG=./runtime/... for some). Without a mongod, those that need one skip.
	$(GO) test $(PKG)

.PHONY: test-race
test-race: ## Run the tests under the race detector.
	$(GO) test -race $(PKG)

.PHONY: lint
lint: ## Run golangci-lint. The first run builds it, which takes minutes.
	$(GO) run ./internal/check lint

.PHONY: fmt
fmt: ## Format the code and sort its imports as lint wants them.
	$(LINT) fmt ./...

.PHONY: soak
soak: ## Kill and disturb a node under load many times (KILLS=50, FAULTS=20).
	GANGLION_KILLS=$(KILLS) GANGLION_FAULTS=$(FAULTS) $(GO) test -race -count=1 -timeout 2h -v -run '_(Kill9|Mongo|StoreCutOff)' ./node

.PHONY: soak-effects
soak-effects: ## Have EFFECTS (10000) fail at random, with a provider that takes a second, while both nodes are killed twice.
	GANGLION_SOAK=$(EFFECTS) GANGLION_SEED=$(SEED) $(GO) test -count=1 -timeout 2h -v -run '^TestNode_EffectsSoak$$' ./node

.PHONY: dashboard-large
dashboard-large: ## Measure each page of the dashboard over AGGREGATES (1000000) aggregates of ten events in MongoDB, and a tenth of them in JetStream.
	GANGLION_DASHBOARD=$(AGGREGATES) $(GO) test -count=1 -timeout 2h -v -run '^TestDashboard_LargeData$$' ./node

.PHONY: chaos
chaos: ## Break a cluster of nine processes for DURATION (2m) by SEED, and check what its clients were told. Evidence goes to bin/chaos.
	GANGLION_SEED=$(SEED) GANGLION_CHAOS=$(DURATION) GANGLION_CHAOS_DIR=$(CURDIR)/bin/chaos \
		$(GO) test -count=1 -timeout 24h -v -run '^TestCluster_Chaos$$' ./testharness/chaos

.PHONY: trader-chaos
trader-chaos: ## Break such a cluster while the trading application trades, with cancels, and check all that must hold then (SEED, DURATION as in chaos).
	GANGLION_SEED=$(SEED) GANGLION_CHAOS=$(DURATION) GANGLION_CHAOS_DIR=$(CURDIR)/bin/chaos \
		$(GO) test -count=1 -timeout 24h -v -run '^TestCluster_Chaos$$' ./examples/trader

.PHONY: stage-faults
stage-faults: ## Break FAULTS (20) things of the whole demonstration from its stage, under load, and look at the check after each (STORE=jetstream; SEED repeats a run).
	GANGLION_SEED=$(SEED) GANGLION_STAGE_FAULTS=$(FAULTS) GANGLION_STAGE_STORE=$(or $(STORE),mongo) $(GO) test -count=1 -timeout 3h -v -run '^TestDemo$$' ./examples/trader

.PHONY: demo-footprint
demo-footprint: ## Start the demonstration, let it rest for a minute, and print what memory and CPU each part takes (STORE=jetstream).
	GANGLION_FOOTPRINT=1m GANGLION_STAGE_STORE=$(or $(STORE),mongo) $(GO) test -count=1 -timeout 30m -v -run '^TestDemo$$' ./examples/trader

.PHONY: hotel-faults
hotel-faults: ## Book at two nodes of the hotel for DURATION (2m), with the payment provider out of order for half of it, one node killed and one drained; then audit it (SEED as in chaos).
	GANGLION_SEED=$(SEED) GANGLION_HOTEL=$(DURATION) $(GO) test -count=1 -timeout 24h -v -run '^TestHotel_ProviderOutage$$' ./examples/hotel

.PHONY: rolling
rolling: ## Roll a trading cluster under load from the build of commit OLD (291a882) to this one, back, and forth again (SEED).
	GANGLION_SEED=$(SEED) GANGLION_OLD=$(OLD) $(GO) test -count=1 -timeout 2h -v -run '^TestCluster_Faults$$' ./examples/trader
	GANGLION_SEED=$(SEED) GANGLION_OLD=$(OLD) $(GO) test -count=1 -timeout 1h -v -run '^TestNode_EffectsSoak$$' ./node

.PHONY: schemathesis
schemathesis: ## Try the HTTP APIs against their OpenAPI documents with EXAMPLES (100) requests of each kind (SEED repeats a run).
	GANGLION_SEED=$(SEED) $(GO) run ./internal/check -examples $(EXAMPLES) api

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME (30s).
	@set -euo pipefail; \
	$(GO) test -list '^Fuzz' ./... | awk '/^Fuzz/ { names[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print $$2, names[i]; n = 0 }' | \
	while read -r package name; do \
		echo "== $$package $$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$package"; \
	done

.PHONY: bench
bench: ## Measure against raw MongoDB inserts in the same run (ARGS for its flags).
	$(GO) -C bench run . $(ARGS)

.PHONY: bench-routing
bench-routing: ## Measure web servers without routing beside nodes, and renew docs/why-routing.* and README (10 minutes; ARGS for its flags).
	$(GO) -C bench run ./routing --publish .. $(ARGS)

.PHONY: microbench
microbench: ## Run the go test benchmarks (PKG=./runtime for some).
	$(GO) test -run '^$$' -bench . -benchmem $(PKG)

.PHONY: govulncheck
govulncheck: ## Look for known vulnerabilities. Needs the network: not part of check.
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
