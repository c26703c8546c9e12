"""Memory: of a server that does nothing, of idle connections, of small keys; and the small keys on disk."""

import socket
import time

import process
import wire
from report import Result, at_most

KEYS = 1_000_000
CONNECTIONS = 5000


def idle(name, running, options):
    """A second after the first answer of a server on an empty directory."""
    out = []
    for server_name, target in (("heliosdb", at_most(100, "value")), ("postgresql", None), ("redis", None)):
        server = running.anew(server_name)
        time.sleep(1)
        used = process.resident_bytes(server.pid()) / 1e6
        out.append(Result(f"{name}: idle, {server_name}", "MB", [used], target=target))
    return out


def connections(name, running, options):
    """What each idle connection adds: of PostgreSQL's protocol, and of Redis' here and in Redis."""
    def of(server_name, connect):
        server = running.anew(server_name)
        time.sleep(1)
        before = process.resident_bytes(server.pid())
        held = [connect(server) for _ in range(CONNECTIONS)]
        time.sleep(1)
        used = process.resident_bytes(server.pid()) - before
        for client in held:
            client.stream.close()
        return used / CONNECTIONS / 1024

    def redis(server):
        client = wire.Redis(server.ports["redis"])
        client.ask(b"PING")
        return client

    sql = of("heliosdb", lambda server: wire.Sql(server.ports["pg"], "SELECT 1"))
    ours, peers = of("heliosdb", redis), of("redis", redis)
    return [
        Result(f"{name}: each of {CONNECTIONS} of SQL", "KB", [sql], target=at_most(64, "value")),
        Result(f"{name}: each of {CONNECTIONS} of Redis", "KB", [ours], "redis", [peers], target=at_most(64, "value")),
    ]


def fill(server):
    client = wire.Redis(server.ports["redis"])
    for at in range(0, KEYS, 1000):
        client.pipeline([(b"SET", b"key:%012d" % n, b"value:%d" % n) for n in range(at, at + 1000)])
    return client


def small_keys(name, running, options):
    """What a million SETs add to the memory, and what they are on disk after a stop; in Redis its RDB."""
    memory, disk = {}, {}
    for server_name in ("redis", "heliosdb"):
        server = running.anew(server_name)
        time.sleep(1)
        before = process.resident_bytes(server.pid())
        client = fill(server)
        time.sleep(3)
        memory[server_name] = (process.resident_bytes(server.pid()) - before) / KEYS
        if server_name == "redis":
            client.ask(b"SAVE")
            disk[server_name] = (server.directory / "dump.rdb").stat().st_size / KEYS
        else:
            server.stop()
            disk[server_name] = process.disk_bytes(server.directory / "data") / KEYS
    return [
        Result(f"{name}: memory of a key", "bytes", [memory["heliosdb"]], "redis", [memory["redis"]], target=at_most(1.5)),
        Result(f"{name}: disk of a key", "bytes", [disk["heliosdb"]], "RDB", [disk["redis"]], target=at_most(1.0)),
    ]


ALL = {"memory-idle": idle, "memory-connections": connections, "memory-keys": small_keys}
