"""Throughput against the number of clients and of rows; no targets."""

from pgbench import SCRIPTS, pgbench, psql
from report import Result
from rounds import Failed, Paired

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)

TABLE = """
DROP TABLE IF EXISTS points;
CREATE TABLE points (id int PRIMARY KEY, payload text NOT NULL);
"""
FILL = "INSERT INTO points SELECT i, 'payload of a few dozen characters ' || i FROM generate_series({}, {}) AS g(i)"
PART = 250_000


class Curve(Paired):
    peer = "postgresql"
    unit = "tps"

    def __init__(self, rows, clients):
        self.rows, self.clients = rows, clients

    def prepare(self, server, options):
        psql(server, "-c", TABLE)
        for first in range(1, self.rows + 1, PART):
            psql(server, "-c", FILL.format(first, min(first + PART - 1, self.rows)), seconds=120)
        psql(server, "-c", "ANALYZE points")
        self.run(server, options)

    def run(self, server, options):
        script = ("-D", f"rows={self.rows}", "-f", str(SCRIPTS / "point.sql"))
        return pgbench(server, "prepared", self.clients, options.seconds, *script)


def points(name, variants, running, options):
    """One that fails does not hide the others."""
    out = []
    for label, curve in variants:
        try:
            out += curve.measure(f"{name}: {label}", running, options)
        except Failed as failure:
            out.append(Result(f"{name}: {label}", curve.unit, error=str(failure)))
    return out


def clients(name, running, options):
    variants = [(f"{n} clients", Curve(100_000, n)) for n in CLIENTS]
    return points(name, variants, running, options)


def rows(name, running, options):
    variants = [(f"{n} rows", Curve(n, 8)) for n in ROWS if n <= options.rows_max]
    return points(name, variants, running, options)


ALL = {"curve-clients": clients, "curve-rows": rows}
