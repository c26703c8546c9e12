#!/usr/bin/env bash
# Loads the Chinook music shop into a fresh daemon and reads one row of it through the own client
# of every protocol. Ends with an error when a client does not see the row.
set -euo pipefail

binary=${HELIOSDB:?the path of the heliosdb binary}
sql=""
for candidate in "${CHINOOK:-}" ../shared/data/chinook/chinook.sql /work/shared/data/chinook/chinook.sql; do
    if [ -n "$candidate" ] && [ -f "$candidate" ]; then sql=$candidate; break; fi
done
if [ -z "$sql" ]; then
    echo "chinook.sql was not found: name it with CHINOOK=/path/to/chinook.sql" >&2
    exit 1
fi
PATH="$PATH:$(go env GOPATH 2>/dev/null)/bin"

work=$(mktemp -d)
"$binary" start --data-dir "$work/data" --ports-file "$work/ports.json" --log-level warn \
    --pg-port 0 --redis-port 0 --mongo-port 0 --http-port 0 --grpc-port 0 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; rm -rf "$work"' EXIT
until [ -f "$work/ports.json" ]; do
    kill -0 "$daemon" 2>/dev/null || { echo "the daemon did not start" >&2; exit 1; }
    sleep 0.1
done
port() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$work/ports.json"; }
pg="postgresql://helios@localhost:$(port pg)"

echo "== loading Chinook with psql"
# Without the lines that make a database of its own and connect to it: the default database is
# where every protocol looks first.
database=heliosdb
sed -e '/^DROP DATABASE/d' -e '/^CREATE DATABASE/d' -e '/^\\c /d' "$sql" >"$work/chinook.sql"
psql -q -v ON_ERROR_STOP=1 "$pg/$database" -f "$work/chinook.sql" >/dev/null

failed=0
# show CLIENT EXPECTED COMMAND…: runs the command, prints its answer, wants EXPECTED in it.
show() {
    local client=$1 expected=$2
    shift 2
    echo "== $client"
    local answer
    answer=$("$@" 2>&1) || true
    echo "$answer"
    if ! grep -q "$expected" <<<"$answer"; then
        echo "!! $client did not show \"$expected\"" >&2
        failed=1
    fi
}

show psql "AC/DC" psql "$pg/$database" -c "SELECT * FROM artist WHERE artist_id = 1"
show curl "AC/DC" curl -sS -H "X-Helios-Database: $database" "localhost:$(port http)/api/v1/tables/artist/rows/1"
show grpcurl "AC/DC" grpcurl -plaintext -H "x-helios-database: $database" \
    -d '{"sql": "SELECT * FROM artist WHERE artist_id = $1", "params": [{"int_value": 1}]}' \
    "localhost:$(port grpc)" heliosdb.v1.HeliosDB/ExecuteQuery
if [ -n "$(port redis)" ]; then
    show redis-cli "AC/DC" redis-cli -p "$(port redis)" -n 16 HGETALL artist:1
fi
if [ -n "$(port mongo)" ]; then
    show mongosh "AC/DC" mongosh --quiet "mongodb://localhost:$(port mongo)/$database" \
        --eval "printjson(db.artist.findOne({_id: 1}))"
fi
exit "$failed"
