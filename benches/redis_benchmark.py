"""redis-benchmark with 50 connections, one command at a time and sixteen."""

import csv
import socket

from report import at_least
from rounds import Failed, Paired, tool


def expect(replies, count):
    for _ in range(count):
        line = replies.readline()
        if line != b"+OK\r\n":
            raise Failed(f"the server answered {line!r}")


class RedisBenchmark(Paired):
    peer = "redis"
    target = at_least(1.0)

    def __init__(self, test, pipeline):
        self.test, self.pipeline = test, pipeline
        self.requests = {}

    def prepare(self, server, options):
        self.empty(server, options)
        self.ready(server, options)
        # How many requests take the time: the tool counts requests, not seconds.
        rate, _ = self.bench(server, options, self.test, 50_000 * (4 if self.pipeline > 1 else 1))
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

    def ready(self, server, options):
        """RPOP takes from a list that lasts."""
        if self.test == "rpop":
            self.bench(server, options, "lpush", self.requests.get(server.name, 200_000), 16)

    def bench(self, server, options, test, requests, pipeline=None):
        spread = ["-r", str(options.keys)] if options.keys else []
        load = ["-c", "50", "-P", str(pipeline or self.pipeline), "-n", str(requests), *spread]
        port = str(server.ports["redis"])
        text = tool(["redis-benchmark", "-p", port, "-t", test, *load, "--csv"], options.seconds + 30)
        lines = list(csv.DictReader(text.splitlines()))
        if len(lines) != 1 or "rps" not in lines[0]:
            raise Failed(f"redis-benchmark: {text.strip()[-400:]}")
        return float(lines[0]["rps"]), requests

    def run(self, server, options):
        return self.bench(server, options, self.test, self.requests[server.name])


TESTS = {"PING": "ping_mbulk"} | {t: t.lower() for t in ("GET", "SET", "INCR", "LPUSH", "RPOP", "SADD", "HSET", "ZADD", "MSET")}
ALL = {
    f"redis-{name}{'-P16' if pipeline > 1 else ''}": RedisBenchmark(test, pipeline)
    for pipeline in (1, 16)
    for name, test in TESTS.items()
}
