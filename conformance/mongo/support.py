"""What the PyMongo tests share: the server under test, and a database of a test's own."""

import os
import socket
import struct
import subprocess
import unittest

import bson
import pymongo
from pymongo.errors import OperationFailure

URI = os.environ["MONGODB_URI"]


def psql(sql, *, database="heliosdb", check=True):
    """Runs SQL in psql; its rows as lists of texts, NULL as None."""
    command = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=|",
               "--set=ON_ERROR_STOP=1", "--pset=null=NULL", "--command", sql]
    settings = {**os.environ, "PGHOST": "127.0.0.1", "PGDATABASE": database, "PGOPTIONS": ""}
    settings.setdefault("PGUSER", "helios")
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"psql: {done.stderr}\n{sql}")
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [[None if cell == "NULL" else cell for cell in row] for row in rows]


class Wire:
    """A connection of its own that sends commands as they stand: drivers add and check fields."""

    def __init__(self):
        host, port = URI.removeprefix("mongodb://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.number = 0

    def send(self, payload):
        self.number += 1
        self.socket.sendall(struct.pack("<iiii", 16 + len(payload), self.number, 0, 2013) + payload)
        return self.receive()

    def receive(self):
        header = self.read(16)
        length, _, answers, op_code = struct.unpack("<iiii", header)
        assert (answers, op_code) == (self.number, 2013), (answers, op_code)
        body = self.read(length - 16)
        assert body[4] == 0
        return bson.decode(body[5:])

    def read(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            assert part, "the server closed the connection"
            data += part
        return data

    def command(self, **fields):
        """Runs a command; its reply, errors included."""
        return self.send(struct.pack("<iB", 0, 0) + bson.encode(fields))

    def close(self):
        self.socket.close()


class MongoTest(unittest.TestCase):
    """Each test has a database of its own, named after it."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.client = pymongo.MongoClient(URI, serverSelectionTimeoutMS=10_000)
        cls.client.admin.command("ping")

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def setUp(self):
        self.name = self._testMethodName.removeprefix("test_")[:50].rstrip("_")
        self.client.drop_database(self.name)
        self.db = self.client[self.name]
        self.c = self.db.c

    def tearDown(self):
        self.client.drop_database(self.name)

    def fails(self, code, run, *args, **kwargs):
        """Runs a call that the server must refuse with this number; the error."""
        with self.assertRaises(OperationFailure) as caught:
            run(*args, **kwargs)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def ids(self, cursor):
        return [document["_id"] for document in cursor]
