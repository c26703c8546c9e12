"""One row by its key through MongoDB, REST and gRPC: processor time of the daemon for each operation,
against the same work over SQL (prepared statements) on the same daemon, with the same durability."""

import itertools

import wire
from pgbench import psql
from report import at_most
from rounds import Paired
from workers import together

ROWS = 10_000
CLIENTS = 8
# New keys for every run.
BEGIN = itertools.count(ROWS + 1, 10_000_000)

TABLE = """
DROP TABLE IF EXISTS points;
CREATE TABLE points (id int PRIMARY KEY, name text NOT NULL, n int NOT NULL);
INSERT INTO points SELECT i, 'payload of row ' || i, i FROM generate_series(1, 10000) AS g(i);
"""


def key(number):
    return 1 + number * 7919 % ROWS


def find(number):
    return {"find": "points", "filter": {"_id": key(number)}, "limit": 1, "singleBatch": True}


def insert(begin):
    return lambda number: {"insert": "made", "documents": [{"_id": begin + number, "name": "payload", "n": number}], "writeConcern": {"w": 1, "j": True}}


def update(number):
    change = {"q": {"_id": key(number)}, "u": {"$set": {"n": number % 1000}}}
    return {"update": "points", "updates": [change], "writeConcern": {"w": 1, "j": True}}


class KeyedSql(wire.Sql):
    def one(self, number):
        super().one(key(number))


class KeyedGrpc(wire.Grpc):
    def one(self, number):
        super().one(key(number))


class Point(Paired):
    peer = "heliosdb"

    def __init__(self, limit, other, statement, key_of_row=True):
        self.target = at_most(limit, "CPU ratio")
        self.other, self.statement, self.key_of_row = other, statement, key_of_row

    def prepare(self, server, options):
        psql(server, "-c", TABLE, "-c", "DROP TABLE IF EXISTS made", "-c", "CREATE TABLE made (id int PRIMARY KEY, name text NOT NULL, n int NOT NULL)")
        mongo = wire.Mongo(server.ports["mongo"], lambda command: command, b"")
        for collection in ("points", "made"):
            mongo.command = lambda _: {"delete": collection, "deletes": [{"q": {}, "limit": 0}]}
            mongo.one(0)
        mongo.command = lambda at: {"insert": "points", "documents": [{"_id": n, "name": f"payload of row {n}", "n": n} for n in range(at, at + 1000)]}
        for at in range(1, ROWS, 1000):
            mongo.one(at)

    def sql(self, server):
        begin = next(BEGIN)
        if self.key_of_row:
            return lambda: KeyedSql(server.ports["pg"], self.statement)
        return lambda: wire.Sql(server.ports["pg"], self.statement.replace("$1", f"$1 + {begin}"))

    def measure(self, name, running, options):
        self.turn = itertools.cycle((self.sql, self.other))
        [result] = super().measure(name, running, options)
        result.peer = "SQL"
        return [result]

    def run(self, server, options):
        done = together(next(self.turn)(server), CLIENTS, options.seconds)
        return done / options.seconds, done


def mongo(command, expected):
    return lambda server: lambda: wire.Mongo(server.ports["mongo"], command, expected)


def mongo_insert(server):
    command = insert(next(BEGIN))
    return lambda: wire.Mongo(server.ports["mongo"], command, b"\x10n\0\1\0\0\0")


SELECT = "SELECT id, name, n FROM points WHERE id = $1"
ALL = {
    "mongo-find": Point(1.2, mongo(find, b"payload"), SELECT),
    "mongo-insert": Point(1.2, mongo_insert, "INSERT INTO made VALUES ($1, 'payload', 1)", key_of_row=False),
    "mongo-update": Point(1.2, mongo(update, b"\x10n\0\1\0\0\0"), "UPDATE points SET n = (n + 1) % 1000 WHERE id = $1"),
    "rest-row": Point(2.0, lambda s: lambda: wire.Http(s.ports["http"], lambda n: ("GET", f"/api/v1/tables/points/rows/{key(n)}", "")), SELECT),
    "rest-query": Point(2.0, lambda s: lambda: wire.Http(s.ports["http"], lambda n: ("POST", "/api/v1/query", f'{{"sql": "{SELECT}", "params": [{key(n)}]}}')), SELECT),
    "grpc-query": Point(2.0, lambda s: lambda: KeyedGrpc(s.ports["grpc"], SELECT), SELECT),
}
