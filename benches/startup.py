"""Start to first answer, and memory of a server that does nothing."""

import statistics
import time

import process
from report import Figure

STARTS = 5
NAMES = ("heliosdb", "postgresql", "redis")


def start_time(running):
    """From the creation of the process to the answer of its first query, on data that is there
    already; the median of five. What is asked: SELECT 1, of Redis PING."""
    out = []
    for name in NAMES:
        server = running.get(name)
        server.stop()
        times = []
        for _ in range(STARTS):
            begin = time.monotonic()
            server.start()
            times.append(time.monotonic() - begin)
            server.stop()
        out.append(Figure("start to first query, ms", name, statistics.median(times) * 1e3, min(times) * 1e3, max(times) * 1e3))
    return out


def idle_memory(running):
    """A second after the first answer."""
    out = []
    for name in NAMES:
        server = running.get(name)
        time.sleep(1)
        used = process.resident_bytes(server.pid()) / 1e6
        server.stop()
        out.append(Figure("idle memory, MB", name, used, used, used))
    return out


ALL = {"start": start_time, "memory": idle_memory}
