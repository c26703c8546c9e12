"""The benchmarks: how each is prepared and run, and how its load generator's report is read."""

import csv
import os
import re
import socket
import subprocess
from dataclasses import dataclass


class Failed(Exception):
    """The load generator did not do what it was told."""


@dataclass
class Result:
    rate: float
    operations: int


def tool(command, seconds):
    """Runs a load generator, which has ten times the intended time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 10 * seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


class Pgbench:
    """pgbench's built-in scripts."""

    peer = "postgresql"
    initialised = set()

    def __init__(self, mode, clients, *script):
        self.mode, self.clients, self.script = mode, clients, script

    def connection(self, server):
        return ["-h", "127.0.0.1", "-p", str(server.ports["pg"]), "-U", server.user, server.database]

    def prepare(self, server, options):
        if server.name not in self.initialised:
            tool(["pgbench", "-i", "-q", "-s", str(options.scale), *self.connection(server)], 60)
            self.initialised.add(server.name)
        self.bench(server, 1)

    def bench(self, server, seconds):
        threads = min(self.clients, os.cpu_count())
        load = ["-M", self.mode, "-c", str(self.clients), "-j", str(threads), "-T", str(max(1, round(seconds)))]
        return tool(["pgbench", "-n", *load, *self.script, *self.connection(server)], seconds)

    def run(self, server, options):
        text = self.bench(server, options.seconds)
        done = re.search(r"transactions actually processed: (\d+)", text)
        failed = re.search(r"number of failed transactions: (\d+)", text)
        rate = re.search(r"^tps = ([\d.]+)", text, re.M)
        if not done or not rate or int(done[1]) == 0 or failed and int(failed[1]):
            raise Failed(f"pgbench: {text.strip()[-400:]}")
        return Result(float(rate[1]), int(done[1]))


class RedisBenchmark:
    """One test of redis-benchmark with its default 50 connections."""

    peer = "redis"

    def __init__(self, test, pipeline):
        self.test, self.pipeline = test, pipeline
        self.requests = {}

    def prepare(self, server, options):
        self.empty(server, options)
        # How many requests take the time: the tool counts requests, not seconds.
        rate = self.bench(server, options, 50_000 * (4 if self.pipeline > 1 else 1)).rate
        self.requests[server.name] = max(10_000, int(rate * options.seconds))

    def empty(self, server, options):
        """An empty server; for GET one that has every key that will be asked for."""
        with socket.create_connection(("127.0.0.1", server.ports["redis"])) as stream:
            replies = stream.makefile("rb")
            stream.sendall(b"FLUSHALL\r\n")
            expect(replies, 1)
            if self.test != "get":
                return
            names = [b"key:%012d" % n for n in range(options.keys)] or [b"key:__rand_int__"]
            for at in range(0, len(names), 1000):
                part = names[at : at + 1000]
                stream.sendall(b"".join(b"SET %s xxx\r\n" % name for name in part))
                expect(replies, len(part))

    def bench(self, server, options, requests):
        spread = ["-r", str(options.keys)] if options.keys else []
        load = ["-c", "50", "-P", str(self.pipeline), "-n", str(requests), *spread]
        port = str(server.ports["redis"])
        text = tool(["redis-benchmark", "-p", port, "-t", self.test, *load, "--csv"], options.seconds + 30)
        lines = list(csv.DictReader(text.splitlines()))
        if len(lines) != 1 or "rps" not in lines[0]:
            raise Failed(f"redis-benchmark: {text.strip()[-400:]}")
        return Result(float(lines[0]["rps"]), requests)

    def run(self, server, options):
        return self.bench(server, options, self.requests[server.name])


def expect(replies, count):
    for _ in range(count):
        line = replies.readline()
        if line != b"+OK\r\n":
            raise Failed(f"the server answered {line!r}")


ALL = {
    "pgbench-S": Pgbench("prepared", 8, "-S"),
    "pgbench-S-1": Pgbench("prepared", 1, "-S"),
    "pgbench-S-simple": Pgbench("simple", 8, "-S"),
    "pgbench-S-extended": Pgbench("extended", 8, "-S"),
    "pgbench-tpcb": Pgbench("prepared", 8),
    "pgbench-N": Pgbench("prepared", 8, "-N"),
}
for pipeline, suffix in ((1, ""), (16, "-P16")):
    for test in ("GET", "SET", "INCR", "LPUSH", "HSET", "SADD", "ZADD"):
        ALL[f"redis-{test}{suffix}"] = RedisBenchmark(test.lower(), pipeline)
