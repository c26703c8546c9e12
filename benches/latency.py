"""Whether a command stays as fast when one key is used for long: p99 of the last minute against the
first (of a quarter each where the run is shorter than four minutes)."""

import array
import multiprocessing
import sys
import time

import wire
from report import Result, at_most
from rounds import Failed

CLIENTS = 4
# Operations between two removals from the sorted set.
PAGE = 10


def list_ends(client, number, n):
    """A queue of some thousands of elements."""
    if n % 10_000 < 5_000:
        client.ask(b"LPUSH", b"queue", b"element %d" % n)
    else:
        client.ask(b"RPOP", b"queue")


def ranks(client, number, n):
    """A sorted set that is filled with rising scores and emptied from its lowest ranks."""
    if n % PAGE == PAGE - 1 and n > 10_000:
        client.ask(b"ZREMRANGEBYRANK", b"ranks", b"0", b"%d" % (PAGE - 2))
    else:
        client.ask(b"ZADD", b"ranks", b"%d" % n, b"member %d of %d" % (n, number))


def work(port, operation, number, count, pipe):
    try:
        client = wire.Redis(port)
        times, ends = array.array("d"), array.array("d")
        begin = time.monotonic()
        for n in range(count):
            operation(client, number, n)
            end = time.monotonic()
            times.append(end - begin)
            ends.append(end)
            begin = end
        pipe.send((times, ends))
    except Exception as error:  # Whatever it is, it is the benchmark's failure and not the process'.
        pipe.send(f"{type(error).__name__}: {error}"[:400])


def p99(times):
    return sorted(times)[len(times) * 99 // 100] * 1e6


class Flat:
    def __init__(self, operation):
        self.operation = operation

    def run(self, server, count):
        wire.Redis(server.ports["redis"]).ask(b"FLUSHALL")
        started = []
        for number in range(CLIENTS):
            here, there = multiprocessing.Pipe(duplex=False)
            arguments = (server.ports["redis"], self.operation, number, count // CLIENTS, there)
            multiprocessing.Process(target=work, args=arguments, daemon=True).start()
            started.append(here)
        all_of_them = []
        for pipe in started:
            got = pipe.recv()
            if isinstance(got, str):
                raise Failed(got)
            all_of_them.extend(zip(got[1], got[0]))
        begin, end = min(all_of_them)[0], max(all_of_them)[0]
        part = min(60, (end - begin) / 4)
        first = p99([took for at, took in all_of_them if at < begin + part])
        last = p99([took for at, took in all_of_them if at > end - part])
        return first, last, count / (end - begin)

    def measure(self, name, running, options):
        out = []
        for peer in ("redis", "heliosdb"):
            first, last, rate = self.run(running.get(peer), options.operations)
            print(f"  {name} {peer}: {rate:,.0f}/s, p99 {first:.0f} µs at first, {last:.0f} µs at last", file=sys.stderr)
            target = at_most(2.0) if peer == "heliosdb" else None
            label = f"{name}: p99 of the end / of the beginning{'' if target else ' (Redis itself)'}"
            out.insert(0, Result(label, "µs", [last], "at first", [first], target=target))
        return out


ALL = {"flat-list": Flat(list_ends), "flat-sorted-set": Flat(ranks)}
