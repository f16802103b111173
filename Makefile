# SPDX-License-Identifier: Apache-2.0
#
# Building, testing and the demo need Go alone; `make generate` and the C part
# of `make lint` need clang $(CLANG_VERSION) and the headers of libbpf.

GO            ?= go
PREFIX        ?= /usr/local
DESTDIR       ?=
CLANG_VERSION := 14

# Pure Go, so that no C compiler is needed; the race detector of CI sets 1.
export CGO_ENABLED ?= 0

BIN     := $(CURDIR)/bin/xsweep
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w $(if $(VERSION),-X main.release=$(VERSION))

# Labs and programs in the kernel need root.
ROOT      := $(if $(filter 0,$(shell id -u)),,sudo)
AS_ROOT   := -exec 'sudo --preserve-env=XSWEEP_KERNEL_TESTS,XSWEEP_TEST_SEED'
TEST_EXEC := $(if $(ROOT),$(AS_ROOT))

.PHONY: build demo test generate lint lint-c bench install clean

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/xsweep

# Sweeps a /16 inside a simulated network and compares what was found with
# what is there.
demo: build
	@$(if $(ROOT),echo "the lab needs root: using sudo";) \
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && set -x && \
	$(ROOT) $(BIN) lab --live 0.1 --seed 7 -- \
	    $(BIN) sweep --rate 20k --cooldown 2s -o "$$dir/live" 198.18.0.0/16 && \
	$(BIN) lab --live 0.1 --seed 7 --truth 198.18.0.0/16 >"$$dir/truth" && \
	{ set +x; } 2>/dev/null && sort "$$dir/live" >"$$dir/a" && sort "$$dir/truth" >"$$dir/b" && \
	cmp "$$dir/a" "$$dir/b" && \
	echo "found all $$(wc -l <"$$dir/a") live hosts, and none that is not"

# Everything. Kernel tests run in network namespaces of their own and may not
# be skipped.
test:
	@$(if $(ROOT),echo "the kernel tests need root: running the test binaries with sudo")
	XSWEEP_KERNEL_TESTS=required $(GO) test -count=1 -p 1 $(TEST_EXEC) ./...

generate:
	$(GO) generate ./...

lint: lint-c
	@test -z "$$(gofmt -l .)" || { echo "not formatted (run gofmt -w):"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) tool staticcheck ./...

# The flags that matter for warnings are those of bpf/generate.go.
lint-c:
	cd bpf && for source in *.bpf.c ../internal/bench/*.bpf.c; do \
	    clang-$(CLANG_VERSION) -target bpfel -O2 -mcpu=v3 -g -Wall -Wextra -Werror -Iinclude \
	        -idirafter /usr/include/$$(uname -m)-linux-gnu -c "$$source" -o /dev/null || exit 1; \
	done

# The performance page, from one run; see docs/measuring.md. Measure on a quiet
# machine: it takes about sixteen minutes.
bench: build
	$(GO) build -trimpath -buildvcs=auto -o bin/bench ./internal/bench
	$(ROOT) bin/bench -xsweep $(BIN) -json docs/performance.json -page docs/performance.md -readme README.md

SHARE = $(DESTDIR)$(PREFIX)/share

install: build
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/xsweep
	$(BIN) man $(SHARE)/man/man1
	mkdir -p $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(BIN) completion bash >$(SHARE)/bash-completion/completions/xsweep
	$(BIN) completion zsh >$(SHARE)/zsh/site-functions/_xsweep
	$(BIN) completion fish >$(SHARE)/fish/vendor_completions.d/xsweep.fish

clean:
	rm -rf bin
