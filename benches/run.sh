#!/usr/bin/env bash
# Compares HeliosDB with PostgreSQL 15 and Redis 7 on this machine: see run.py, or --help.
exec python3 -B "$(dirname "$0")/run.py" "$@"
