"""pgbench's own scripts and those in scripts/, at 1, 8 and 32 clients."""

import os
import pathlib
import re

from report import at_least
from rounds import Failed, Paired, tool

SCRIPTS = pathlib.Path(__file__).parent / "scripts"


def connection(server):
    return ["-h", "127.0.0.1", "-p", str(server.ports["pg"]), "-U", server.user, server.database]


def psql(server, *arguments, seconds=60):
    return tool(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments, *connection(server)], seconds)


def pgbench(server, mode, clients, seconds, *arguments):
    """Transactions per second, and how many."""
    threads = min(clients, os.cpu_count())
    load = ["-M", mode, "-c", str(clients), "-j", str(threads), "-T", str(max(1, round(seconds)))]
    text = tool(["pgbench", "-n", *load, *arguments, *connection(server)], seconds)
    done = re.search(r"transactions actually processed: (\d+)", text)
    failed = re.search(r"number of failed transactions: (\d+)", text)
    rate = re.search(r"^tps = ([\d.]+)", text, re.M)
    if not done or not rate or int(done[1]) == 0 or failed and int(failed[1]):
        raise Failed(f"pgbench: {text.strip()[-400:]}")
    return float(rate[1]), int(done[1])


class Pgbench(Paired):
    peer = "postgresql"
    unit = "tps"
    prepared = set()

    def __init__(self, mode, clients, target, *script):
        self.mode, self.clients, self.script = mode, clients, script
        self.target = at_least(target)

    def set_up(self, server, options):
        tool(["pgbench", "-i", "-q", "-s", str(options.scale), *connection(server)], 60)

    def prepare(self, server, options):
        made = (server, type(self))
        if made not in self.prepared:
            self.set_up(server, options)
            self.prepared.add(made)
        pgbench(server, self.mode, self.clients, 1, *self.script)

    def run(self, server, options):
        return pgbench(server, self.mode, self.clients, options.seconds, *self.script)


class Script(Pgbench):
    def set_up(self, server, options):
        psql(server, "-f", str(SCRIPTS / "schema.sql"))

    def __init__(self, clients, name):
        super().__init__("prepared", clients, 1.2, "-f", str(SCRIPTS / f"{name}.sql"))


CLIENTS = (1, 8, 32)
ALL = {}
for clients in CLIENTS:
    for mode in ("prepared", "simple"):
        ALL[f"pgbench-S-{mode}-{clients}"] = Pgbench(mode, clients, 1.5, "-S")
        for name, script in (("tpcb", ()), ("N", ("-N",))):
            ALL[f"pgbench-{name}-{mode}-{clients}"] = Pgbench(mode, clients, 1.0 if clients == 1 else 1.5, *script)
    for name in ("index_lookup", "range_100", "insert", "insert_100", "upsert", "join"):
        ALL[f"sql-{name}-{clients}"] = Script(clients, name)
