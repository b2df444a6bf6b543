# `make help` lists the targets.

GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod
BENCHTOOL := $(GO) tool -modfile=../tools/go.mod
MODULES := tests/interop/node_modules/.package-lock.json

# How long `make fuzz` gives to each fuzz target.
FUZZTIME ?= 60s

.DEFAULT_GOAL := check

## check: everything that must hold before a commit: lint and test
.PHONY: check
check: lint test

## demo: serve an embedded store, and put and get through second processes
.PHONY: demo
demo: build
	scripts/demo.sh

## build: the command, as bin/mld
.PHONY: build
build:
	$(GO) build -o bin/mld ./cmd/mld

## test: all tests with the race detector, those with the npm packages included
.PHONY: test
test: $(MODULES)
	$(GO) test -race -timeout 12m ./...
	$(GO) -C bench test -timeout 5m ./...

$(MODULES): tests/interop/package-lock.json
	cd tests/interop && npm ci --no-audit --no-fund
	@touch $@

## lint: formatting, vet, staticcheck, and that it builds for the other systems
.PHONY: lint
lint: verify-format
	$(GO) vet ./...
	$(GO) -C bench vet ./...
	$(TOOL) staticcheck ./...
	cd bench && $(BENCHTOOL) staticcheck ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

## verify-format: fail if a file is not formatted
.PHONY: verify-format
verify-format:
	@files=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$files" ]; then echo "not formatted (run make fix-format):"; echo "$$files"; exit 1; fi

## fix-format: format all files
.PHONY: fix-format
fix-format:
	$(TOOL) gofumpt -w .

## verify-tidy: fail if go.mod is not tidy
.PHONY: verify-tidy
verify-tidy:
	$(GO) mod tidy -diff
	$(GO) -C bench mod tidy -diff

## fuzz: every fuzz target for FUZZTIME (60s), one after the other
.PHONY: fuzz
fuzz:
	scripts/fuzz.sh $(FUZZTIME)

## torture: the long forms of the tests in tests/robustness, and of parties with Node
.PHONY: torture
torture: $(MODULES)
	$(GO) test -race -timeout 10m -v -run TestMixedParty ./tests/interop -long
	$(GO) test -race -timeout 60m -v ./tests/robustness -long -seeds 200

## bench: the benchmarks of every package, without its tests
.PHONY: bench
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

## figures: measure what docs/benchmarks.md shows, and write it there
.PHONY: figures
figures: $(MODULES)
	$(GO) -C bench run . -out ../docs/benchmarks.md
	$(GO) -C bench run . -beside -out ../docs/benchmarks.md

## clean: remove what was built
.PHONY: clean
clean:
	rm -rf bin tests/interop/node_modules

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
