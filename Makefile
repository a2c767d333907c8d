# Every command that a person or a CI needs. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

BIN       := bin
TOOLS     := $(BIN)/tools
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION)
# The modules that tests of other people's servers and clients live in.
NESTED    := $(patsubst %/go.mod,%,$(wildcard conformance/interop/*/go.mod))

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.PHONY: build
build: ## Build the binaries into bin/.
	@mkdir -p $(BIN)
	go build -tags grpcnotrace -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./plugin/cmd/... ./host/cmd/... ./conformance/cmd/...

.PHONY: demo
demo: build ## Run the main job on the built-in Box emulator.
	$(BIN)/connectorctl demo

.PHONY: test
test: ## Run everything that CI runs.
	.ci/stages packages generate-check lint unit trials conformance mutation-areas nested npm openapi-shapes

.PHONY: packages
packages: ## Install the packages that tests start servers from, where that can be done.
	.ci/packages

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/buf ## Check style, contract rules and builds for other systems.
	cd proto && ../$(TOOLS)/buf lint
	$(TOOLS)/golangci-lint run ./...
	for m in $(NESTED); do (cd $$m && go vet ./...); done
	GOOS=darwin go build ./...
	GOOS=windows go build ./...

.PHONY: generate
generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go ## Generate Go from the contract.
	cd proto && PATH="$(CURDIR)/$(TOOLS):$$PATH" buf generate && buf=$(CURDIR)/$(TOOLS)/buf && $$buf format -w

.PHONY: generate-check
generate-check: generate ## Fail if generated code isn't what the contract gives.
	git diff --exit-code -- proto

# These hold bounds of time, so they run alone.
TRIALS := ^(TestFrozenHolder|TestStorm|TestTrialReplay|TestTrialStrict)$$
# The packages that need no browser.
NPM    := conformance/interop/box-node-sdk conformance/interop/node-connector

.PHONY: unit
unit: ## Run the Go tests with the race detector, in random order.
	go test -race -shuffle=on -timeout 18m -skip '$(TRIALS)|^(TestPage|TestEachCheckFindsItsFaultAlone)$$' ./...

.PHONY: trials
trials: ## Kill and freeze hosts in the middle of renewals, and storm them: a twentieth of make crash.
	go test -race -shuffle=on -count=1 -timeout 18m -run '$(TRIALS)' ./host/internal/crash

.PHONY: browser
browser: build ## Run the tests that drive a browser.
	.ci/packages browser
	go test -count=1 -timeout 18m -run '^TestPage$$' ./host/cmd/connectorctl
	$(MAKE) npm NPM='conformance/interop/page conformance/interop/forms'

.PHONY: nested
nested: build ## Run the tests against servers that others wrote.
	for m in $(NESTED); do (cd $$m && go test -count=1 -race -shuffle=on ./...); done

.PHONY: npm
npm: build ## Run the tests with clients from npm.
	for d in $(NPM); do \
	  (cd $$d && npm ci --no-audit --no-fund --loglevel=error && npm test); done

.PHONY: openapi-shapes
openapi-shapes: build ## Check the emulator's answers against the shapes kept in the project.
	cd conformance/interop/openapi && go run . -spec testdata/shapes.json -boxsim "$(CURDIR)/$(BIN)/boxsim"

.PHONY: openapi
openapi: build ## Check the emulator against Box's OpenAPI file: make openapi OPENAPI=FILE.
	@test -n "$(OPENAPI)" || { echo 'usage: make openapi OPENAPI=FILE' >&2; exit 2; }
	@test -f "$(OPENAPI)" || { echo 'no such file: $(OPENAPI)' >&2; exit 1; }
	cd conformance/interop/openapi && go run . -spec "$(abspath $(OPENAPI))" -boxsim "$(CURDIR)/$(BIN)/boxsim"

.PHONY: bench
bench: build ## Measure against baselines of the same run.
	go test -run '^$$' -bench . -benchtime 21x ./... | grep -vE '^(PASS|ok|\?|goos|goarch|cpu|pkg)'

.PHONY: soak
soak: build ## Start and kill the connector 1,000 times, and transfer 2 GiB both ways.
	LAUNCH_SOAK=1 go test -count=1 -timeout 60m -run CyclesLeaveNothing -v ./host/launch
	TRANSFER_SOAK=1 go test -count=1 -timeout 60m -run LargeTransfer -v ./host/cmd/connectorctl

.PHONY: crash
crash: ## Kill hosts and connectors 2,000 times on files and 1,000 times on PostgreSQL, in the middle of renewals.
	go test -count=1 -timeout 120m -v -run Trial ./host/internal/crash -trial.kills 2000

.PHONY: conformance
conformance: build ## Judge the Box connector by the conformance suite.
	$(BIN)/connector-conformance run $(BIN)/box-connection --profile conformance/profiles/box.json --report json,junit,markdown --out .artifacts/box

.PHONY: catalogue
catalogue: ## Write the page of the conformance suite's checks.
	go run ./conformance/cmd/connector-conformance list --markdown > .catalogue && mv .catalogue conformance/CHECKS.md

# Without the race detector: it is the checks that are tried, on many processes.
.PHONY: mutation-areas
mutation-areas: ## Judge each broken connector by its check and that check's area.
	go test -count=1 -run EachCheck ./conformance/internal/faulty -mutation area

.PHONY: mutation
mutation: ## Judge each broken connector by all checks, twice and shuffled.
	go test -count=1 -timeout 3h -v -run EachCheck ./conformance/internal/faulty -mutation full | grep -vE '^ *(=== |--- PASS)'

.PHONY: scale
scale: ## Have three nodes renew 10,000 connections at once, at least 160 a second.
	go test -count=1 -timeout 20m -v -run EachOnce ./host/internal/scale -scale.connections 10000 -scale.rate 160

.PHONY: clean
clean: ## Remove what was built.
	rm -rf $(BIN) .artifacts

# The tools are pinned by .ci/tools/go.mod, and protoc-gen-go by the module's
# own version of protobuf.
$(TOOLS)/buf $(TOOLS)/golangci-lint &: .ci/tools/go.mod .ci/tools/go.sum
	@mkdir -p $(TOOLS)
	cd .ci/tools && go build -o ../../$(TOOLS)/ tool
	@touch $(TOOLS)/buf $(TOOLS)/golangci-lint

$(TOOLS)/protoc-gen-go: go.mod
	@mkdir -p $(TOOLS)
	go build -o $(TOOLS)/ google.golang.org/protobuf/cmd/protoc-gen-go
