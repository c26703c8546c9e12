#!/usr/bin/env bash
# RocksDB takes half an hour to build and cargo builds it anew for every profile and selection of
# packages. One build is kept beside the target directory and every later one links it.
#
#   rocksdb.sh dir    prints the directory of the kept library, nothing when there is none
#   rocksdb.sh keep   keeps the library that a build has left in the target directory
set -euo pipefail
cd "$(dirname "$0")/.."

# A library of another version, or built with other flags, is another library.
version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
flags=$(cksum .cargo/config.toml | cut -d' ' -f1)
kept="${XDG_CACHE_HOME:-$HOME/.cache}/heliosdb/rocksdb/$version-$flags"

case "${1:-}" in
    dir)
        if [ -f "$kept/librocksdb.a" ]; then echo "$kept"; fi
        ;;
    keep)
        if [ -f "$kept/librocksdb.a" ]; then exit 0; fi
        target="${CARGO_TARGET_DIR:-target}"
        built=$(find "$target" -path '*/librocksdb-sys-*/out/librocksdb.a' -print -quit 2>/dev/null || true)
        if [ -n "$built" ]; then
            mkdir -p "$kept"
            cp "$built" "$kept/librocksdb.a.new"
            mv "$kept/librocksdb.a.new" "$kept/librocksdb.a"
        fi
        ;;
    *)
        echo "usage: $0 dir|keep" >&2
        exit 2
        ;;
esac
