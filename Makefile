# make run     build and start the daemon on its standard ports, data in ./heliosdb-data
# make demo    load the Chinook music shop and read one row through every protocol's own client
# make test    everything that CI runs
# make bench   compare with PostgreSQL and Redis: the whole table against the targets, two hours
# make bench-quick   guard against regressions of what an operation costs, five minutes

SHELL := /bin/bash
.DEFAULT_GOAL := run
.PHONY: run demo test bench bench-quick bench-build setup setup-clients setup-tests build

# The kept build of RocksDB, when there is one (deploy/rocksdb.sh tells why).
ROCKSDB := $(shell deploy/rocksdb.sh dir)
ifneq ($(ROCKSDB),)
export ROCKSDB_LIB_DIR := $(ROCKSDB)
export ROCKSDB_STATIC := 1
endif

BINARY := $(or $(CARGO_TARGET_DIR),target)/debug/heliosdb

OPTIMISED := --config profile.dev.opt-level=3 --config profile.dev.incremental=false \
	--config profile.dev.debug-assertions=false --config profile.dev.overflow-checks=false

setup:
	@deploy/setup.sh build

setup-clients:
	@deploy/setup.sh build clients

setup-tests:
	@deploy/setup.sh build clients drivers bench

build: setup
	cargo build --workspace --bins
	@deploy/rocksdb.sh keep

run: build
	$(BINARY) start

demo: setup-clients build
	HELIOSDB=$(BINARY) deploy/demo.sh

test: setup-tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace
	@deploy/rocksdb.sh keep

# Dependencies are those of every other build; only our own crates are optimised further.
bench-build: setup-tests
	cargo build --workspace --bins $(OPTIMISED)

bench: bench-build
	HELIOSDB=$(BINARY) benches/run.sh --operations 10000000 --rows-max 10000000

bench-quick: bench-build
	HELIOSDB=$(BINARY) benches/run.sh --quick
