# Everything a developer or CI runs. `make` lists the targets.
#
# What a target needs is checked first and installed where that is possible, into a cache outside the tree that later
# runs use again: ${TOLLGATE_CACHE:-~/.cache/tollgate}. Rust itself is the one thing you bring: https://rustup.rs, which
# then follows rust-toolchain.toml.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

export TOLLGATE_CACHE ?= $(HOME)/.cache/tollgate
target := $(abspath $(or $(CARGO_TARGET_DIR),target))
DEMO_ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=
KILLS ?= 200
CALLS ?= 50000
SIDECARS ?= 3
STRANGERS ?= 1000000
SECONDS ?= 20
MINUTES ?= 10
RATE ?= 500
deny := $(or $(shell command -v cargo-deny),$(wildcard $(TOLLGATE_CACHE)/tools/bin/cargo-deny))
deny_version := 0.20.2

.PHONY: help
help: ## list the targets
	@echo "usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Built without optimisation and without Kafka, so that the first demo starts after one short build.
.PHONY: demo
demo: cargo ## a tour with a built-in fake LLM: nothing to configure (DEMO_ARGS=--once ends by itself)
	@tests/peers/install.sh compiler
	cargo run --locked --quiet --no-default-features -- demo $(DEMO_ARGS)

.PHONY: test
test: lint docs deny-if-present peers ## all checks and tests, against the real peers (TEST_ARGS=NAME runs those that match)
	@.ci/summed cargo test --locked $(TEST_ARGS)

.PHONY: soak
soak: build-packages ## kill Tollgate again and again under load, Kafka flapping, and look for a lost event (KILLS=200)
	TOLLGATE_TEST_KILLS=$(KILLS) .ci/summed cargo test --locked --test it soak::no_completed_answer_loses_its_event_however \
		-- --nocapture

.PHONY: soak-fleet
soak-fleet: build-packages ## kill sidecars and control planes under load; ledger and budgets must agree to the nano-dollar (CALLS=50000 SIDECARS=3)
	TOLLGATE_TEST_FLEET_CALLS=$(CALLS) TOLLGATE_TEST_FLEET_SIDECARS=$(SIDECARS) \
		.ci/summed cargo test --locked --test it fleet:: -- --nocapture

# The program under test is optimised, the test around it is not.
.PHONY: soak-flood
soak-flood: build-packages ## flood a sidecar and its control plane with random keys, watch memory and good keys (STRANGERS=1000000)
	cargo build --locked --release
	TOLLGATE_TEST_FLOOD=$(STRANGERS) TOLLGATE_TEST_BINARY=$(target)/release/tollgate \
		.ci/summed cargo test --locked --test it remote::flood -- --nocapture

.PHONY: soak-cuts
soak-cuts: build-packages ## cut the client at every byte of every recorded stream, by both policies, HTTP/1.1 and HTTP/2
	TOLLGATE_TEST_CUTS=all .ci/summed cargo test --locked --release --test it cuts:: -- --nocapture

.PHONY: soak-flips
soak-flips: build-packages ## flip bits of a MiB of the spool, one of each byte, and of 128 KiB all, and start on what is left
	TOLLGATE_FLIP_BYTES=131072 TOLLGATE_FLIP_TOGETHER=4 .ci/summed cargo test --locked --release --lib spool::tests::flips -- --nocapture
	TOLLGATE_FLIP_BYTES=1048576 TOLLGATE_FLIP_BITS=1 TOLLGATE_FLIP_TOGETHER=8 \
		.ci/summed cargo test --locked --release --lib spool::tests::flips -- --nocapture

# The program under test is optimised, the test around it is not; it needs the peers (`make peers`) and a machine at rest.
.PHONY: soak-outage
soak-outage: build-packages ## keep the broker away under load, watch memory and latency (MINUTES=10 RATE=500)
	cargo build --locked --release
	TOLLGATE_TEST_OUTAGE_MINUTES=$(MINUTES) TOLLGATE_TEST_OUTAGE_RATE=$(RATE) \
		TOLLGATE_TEST_BINARY=$(target)/release/tollgate \
		.ci/summed cargo test --locked --test it real::steady -- --nocapture

.PHONY: lint
lint: build-packages ## formatting and clippy, without warnings, of everything that compiles
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --lib --bins -- -D warnings

.PHONY: docs
docs: build-packages
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet

# The load measures what `cargo build --release` makes. What `cargo bench` makes of the program itself follows no profile:
# there its dependencies have other features, and with them its functions other names.
.PHONY: bench
bench: build-packages ## load against the floor proxy and the guard API, then micro benches, in release mode (BENCH_ARGS go to the load)
	cargo build --locked --release
	install -D $(target)/release/tollgate $(target)/measured/tollgate
	TOLLGATE_BENCH_BINARY=$(target)/measured/tollgate cargo bench --locked --bench end_to_end -- $(BENCH_ARGS)
	cargo bench --locked --bench guard_api
	cargo bench --locked --bench micro

# The program follows pgo/tollgate.profdata, which is part of the tree; this takes it anew.
.PHONY: profile
profile: build-packages ## take the profile anew that optimised builds follow (pgo/README.md): about 25 minutes
	pgo/train

.PHONY: fuzz
fuzz: build-packages ## look for inputs that break a parser, each for a while (SECONDS=20)
	SECONDS_EACH=$(SECONDS) fuzz/run

# Advisories are left out: their database comes from outside the registries. `cargo deny check advisories` reads it.
.PHONY: deny
deny: $(if $(deny),,install-deny) ## licences, sources and duplicates of the dependencies (installs cargo-deny: minutes)
	@$(MAKE) deny-if-present deny=$(or $(deny),$(TOLLGATE_CACHE)/tools/bin/cargo-deny)

.PHONY: deny-if-present
deny-if-present:
ifneq ($(deny),)
	$(deny) --log-level error --config .deny.toml check licenses bans sources
else
	@echo "make: licences are not checked, for cargo-deny is missing: make deny"
endif

.PHONY: install-deny
install-deny: cargo
	nice cargo install cargo-deny --locked --version $(deny_version) --root $(TOLLGATE_CACHE)/tools

.PHONY: peers
peers: cargo ## install what the tests need: Kafka, PostgreSQL, Redis, llama.cpp, official clients, promtool
	@tests/peers/install.sh

.PHONY: clean
clean: ## remove what was built and the data of local runs; the cache stays
	cargo clean
	rm -rf data

.PHONY: build-packages
build-packages: cargo
	@tests/peers/install.sh build

.PHONY: cargo
cargo:
	@command -v cargo >/dev/null || { echo "make: Rust is missing; install it with rustup: https://rustup.rs" >&2; exit 1; }
