# What people type. Each target says what it does and runs plain commands.

GO ?= go
# How long make fuzz gives each target.
TIME ?= 10s

.PHONY: help build rescue test corpus check fuzz bench deps tools

help:
	@echo 'make rescue   wedge a disposable machine and rescue it, with proof'
	@echo '              BLIND=1: the same with fixed pauses beside it; SEED=n: the same machine again'
	@echo 'make build    bin/sysrq'
	@echo 'make test     everything: linters, all tests, and the lab with real kernels (long)'
	@echo 'make corpus   golden dumps of machines in known states, made anew (long)'
	@echo '              ONLY=regexp: some of them, such as ONLY=amd64-6.12-frozen; JOBS=n: machines at once'
	@echo 'make check    the linters only'
	@echo 'make fuzz     every fuzz target for TIME=$(TIME)'
	@echo 'make bench    the benchmarks'
	@echo 'make deps     install what the above needs, from Debian packages'
	@echo 'go test ./... alone needs no root, no network and no lab.'

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/sysrq ./cmd/sysrq

rescue:
	@scripts/deps rescue
	@echo 'building bin/sysrq'
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/sysrq ./cmd/sysrq
	@bin/sysrq lab rescue $(if $(filter-out 0,$(BLIND)),--blind) $(if $(SEED),--seed $(SEED))

# The first run proves that the tests are hermetic; the second has the lab, in
# which a test that can not run fails. Machines are emulated, so packages take
# turns. The last line is the count of the second.
test:
	@scripts/deps test
	@$(MAKE) --no-print-directory check
	@echo 'tests, without the lab'
	@env -u SYSRQ_LAB $(GO) run ./internal/cmd/gotest -timeout 5m ./...
	@echo 'tests, with the lab'
	@SYSRQ_LAB=1 $(GO) run ./internal/cmd/gotest -count=1 -p 1 -timeout 60m ./...

# Rewrites diagnose/testdata/corpus. The program is static, since it is what
# runs in its machines.
corpus:
	@scripts/deps corpus
	@mkdir -p bin && CGO_ENABLED=0 $(GO) build -trimpath -o bin/corpus ./internal/cmd/corpus
	@bin/corpus -only '$(ONLY)' -jobs $(or $(JOBS),2) diagnose/testdata/corpus

check: tools
	@echo 'gofumpt'; out=$$(.bin/gofumpt -l .) && test -z "$$out" || { echo "not formatted:"; echo "$$out"; exit 1; }
	@echo 'go vet'; $(GO) vet ./...
	@echo 'staticcheck'; .bin/staticcheck ./...
	@echo 'govulncheck'; scripts/vuln

# The tools are a module of their own: what they need, no user of ours gets.
tools:
	@mkdir -p .bin && cd tools && $(GO) build -o ../.bin/ tool

fuzz:
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(TIME) $$pkg || exit 1; \
		done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

deps:
	@scripts/deps rescue
	@scripts/deps test
	@scripts/deps corpus
