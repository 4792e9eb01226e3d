# Commands of the project. "make help" lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN     := $(CURDIR)/bin
TOOLS   := $(CURDIR)/.cache/bin
DRIVERS := $(notdir $(patsubst %/main.go,%,$(wildcard drivers/*/main.go)))
# Modules besides the main one: examples and tests with dependencies of their own.
MODULES := $(filter-out .ci/tools,$(patsubst %/go.mod,%,$(shell git ls-files '*/go.mod')))
FUZZTIME ?= 10s
GOFILES  = $(shell git ls-files '*.go' | grep -v '\.pb\.go$$')

export GOBIN := $(TOOLS)

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/logplug and bin/drivers/logplug-driver-*
	@mkdir -p $(BIN)/drivers
	go build -trimpath -o $(BIN)/logplug ./host/cmd/logplug
	@# There is a process of it for every container.
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o $(BIN)/logplug-containerd ./host/cmd/logplug/logplug-containerd
	@for d in $(DRIVERS); do \
		echo "go build -trimpath -o $(BIN)/drivers/logplug-driver-$$d ./drivers/$$d"; \
		go build -trimpath -o $(BIN)/drivers/logplug-driver-$$d ./drivers/$$d; \
	done

# Where "make docker-plugin" puts the directory for "docker plugin create".
PLUGIN  ?= $(BIN)/docker-plugin

.PHONY: docker-plugin
docker-plugin: ## Build a managed plugin of Docker: docker plugin create logplug bin/docker-plugin
	@rm -rf $(PLUGIN)
	@mkdir -p $(PLUGIN)/rootfs/usr/bin/drivers $(PLUGIN)/rootfs/run/docker/plugins $(PLUGIN)/rootfs/var/lib $(PLUGIN)/rootfs/etc/ssl/certs
	@mkdir -m 1777 $(PLUGIN)/rootfs/tmp
	@if [ -e /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt $(PLUGIN)/rootfs/etc/ssl/certs/; fi
	cp host/cmd/logplug/packaging/docker-plugin/config.json $(PLUGIN)/
	CGO_ENABLED=0 go build -trimpath -o $(PLUGIN)/rootfs/usr/bin/logplug ./host/cmd/logplug
	@for d in $(DRIVERS); do \
		echo "CGO_ENABLED=0 go build -trimpath -o $(PLUGIN)/rootfs/usr/bin/drivers/logplug-driver-$$d ./drivers/$$d"; \
		CGO_ENABLED=0 go build -trimpath -o $(PLUGIN)/rootfs/usr/bin/drivers/logplug-driver-$$d ./drivers/$$d; \
	done

.PHONY: demo
demo: build ## Run a command through a driver, and read its output back while it runs
	@.ci/demo $(BIN)

# gotestsum tells at the end what failed. In CI, on machines that are slow and noisy, a test that fails is run once more, and is
# told of as well if it passes then; what the race detector has found is never run again.
GOTEST = $(TOOLS)/gotestsum --format pkgname --format-hide-empty-pkg --hide-summary skipped --packages ./... \
	$(if $(filter true,$(CI)),--rerun-fails=1 --rerun-fails-max-failures 3 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race) \
	-- -timeout 20m

.PHONY: test
test: deps $(TOOLS)/gotestsum ## Run all tests, after installing what they need
	$(GOTEST)
	@for m in $(MODULES); do echo "tests in $$m"; (cd $$m && $(GOTEST)); done

.PHONY: race
race: deps $(TOOLS)/gotestsum ## Run the main module's tests with the race detector
	$(GOTEST) -race -short

.PHONY: deps
deps: ## Install what the tests need
	@.ci/deps

.PHONY: fuzz
fuzz: ## Fuzz every decoder for FUZZTIME
	@.ci/fuzz $(FUZZTIME)

# For "make chaos": minutes of storm, its seed (0 makes one up), and further flags.
MINUTES ?= 10
SEED    ?= 0
CHAOS   ?=

.PHONY: chaos
chaos: ## Kill, stop and damage for MINUTES, and check that nothing is lost
	go run ./host/internal/chaos -minutes $(MINUTES) -seed $(SEED) $(CHAOS)

.PHONY: bench
bench: ## Compare with Docker and a raw socket; BENCH="-quick", "-rows 1,3", see host/bench
	@mkdir -p $(BIN)/bench
	cd host/bench && go run . -markdown $(BIN)/bench/results.md -plot $(BIN)/bench/results.svg $(BENCH)

.PHONY: bench-check
bench-check: ## Fail if allocations or ratios of CPU time have become much worse
	cd host/bench && go run . -check

.PHONY: lint
lint: $(TOOLS)/staticcheck ## Check formatting, vet, static analysis
	@out=$$(gofmt -l $(GOFILES)); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	go vet ./...
	@# Without ST1005: errors that begin with the name of a call or a setting keep its capital.
	$(TOOLS)/staticcheck -checks inherit,-ST1005 ./...
	@for m in $(MODULES); do echo "go vet ./... (in $$m)"; (cd $$m && go vet ./...); done

.PHONY: generate
generate: $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## Generate code from the .proto file (needs protoc)
	@command -v protoc >/dev/null || .ci/deps protoc
	PATH=$(TOOLS):$$PATH protoc -I shared/proto \
		--go_out=. --go_opt=module=github.com/logplug/logplug \
		--go-grpc_out=. --go-grpc_opt=module=github.com/logplug/logplug \
		shared/proto/logplug/v1/logplug.proto

.PHONY: cross
cross: ## Compile for the other systems
	@for t in linux/arm64 linux/386 darwin/arm64; do \
		echo "GOOS=$${t%/*} GOARCH=$${t#*/} go build ./..."; \
		CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} go build ./...; \
	done
	@# Drivers that write files need locks that Windows lacks.
	GOOS=windows GOARCH=amd64 go build ./shared/... ./host/... ./sdk ./sdk/internal/... ./sdk/drivertest

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN) .cache

$(TOOLS)/gotestsum: .ci/tools/go.mod
	cd .ci/tools && go install gotest.tools/gotestsum
$(TOOLS)/staticcheck: .ci/tools/go.mod
	cd .ci/tools && go install honnef.co/go/tools/cmd/staticcheck
$(TOOLS)/protoc-gen-go: .ci/tools/go.mod
	cd .ci/tools && go install google.golang.org/protobuf/cmd/protoc-gen-go
$(TOOLS)/protoc-gen-go-grpc: .ci/tools/go.mod
	cd .ci/tools && go install google.golang.org/grpc/cmd/protoc-gen-go-grpc
