# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := bash
GO ?= go
PYTHON ?= python3
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/droverdata/drover/cli.version=$(VERSION)

LINT_VERSION := v2.15.0
LINT := .cache/bin/golangci-lint-$(LINT_VERSION)

# Where goroutines meet, or Go reads DuckDB's memory: these are tested under the race detector, which checks pointers too.
RACE := ./internal/duck/... ./internal/calls/... ./internal/step/python/... ./internal/parquet/... ./internal/run/... ./internal/engine/... ./internal/worker/... ./internal/ledger/... ./internal/monitor/... ./connector/postgres/...
# The tests start servers and kill processes: they must end by themselves well before this.
TEST_TIMEOUT := 60m

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/drover, a single binary
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/drover ./cmd/drover

.PHONY: demo
demo: build ## make 3 million taxi rows, run the taxi job on them and check the result
	GO="$(GO)" examples/taxi/demo.sh
	$(GO) run ./examples/taxi-go run --new

.PHONY: companies
companies: build .cache/interop/.ready ## run the companies job, in SQL and as a pandas function, on a Postgres of its own (or RAW_URL and CLEAN_URL)
	$(GO) run ./examples/companies -drover bin/drover
	VIRTUAL_ENV="$(CURDIR)/.cache/interop" $(GO) run ./examples/companies -drover bin/drover -job examples/companies-pandas/companies.yaml

.PHONY: test
test: ## run every test, with a real Postgres and a PgBouncer that are found or fetched
	$(GO) test -timeout $(TEST_TIMEOUT) ./...
	$(GO) test -race -timeout $(TEST_TIMEOUT) $(RACE)

.PHONY: soak
soak: ## 200 rounds of faults, a kill at every point, then 10,000 tasks in one worker, whose memory must stay flat (an hour)
	DROVER_FAULT_ROUNDS=200 $(GO) test -count=1 -timeout 60m -v -run '^TestFaults$$' ./internal/e2e
	DROVER_KILL_STRIDE=1 $(GO) test -count=1 -timeout 60m -v -run '^TestKillNine$$' ./internal/e2e
	DROVER_SOAK=10000 $(GO) test -count=1 -timeout $(TEST_TIMEOUT) -v -run MemoryOfAWorker ./internal/worker

.PHONY: interop
interop: build .cache/interop/.ready ## read drover's datasets with pyarrow, polars and pandas
	.cache/interop/bin/python examples/interop/readers.py bin/drover

.cache/interop/.ready: internal/pythontest/requirements.txt
	rm -rf $(dir $@)
	$(PYTHON) -m venv $(dir $@)
	$(dir $@)bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: lint
lint: $(LINT) ## check the code: formatting, bugs, who imports whom
	$(LINT) run ./...

$(LINT):
	@mkdir -p $(dir $@)
	GOBIN="$(CURDIR)/.cache/bin" GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv .cache/bin/golangci-lint $@

.PHONY: format
format: $(LINT) ## format the code
	$(LINT) fmt ./...

.PHONY: bench
bench: build ## measure drover beside its rivals and write bench/RESULTS.md (BENCH="-only taxi -rounds 3"; "-quick" tries the harness)
	$(GO) run ./bench -drover bin/drover $(BENCH)

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf bin .cache examples/taxi/data examples/taxi/out examples/taxi-go/out
