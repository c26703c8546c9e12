"""From the creation of the process to the answer of its first query (SELECT 1; of Redis, PING)."""

import os
import shutil
import signal
import time

import process
from pgbench import psql
from report import Result, at_most

STARTS = 5
# Rows that fill a megabyte on disk or more; of random text, so that it does not compress.
FILL = """
CREATE TABLE filling (id bigserial PRIMARY KEY, payload text NOT NULL);
"""
ADD = """
INSERT INTO filling (payload)
SELECT md5(i::text || '{at}') || md5(i::text || 'b{at}') || md5(i::text || 'c{at}') || md5(i::text || 'd{at}')
FROM generate_series(1, 50000) AS g(i);
"""


def timed(server):
    begin = time.monotonic()
    server.start()
    return (time.monotonic() - begin) * 1e3


def cold(name, running, options):
    """On an empty directory."""
    server = running.anew("heliosdb")
    times = []
    for _ in range(STARTS):
        server.stop()
        shutil.rmtree(server.directory / "data")
        times.append(timed(server))
    return [Result(f"{name}: on an empty directory", "ms", times, target=at_most(300, "value"))]


def warm(name, running, options):
    """On a directory that is there, of all three."""
    out = []
    for server_name in ("heliosdb", "postgresql", "redis"):
        server = running.anew(server_name)
        times = []
        for _ in range(STARTS):
            server.stop()
            times.append(timed(server))
        server.stop()
        out.append(Result(f"{name}: {server_name}", "ms", times))
    return out


def sizes(name, running, options):
    """With more and more data, after a stop and after a kill."""
    server = running.anew("heliosdb")
    psql(server, "-c", FILL)
    out, at, size = [], 0, 10_000_000
    while size <= options.start_bytes:
        while process.disk_bytes(server.directory / "data") < size:
            psql(server, "-c", ADD.format(at=at), seconds=120)
            at += 1
        stopped, killed = [], []
        for _ in range(3):
            server.stop()
            stopped.append(timed(server))
            os.kill(server.pid(), signal.SIGKILL)
            server.process.wait()
            killed.append(timed(server))
        target = at_most(2000, "value") if size >= 1_000_000_000 else None
        out.append(Result(f"{name}: {size // 1_000_000} MB, after a stop", "ms", stopped, target=target))
        out.append(Result(f"{name}: {size // 1_000_000} MB, after a kill", "ms", killed, target=target))
        size *= 10
    return out


ALL = {"start-cold": cold, "start": warm, "start-size": sizes}
