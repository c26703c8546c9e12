"""Clients that close their connection while their statement runs: the statement ends with them."""

import json
import os
import socket
import struct
import time
import unittest

import bson
import pymongo

from support import URI, psql

# How long a statement may go on; each of them would take minutes.
PATIENCE = 15
COMPUTES = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
WAITS = "SELECT pg_sleep(600)"


def active(marker):
    """Statements of others that run and have this in their text."""
    rows = psql(f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
                f"AND query LIKE '%{marker}%'")
    return int(rows[0][0])


class Vanished(unittest.TestCase):
    def until(self, count, marker):
        deadline = time.monotonic() + PATIENCE
        while active(marker) != count:
            self.assertLess(time.monotonic(), deadline, f"{active(marker)} statements with {marker} run, not {count}")
            time.sleep(0.1)

    def goes(self, marker, address, message):
        """Sends a request on a connection of its own and closes that when the request runs."""
        client = socket.create_connection(address)
        client.sendall(message)
        self.until(1, marker)
        client.close()
        self.until(0, marker)

    def test_postgres(self):
        address = ("127.0.0.1", int(os.environ["PGPORT"]))
        parameters = b"user\0helios\0database\0heliosdb\0\0"
        startup = struct.pack(">II", 8 + len(parameters), 196608) + parameters
        for sql in (COMPUTES, WAITS):
            text = sql.encode() + b" -- vanishes\0"
            self.goes(sql.split("(")[-1][:8], address, startup + b"Q" + struct.pack(">I", 4 + len(text)) + text)

    def test_rest(self):
        address = ("127.0.0.1", int(os.environ["HELIOS_HTTP_PORT"]))
        for sql in (COMPUTES, WAITS):
            body = json.dumps({"sql": sql, "timeout_ms": 600000}).encode()
            head = f"POST /api/v1/query HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self.goes(sql.split("(")[-1][:8], address, head.encode() + body)

    def test_mongodb(self):
        with pymongo.MongoClient(URI) as client:
            client.drop_database("vanished")
            client.vanished.c.insert_many([{"n": n} for n in range(4000)])
        inner = [{"$match": {"$expr": {"$eq": ["$n", "$$v"]}}}]
        lookups = [{"$lookup": {"from": "c", "let": {"v": f"${field}"}, "pipeline": inner, "as": field}}
                   for field in ("a", "b", "d", "e")]
        command = {"aggregate": "c", "pipeline": [{"$set": {f: {"$add": ["$n", 0.5]} for f in "abde"}}, *lookups],
                   "cursor": {"batchSize": 10**6}, "$db": "vanished"}
        body = struct.pack("<iB", 0, 0) + bson.encode(command)
        host, port = URI.removeprefix("mongodb://").split(":")
        self.goes("bson_bind", (host, int(port)), struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)


if __name__ == "__main__":
    unittest.main()
