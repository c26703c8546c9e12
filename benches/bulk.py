"""COPY in and CREATE INDEX on a table of a million rows."""

import time

from pgbench import psql
from report import at_least
from rounds import Paired

TABLE = "CREATE TABLE bulk (id int PRIMARY KEY, name text NOT NULL, amount numeric(12, 2) NOT NULL, number int NOT NULL)"


def rows_file(options):
    """The rows as COPY reads them, made once."""
    path = options.directory / f"rows-{options.rows}"
    if not path.exists():
        with open(path, "w", encoding="ascii") as file:
            for n in range(1, options.rows + 1):
                file.write(f"{n}\tname of row {n}\t{n % 10000}.99\t{n * 7919 % options.rows}\n")
        path.chmod(0o644)
    return path


def copy_in(server, options):
    psql(server, "-c", "DROP TABLE IF EXISTS bulk", "-c", TABLE)
    begin = time.monotonic()
    psql(server, "-c", f"\\copy bulk FROM '{rows_file(options)}'", seconds=120)
    return time.monotonic() - begin


class Copy(Paired):
    """Into an empty table."""

    peer = "postgresql"
    unit = "rows/s"
    target = at_least(2.0)

    def run(self, server, options):
        return options.rows / copy_in(server, options), options.rows


class CreateIndex(Paired):
    peer = "postgresql"
    unit = "rows/s"
    target = at_least(1.0)

    def prepare(self, server, options):
        copy_in(server, options)

    def ready(self, server, options):
        psql(server, "-c", "DROP INDEX IF EXISTS bulk_number")

    def run(self, server, options):
        begin = time.monotonic()
        psql(server, "-c", "CREATE INDEX bulk_number ON bulk (number)", seconds=120)
        return options.rows / (time.monotonic() - begin), options.rows


ALL = {"copy-in": Copy(), "create-index": CreateIndex()}
