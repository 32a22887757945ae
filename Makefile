# The commands of this repository; `make help` lists them. Each does the set-up it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One target directory and one profile for builds, tests and benchmarks, outside of the repository: RocksDB takes a
# quarter of an hour to compile, so that it must happen once. ccache keeps it also when the directory is lost.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/haypile/target
export PATH := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# Looked up when a recipe runs, because `setup` may just have installed it. CC and CXX that the caller sets win.
WITH_CCACHE := if command -v ccache >/dev/null; then export CC="$${CC:-ccache cc}" CXX="$${CXX:-ccache c++}"; fi;
CARGO := $(WITH_CCACHE) cargo

# Arguments for the program that a target runs: make run ARGS="--port 7000"
ARGS ?=

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-19s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: ## Install what is missing to build: compiler, libclang, ccache, Rust
	@scripts/setup.sh build

.PHONY: env
env: ## Print the environment for calling cargo yourself, for eval
	@echo "export CARGO_TARGET_DIR=$$CARGO_TARGET_DIR"
	@$(WITH_CCACHE) for name in CC CXX; do [ -z "$${!name:-}" ] || echo "export $$name='$${!name}'"; done

.PHONY: build
build: setup ## Build bin/haypile
	@$(CARGO) build --release -p haypile-server --bin haypile
	@mkdir -p bin
	@# A running server keeps the file it was started from.
	@cp "$$CARGO_TARGET_DIR/release/haypile" bin/.haypile.new && mv -f bin/.haypile.new bin/haypile

.PHONY: run
run: build ## Build and start the server; ARGS="--port 7000" gives it flags
	@exec bin/haypile server $(ARGS)

.PHONY: test
test: setup ## Build and run all tests
	@# What is lock-free, in all orders in which it can run: with the model checker's atomics, so apart from the rest.
	@$(CARGO) test --release -p haypile-rows --features loom --test loom --quiet
	@if cargo nextest --version >/dev/null 2>&1; then \
		$(CARGO) test --release --workspace --doc --quiet; \
		$(CARGO) nextest run --release --workspace $(ARGS); \
	else \
		$(CARGO) test --release --workspace $(ARGS); \
	fi

.PHONY: fmt
fmt: setup ## Format the code
	@cargo fmt --all

.PHONY: lint
lint: setup ## Check the format, and run clippy and rustdoc with warnings as errors
	@cargo fmt --all --check
	@$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	@# What is private is documented as well: a newcomer reads that. Its links are checked too.
	@export RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links"; $(CARGO) doc --quiet --release --workspace --no-deps --document-private-items

.PHONY: deny
deny: setup ## Check licences, sources and advisories of the dependencies
	@scripts/deny.sh

.PHONY: docs
docs: build ## Write what is generated: docs/configuration.md, docs/commands.md, the README's list
	@scripts/docs.sh

.PHONY: proto
proto: setup ## Write the code for the wire schemas in proto/
	@$(CARGO) run --quiet --release --manifest-path proto/generate/Cargo.toml

.PHONY: bench
bench: build ## Compare with Redis on this machine; ARGS=--help says what else
	@scripts/bench.sh $(ARGS)

.PHONY: compat
compat: build ## Run Redis' own test suite and others; ARGS=--help says which
	@scripts/setup.sh compat
	@scripts/compat.sh $(ARGS)

.PHONY: torture
torture: build ## Kill the server again and again under load, check its data; ARGS="--rounds 20"
	@scripts/torture.sh $(ARGS)

.PHONY: torture-reads
torture-reads: build ## Read what others write, and check that each reply is one whole state; ARGS="--rounds 20"
	@scripts/torture-reads.sh $(ARGS)

.PHONY: torture-replication
torture-replication: build ## Let everything go wrong between servers that follow each other; ARGS="--rounds 20"
	@scripts/torture-replication.sh $(ARGS)

.PHONY: sentinel
sentinel: build ## Let Redis Sentinel replace a primary that is killed; ARGS="--kills 20"
	@scripts/sentinel.sh $(ARGS)

.PHONY: fuzz
fuzz: setup ## Fuzz what reads bytes from elsewhere, with a nightly toolchain; ARGS=300 for five minutes each
	@scripts/fuzz.sh $(ARGS)
