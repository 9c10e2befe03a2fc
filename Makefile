# Everything needs only Go, Node and make; the rest comes from the package registries.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export GOFLAGS := -buildvcs=false
export npm_config_update_notifier := false

GOLANGCI_VERSION := v2.15.0
TOOL := go tool -modfile=tools.mod
BROWSER := $(shell command -v chromium chromium-browser google-chrome google-chrome-stable 2>/dev/null | head -n 1)
# The race detector needs a C compiler; without one the suite runs without it.
RACE := $(shell command -v gcc clang cc >/dev/null 2>&1 && echo -race)

.PHONY: help run test build generate lint fmt e2e screenshots bench bench-analytics load clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

run: build ## start the demo at http://127.0.0.1:8080 (Ctrl-C stops it); ARGS="…" passes flags
	@echo "== starting the demo"
	@exec bin/promptforge demo $(ARGS)

test: node_modules/.installed ## run the whole suite against a real Postgres that it brings
	@echo "== front end"
	@npm run --silent build
	@echo "== go test $(RACE)"
	go test $(RACE) -shuffle=on -count=1 -timeout 20m ./...
ifneq ($(BROWSER),)
	@echo "== the browser tests ran with $(BROWSER)"
else
	@echo "== the browser tests did NOT run: no Chromium found (REQUIRE_BROWSER=1 makes that a failure)"
endif

build: node_modules/.installed ## bin/promptforge, one static binary with assets and migrations inside
	@echo "== front end"
	@npm run --silent build
	@echo "== binary$$(test -x bin/promptforge || echo ' (the first build compiles everything: two or three minutes)')"
	@CGO_ENABLED=0 go build -trimpath -o bin/promptforge ./cmd/promptforge

generate: ## regenerate templ and sqlc code, and format
	$(TOOL) sqlc generate
	$(TOOL) templ generate -path views
	$(MAKE) --no-print-directory fmt

fmt: ## format Go and templ
	@$(TOOL) gofumpt -w $$(git ls-files -co --exclude-standard '*.go' | grep -vE '_templ\.go$$|^db/.*\.sql\.go$$')
	@$(TOOL) templ fmt -fail=false views >/dev/null 2>&1 || $(TOOL) templ fmt views

lint: bin/golangci-lint-$(GOLANGCI_VERSION) ## check style and the arrows between packages
	@bash scripts/same-templ
	bin/golangci-lint-$(GOLANGCI_VERSION) run --allow-parallel-runners ./...

e2e: build ## drive the demo in a real browser, through every page
	REQUIRE_BROWSER=1 go test -count=1 -v ./e2e/

screenshots: build ## pictures of every page in bin/screenshots, and the README's in docs/img
	REQUIRE_BROWSER=1 go test -count=1 -v -timeout 20m -run '^TestScreenshots$$' ./e2e/ -args -screenshots $(CURDIR)/bin/screenshots

bench: ## run the benchmarks, one package at a time so that none slows another
	go test -p 1 -run '^$$' -bench . -benchmem ./...

bench-analytics: node_modules/.installed ## figures of a million customers with ten million movements (minutes, and 15 GB that stay in bin/figures for the next time; ARGS="-figures.customers 50000" for fewer)
	@npm run --silent build
	go test -run '^TestFiguresAtScale$$' -count=1 -v -timeout 120m ./internal/ledger -args -figures -figures.data $(CURDIR)/bin/figures $(ARGS)

load: node_modules/.installed ## the product under a thousand events a second, a backlog, and reads of its API (minutes; ARGS="-load.for 20s" shortens it)
	@npm run --silent build
	go test -run '^TestLoad' -count=1 -v -timeout 60m ./cmd/promptforge -load $(ARGS)

clean: ## remove what was built; the demo's data in .data stays
	rm -rf bin node_modules static/dist/*

# npm ci is repeated only when the lock file changes.
node_modules/.installed: package.json package-lock.json
	@echo "== front-end packages and Postgres (npm ci)"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

bin/golangci-lint-$(GOLANGCI_VERSION):
	@echo "== building golangci-lint $(GOLANGCI_VERSION)"
	@mkdir -p bin
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv bin/golangci-lint $@
