#!/usr/bin/env bash
# Installs what is missing on Debian: the tools to build with ("build"), the protocols' own clients
# ("clients"), the drivers that the tests run ("drivers"), and the servers that `make bench`
# compares with ("bench"). Finding everything in place, it changes nothing.
set -euo pipefail

missing=()

# want COMMAND PACKAGE: the Debian package that brings a command that is not there.
want() {
    # Not command -v, which also finds what is only built into this shell.
    type -P "$1" >/dev/null || missing+=("$2")
}

install_packages() {
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing: ${missing[*]}" >&2
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    missing=()
}

build_tools() {
    want clang clang
    want mold mold
    want make make
    want g++ g++
    want pkg-config pkg-config
    # bindgen, which reads RocksDB's and libpg_query's headers, loads libclang at run time.
    if ! compgen -G "/usr/lib/llvm-*/lib/libclang*.so*" >/dev/null; then missing+=(libclang-dev); fi
    install_packages
    if ! command -v cargo >/dev/null 2>&1; then
        echo "Rust is missing: install it with rustup, then run this again" >&2
        exit 1
    fi
}

# Later versions do not run on the Node.js of Debian 12.
mongosh_version() {
    if [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; then echo latest; else echo 2.1.5; fi
}

clients() {
    want psql postgresql-client
    want redis-cli redis-tools
    want curl curl
    want npm npm
    want go golang-go
    want openssl openssl
    # The corpus of MongoDB's operators is packed with it.
    want zstd zstd
    install_packages
    command -v mongosh >/dev/null 2>&1 || npm install --silent --global "mongosh@$(mongosh_version)"
    if ! command -v grpcurl >/dev/null 2>&1 && [ ! -x "$(go env GOPATH)/bin/grpcurl" ]; then
        # The last version that the Go of Debian 12 compiles.
        go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.9
    fi
}

bench() {
    compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || missing+=(postgresql)
    want pgbench postgresql-contrib
    want redis-server redis-server
    want redis-benchmark redis-tools
    want python3 python3
    want runuser util-linux
    want kill procps
    install_packages
}

# Drivers of Python and Node.js, in a directory of their own (conformance/src/clients.rs).
drivers() {
    want python3 python3
    want npm npm
    python3 -c "import ensurepip" 2>/dev/null || missing+=(python3-venv)
    install_packages
    local directory="${XDG_CACHE_HOME:-$HOME/.cache}/heliosdb/clients"
    mkdir -p "$directory/node"
    if ! "$directory/python/bin/python" -c "import psycopg, pymongo" 2>/dev/null; then
        python3 -m venv "$directory/python"
        "$directory/python/bin/pip" install --quiet "psycopg[binary]" pymongo
    fi
    if [ ! -d "$directory/node/node_modules/pg" ]; then
        npm install --silent --prefix "$directory/node" pg
    fi
}

for part in "$@"; do
    case "$part" in
        build) build_tools ;;
        clients) clients ;;
        drivers) drivers ;;
        bench) bench ;;
        *) echo "usage: $0 build|clients|drivers|bench …" >&2; exit 2 ;;
    esac
done
