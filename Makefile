# make run     build and start the daemon on its standard ports, data in ./heliosdb-data
# make demo    load the Chinook music shop and read one row through every protocol's own client
# make test    everything that CI runs
# make bench   compare with PostgreSQL and Redis

SHELL := /bin/bash
.DEFAULT_GOAL := run
.PHONY: run demo test bench setup setup-clients build

# The kept build of RocksDB, when there is one (deploy/rocksdb.sh tells why).
ROCKSDB := $(shell deploy/rocksdb.sh dir)
ifneq ($(ROCKSDB),)
export ROCKSDB_LIB_DIR := $(ROCKSDB)
export ROCKSDB_STATIC := 1
endif

BINARY := $(or $(CARGO_TARGET_DIR),target)/debug/heliosdb

setup:
	@deploy/setup.sh build

setup-clients:
	@deploy/setup.sh build clients

build: setup
	cargo build -p heliosdb

run: build
	$(BINARY) start

demo: setup-clients build
	HELIOSDB=$(BINARY) deploy/demo.sh

# The crates whose tests have been run to the end. The others join as theirs are.
test: setup
	cargo fmt --all --check
	cargo test -p helios-types -p helios-storage -p helios-net

bench: setup-clients
	cargo build --release -p heliosdb
	@if [ -x benches/run.sh ]; then benches/run.sh; else echo "benches/run.sh is missing" >&2; exit 1; fi
