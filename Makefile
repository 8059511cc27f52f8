# Targets that need more than Go install it; see scripts/setup.

GO ?= go
CLANG ?= clang-19
STRIP ?= llvm-strip-19

# A second kernel of the Debian archive, for tests that read one scheduler on two: the oldest that has
# struct scx_sched.
OLDER ?= 6.16

BPF := example_sched/bpf

# How long "make fuzz" runs each target.
FUZZTIME ?= 3m

.PHONY: help
help:
	@echo "make demo      boot a guest, run the example scheduler, freeze it twice, print typed reads"
	@echo "make test      run every test, those in virtual machines included"
	@echo "make corpus    hold the generator and the loader to a thousand BPF objects of the kernel's"
	@echo "make schedulers  run the schedulers and the selftests of sched_ext in all configurations"
	@echo "make fuzz      run every fuzz target, each for FUZZTIME ($(FUZZTIME))"
	@echo "make stress    boot 50 guests and capture each ten times"
	@echo "make bench     measure boot, pause, capture, decoding and generating"
	@echo "make generate  rebuild the example's object and all generated code"
	@echo "make lint      gofmt, go vet, staticcheck"

.PHONY: demo
demo:
	@scripts/setup demo
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing
	@$(GO) run ./example_sched/demo

.PHONY: test
test:
	@scripts/setup test
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing -modules nf_conntrack
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing -release $(OLDER) >/dev/null || test -z "$$CI"
	@scripts/corpus sample >/dev/null || test -z "$$CI"
	@scripts/programs schedulers >/dev/null || test -z "$$CI"
	@# ktest takes longest, so it begins first.
	$(GO) test -timeout 40m ./ktest ./...

# The tests of make test that read the sample of the corpus, with all of it.
.PHONY: corpus
corpus:
	@scripts/setup test
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing
	objects=$$(scripts/corpus all) && KTGEN_CORPUS=$$objects \
		$(GO) test -run 'Corpus|Bpftool' -timeout 3h -v ./object ./cast ./gen ./ktest/internal/parity

# The schedulers of the kernel's tools/sched_ext, in all configurations, and the selftests
# of sched_ext.
.PHONY: schedulers
schedulers:
	@scripts/setup test
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing -release $(OLDER) >/dev/null
	@scripts/programs all >/dev/null
	$(GO) test -timeout 60m -v ./ktest/internal/public -every

.PHONY: fuzz
fuzz:
	@scripts/fuzz $(FUZZTIME)

.PHONY: stress
stress:
	@scripts/setup test
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing
	$(GO) test -run TestGuestsInARow -timeout 60m -v ./example_sched -boots 50 -captures 10

.PHONY: bench
bench:
	@scripts/setup test
	@$(GO) run ./cmd/ktgen kernel fetch -if-missing
	$(GO) test -run '^$$' -bench 'Boot|Restore|Start$$' -benchtime 10x ./vmm ./ktest
	$(GO) test -run '^$$' -bench 'StopCont|Capture|WatchFire' -benchtime 200x ./vmm ./ktest ./example_sched
	$(GO) test -run '^$$' -bench WatchArmed -benchtime 20x ./example_sched
	$(GO) test -run '^$$' -bench . -benchmem ./runtime ./dump ./freeze ./series
	@scripts/corpus sample >/dev/null
	$(GO) test -run '^$$' -bench . -benchtime 5x ./gen ./cmd/ktgen

# Paths are mapped away so that every checkout builds the same bytes.
.PHONY: generate
generate:
	@scripts/setup generate
	cd $(BPF) && $(CLANG) -g -O2 -Wall -Wextra -Wno-unused-parameter -Werror \
		-target bpf -mcpu=v4 -ffile-prefix-map=$(CURDIR)/$(BPF)=. -fdebug-compilation-dir=. \
		-c sched.bpf.c -o sched.bpf.o && $(STRIP) -g sched.bpf.o
	$(GO) generate ./...

.PHONY: lint
lint:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
