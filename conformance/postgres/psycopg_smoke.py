"""psycopg 3 against HeliosDB; the connection is in the environment (PGHOST, PGPORT, ...)."""

import datetime as dt
import uuid
from decimal import Decimal

import psycopg

VALUES = {
    "bool": True,
    "int2": -32768,
    "int4": 2147483647,
    "int8": -9223372036854775808,
    "float4": 1.5,
    "float8": -0.1,
    "numeric": Decimal("12345678901234567890.123456789"),
    "text": "gr\u00fc\u00dfe \U0001f600",
    "varchar": "",
    "bytea": b"\x00\xff\\",
    "date": dt.date(1999, 12, 31),
    "time": dt.time(23, 59, 59, 999999),
    "timestamp": dt.datetime(2024, 2, 29, 1, 2, 3, 456789),
    "timestamptz": dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.timezone.utc),
    "interval": dt.timedelta(days=3, seconds=4, microseconds=5),
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "int4[]": [1, None, 3],
    "text[]": ["a", "b,c", 'd"e', None],
}


def check(condition, message):
    if not condition:
        raise SystemExit(message)


with psycopg.connect(autocommit=True) as connection:
    check(connection.info.server_version >= 150000, "server version")
    for type_name, value in VALUES.items():
        for binary in (False, True):
            with connection.cursor(binary=binary) as cursor:
                placeholder = "%b" if binary else "%t"
                row = cursor.execute(f"SELECT {placeholder}::{type_name}", (value,)).fetchone()
                check(row[0] == value, f"{type_name} binary={binary}: {row[0]!r} is not {value!r}")

    connection.execute("DROP TABLE IF EXISTS psycopg_smoke")
    connection.execute("CREATE TABLE psycopg_smoke (id int PRIMARY KEY, name text, at date)")
    with connection.cursor().copy("COPY psycopg_smoke FROM STDIN") as copy:
        for number in range(1000):
            copy.write_row((number, f"name {number}", dt.date(2024, 1, 1)))
    with connection.cursor() as cursor:
        check(cursor.execute("SELECT count(*) FROM psycopg_smoke").fetchone() == (1000,), "COPY in")
        with cursor.copy("COPY (SELECT id FROM psycopg_smoke ORDER BY id) TO STDOUT") as copy:
            check([int(row[0]) for row in copy.rows()] == list(range(1000)), "COPY out")

    try:
        with connection.transaction():
            connection.execute("INSERT INTO psycopg_smoke VALUES (5000, 'x', NULL)")
            connection.execute("INSERT INTO psycopg_smoke VALUES (1, 'again', NULL)")
        raise SystemExit("a duplicate key was taken")
    except psycopg.errors.UniqueViolation as error:
        check(error.diag.constraint_name == "psycopg_smoke_pkey", "constraint name")
        check(error.diag.table_name == "psycopg_smoke", "table name")
    count = connection.execute("SELECT count(*) FROM psycopg_smoke").fetchone()
    check(count == (1000,), "the transaction was not rolled back")

    with connection.transaction():
        with connection.cursor(name="portal") as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT id FROM psycopg_smoke ORDER BY id")
            check([row[0] for row in cursor] == list(range(1000)), "server-side cursor")
    with connection.pipeline():
        first = connection.execute("SELECT 1")
        second = connection.execute("SELECT 2")
    check((first.fetchone(), second.fetchone()) == ((1,), (2,)), "pipeline")
    connection.execute("DROP TABLE psycopg_smoke")
