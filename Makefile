# Robin. `make` lists the targets; `make run` and `make test` do everything on a fresh machine.
# Needs: Go (the version in go.mod), a C compiler, Node with npm, and for the browser tests Chromium.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)
PLATFORM := $(shell go env GOOS)_$(shell go env GOARCH)
ORT      := model/onnx/lib/$(PLATFORM)/.fetched
DATA     ?= data
ADDR     ?= 127.0.0.1:8080
EVAL     ?= testdata/catalogue
N        ?= 1000000
GOTESTFLAGS ?= -timeout 30m
export CGO_ENABLED = 1

.DEFAULT_GOAL := help
.PHONY: help deps deps-test build run test test-go test-web crash lint bench eval dist clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

deps: $(ORT) ## fetch what the build needs: Go modules and ONNX Runtime, both pinned by checksum
	@go mod download

$(ORT): deps/package.json deps/package-lock.json deps/fetch.sh
	@bash deps/fetch.sh
	@touch $@

deps-test: web/test/node_modules/.package-lock.json ## fetch what the browser tests need
	@bash web/test/chromium.sh

web/test/node_modules/.package-lock.json: web/test/package-lock.json
	@cd web/test && npm ci --no-audit --no-fund

build: deps ## build bin/robin, one file with everything in it
	@mkdir -p bin
	go build -trimpath -ldflags "$(LDFLAGS)" -o bin/robin ./cmd/robin

run: build ## serve the demo catalogue and the page on ADDR (127.0.0.1:8080), data in DATA (./data)
	bin/robin serve --demo --addr $(ADDR) --data $(DATA)

test: lint test-go test-web ## everything: vet, staticcheck, all Go tests with -race, the page in Chromium

# Tests run beside one another, and some have deadlines.
test-go test-web: export ROBIN_BULK_NICE = 0

test-go: deps
	go test -race $(GOTESTFLAGS) -skip '^TestClientsOf' $$(go list ./... | grep -v /crashtest) ./testdata/catalogue ./testdata/vectors
	go test $(GOTESTFLAGS) -v -run '^TestClientsOf' ./cmd/robin # -v shows that it was skipped where Python or its packages cannot be had
	go test -race $(GOTESTFLAGS) -v ./crashtest # -v shows what was acknowledged, and that power cuts were skipped without root
	go test $(GOTESTFLAGS) -run '^TestT3[456]' ./api # times and memory are looser under -race: here they are strict
	go test $(GOTESTFLAGS) -run '^TestTenThousand' ./dedup # under -race they are fewer

test-web: build deps-test
	cd web/test && ROBIN_BIN=$(CURDIR)/bin/robin npm test --silent

crash: build ## the long crash tests: 50 kill -9, 20 killed imports, 30 killed pulls and, as root, 20 power cuts
	ROBIN_BIN=$(CURDIR)/bin/robin ROBIN_CRASH_KILLS=50 ROBIN_CRASH_IMPORTS=20 ROBIN_CRASH_PULLS=30 ROBIN_CRASH_CUTS=20 go test -count=1 -v -timeout 60m ./crashtest/

lint: deps ## go mod tidy, go vet, staticcheck, gofmt
	go mod tidy -diff
	go vet ./... ./testdata/catalogue ./testdata/vectors
	cd bench && go vet ./...
	go tool staticcheck ./... ./testdata/catalogue ./testdata/vectors
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }

bench: deps ## Go benchmarks of the packages that speed depends on, and of the libraries that Robin went without
	go test -run '^$$' -bench . -benchtime 1s ./ann/ ./embedder/ ./model/tokenizer/
	cd bench && go test -run '^$$' -bench . -benchtime 1s .

bench-ann: build ## recall, speed, filters, changes and restart of the vector index on N (1,000,000) generated vectors
	bin/robin bench ann --generate $(N) --precision float32,int8

bench-import: build ## import N (1,000,000) generated documents that bring their vectors, and print speed and memory by tenths
	@rm -rf bench-data && mkdir bench-data
	go run ./testdata/vectors -n $(N) -robin bin/robin -data bench-data
	bin/robin verify --data bench-data/data
	@rm -rf bench-data

eval: build ## relevance on an evaluation folder, EVAL=DIR (the demo catalogue)
	bin/robin eval $(EVAL)

dist: build ## dist/robin-VERSION-OS_ARCH.tar.gz with its checksum
	@mkdir -p dist
	tar -czf dist/robin-$(VERSION)-$(PLATFORM).tar.gz -C bin robin -C .. LICENSE README.md
	cd dist && sha256sum robin-$(VERSION)-$(PLATFORM).tar.gz > robin-$(VERSION)-$(PLATFORM).tar.gz.sha256

clean: ## remove what was built (not the data)
	rm -rf bin dist
