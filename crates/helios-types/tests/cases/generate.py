#!/usr/bin/env python3
"""Asks a real PostgreSQL 15 for the expected results of the cases in this folder.

    generate.py "host=/tmp/types port=25415 user=postgres dbname=postgres"

Each output line is tab-separated: the operation or type, its inputs, the result as text or
`ERROR <sqlstate> <message>`. Backslash, tab and newline are escaped with a backslash.
"""
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TRY = """
create or replace function pg_temp.try(q text) returns text language plpgsql as $$
declare r text;
begin
  execute 'select (' || q || ')::text' into r;
  return coalesce(r, 'NULL');
exception when others then return 'ERROR ' || sqlstate || ' ' || sqlerrm;
end $$;
"""


def quote(s):
    return "'" + s.replace("'", "''") + "'"


def escape(s):
    return s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def ask(expressions, settings=()):
    script = "\n".join(["set client_min_messages = error;", "set timezone = 'UTC';", *settings, TRY])
    script += "\n" + "\n".join(
        f"select encode(convert_to(pg_temp.try({quote(e)}), 'UTF8'), 'hex');" for e in expressions
    )
    out = subprocess.run(
        ["psql", sys.argv[1], "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"],
        input=script, capture_output=True, text=True, check=True,
    ).stdout.splitlines()
    assert len(out) == len(expressions), (len(out), len(expressions))
    return [bytes.fromhex(line).decode() for line in out]


def write(name, rows, settings=()):
    results = ask([expression for _, expression in rows], settings)
    with open(HERE / name, "w") as f:
        for (cells, _), result in zip(rows, results):
            f.write("\t".join(escape(c) for c in [*cells, result]) + "\n")


def numeric():
    values = """0 1 -1 2 -2.5 0.1 1.10 0.9 10 7 3.14159 99999999999999999999 1e-20
        0.00001234 123456789.987654321 9223372036854775807 -9223372036854775808 NaN Infinity
        -Infinity 12345678901234567890123456789.123456789 100.000""".split()
    binary = {"add": "a + b", "sub": "a - b", "mul": "a * b", "div": "a / b", "rem": "a % b",
              "div_trunc": "div(a, b)", "power": "power(a, b)", "log": "log(b, a)",
              "lt": "a < b", "eq": "a = b"}
    rows = []
    for op, template in binary.items():
        for a in values:
            for b in values:
                if op in ("power", "log") and (len(a) > 12 and len(b) > 12):
                    continue
                expression = template.replace("a", "\x00").replace("b", "\x01")
                if op in ("power", "log", "div_trunc"):
                    expression = {"power": "power(\x00, \x01)", "log": "log(\x01, \x00)",
                                  "div_trunc": "div(\x00, \x01)"}[op]
                expression = expression.replace("\x00", f"'{a}'::numeric").replace("\x01", f"'{b}'::numeric")
                rows.append(([op, a, b], expression))
    more = values + """0.5 1.5 2.5 -0.5 -1.5 1e3 12.345 -12.345 0.05 1000000.000001 5999 -5999 1.000000001
        0.000000000000000000000000000001 2e300 144 2.25 6.0000 100.5 0.00 1e10 20 -3.7""".split()
    for op in ("sqrt", "exp", "ln", "abs", "ceil", "floor", "sign", "trim_scale", "min_scale", "scale",
               "int2", "int4", "int8", "float8", "float4", "-"):
        for a in more:
            rows.append(([op, a, ""], f"{op}('{a}'::numeric)" if op != "-" else f"-('{a}'::numeric)"))
    for op in ("round", "trunc"):
        for a in more:
            for s in (-3, -1, 0, 1, 2, 5, 25):
                rows.append(([op, a, str(s)], f"{op}('{a}'::numeric, {s})"))
    for a in more:
        for p, s in ((5, 2), (3, 0), (2, -2), (2, 4), (30, 10)):
            rows.append((["modifier", a, f"{p},{s}"], f"'{a}'::numeric::numeric({p},{s})"))
    for a in "1e20 0.1 123456789.123456789 1e-7 -0 5e-324 1.7976931348623157e308 NaN Infinity -Infinity 33.333333333333336 1e15 4503599627370497.5".split():
        rows.append((["from_f64", a, ""], f"'{a}'::float8::numeric"))
    for a in "1e20 0.1 123456.7 1e-7 -0 NaN Infinity 33.333332 16777216".split():
        rows.append((["from_f32", a, ""], f"'{a}'::float4::numeric"))
    write("numeric.tsv", rows)


INPUTS = {
    "numeric": ["", " ", "1", " 1.50 ", "+1", "-1", "--1", "1.", ".5", ".", "1e3", "1E-3", "1e", "1e+", "1e1000000000", "1e-1000000000",
                "1e131071", "1e131072", "0e131072", "1e-16383", "1e-16384", "0x10", "1_000", "nan", "-nan", "inf", "-inf", "+infinity", "infinit", "1 2",
                "000123.4500", "-0", "-0.00", "1.5e2", "12345678901234567890.12345678901234567890"],
    "int4": ["", "1", " 12 ", "+5", "-5", "2147483647", "2147483648", "-2147483648", "-2147483649", "1.0", "abc", "1a", "99999999999999999999999", "\t7\n", "- 1"],
    "int2": ["32767", "32768", "-32768", "-32769", "x"],
    "int8": ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "z", "0001"],
    "oid": ["0", "4294967295", "4294967296", "-1", "x"],
    "float8": ["", "1", "1.5", " 2.50 ", "1e20", "1e15", "1e14", "123456789012345678", "1e-5", "0.0001", "1e400", "-1e400", "1e-400", "nan", "NaN", "inf", "-inf", "Infinity", "+Infinity", "infinit", "abc", "1e", "0.1", "1.7976931348623157e308", "5e-324", "-0", ".5", "5.", "100000", "1234567.891", "1e22", "9007199254740993"],
    "float4": ["1e6", "1234567", "12345678", "0.1", "1e-7", "1e40", "1e-50", "16777217", "123456", "3.4028235e38", "abc", "-0"],
    "bool": ["t", "true", "TRUE", "tru", "yes", "y", "on", "o", "off", "of", "f", "no", "n", "0", "1", "2", "", " true ", "ye", "truex"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a-0eebc99-9c0b4ef8-bb6d6bb9-bd380a11"],
    "bytea": ["", "\\x", "\\xDEADbeef", "\\xDE AD", "\\x1", "\\xzz", "abc", "a\\\\b", "a\\000b", "a\\b", "\\377"],
    "date": ["1999-01-08", "January 8, 1999", "Jan 8, 1999", "8 Jan 1999", "1/8/1999", "1/18/1999", "13/1/1999", "18/1/1999", "01/02/03", "1999-Jan-08", "Jan-08-1999", "08-Jan-1999", "99-Jan-08", "08-Jan-99", "Jan-08-99", "19990108", "990108", "1999.008", "J2451187", "January 8, 99 BC", "0044-03-15 BC", "infinity", "-infinity", "epoch", "2024-02-30", "2023-02-29", "2024-02-29", "10000-01-01", "5874897-12-31", "5874898-01-01", "4714-11-24 BC", "4714-11-23 BC", "0000-01-01", "", "abc", "1999-13-01", "2024-1-5", "2024-01-08 04:05:06", "Mon Jan 8 1999", "2024-01-08T10:00:00Z", "8-1-1999", "1.8.1999", "1999 Jan 08", "12345678", "2024-12", "Jan 1999", "2024-001", "2024366", "1999-01-08 BC"],
    "time": ["04:05:06.789", "04:05:06", "04:05", "040506", "0405", "04:05 AM", "04:05 PM", "12:00 AM", "12:30 PM", "13:00 PM", "24:00:00", "24:00:01", "25:00", "04:60", "04:05:60", "04:05:61", "04:05:06.123456789", "2003-04-12 04:05:06", "allballs", "abc", "", "04:05:06-08:00", "04:05:06 PST", "23:59:60", "040506.789", "1:2:3", "4"],
    "timestamp": ["1999-01-08 04:05:06", "1999-01-08 04:05:06.789", "1999-01-08T04:05:06", "1999-01-08 04:05:06 -8:00", "January 8 04:05:06 1999 PST", "Jan 8 1999 4:05 PM", "19990108T040506", "19990108 040506", "19990108T040506.5", "2024-01-01", "epoch", "infinity", "-infinity", "2024-02-30 00:00:00", "2024-01-01 24:00:00", "2024-01-01 25:00:00", "99999-12-31 23:59:59", "294246-12-31 23:59:59", "300000-01-01", "4714-11-24 00:00:00 BC", "4714-11-23 23:59:59 BC", "2024-01-01 12:00:00.1234567", "abc", "", "2024-01-01 12", "2024-01-01 12:00 foo", "2024-01-01 04:05:06 America/New_York", "1/2/2024 3:04", "Sat Mar 02 12:00:00 2024", "2024-03-02 12:00:00 UTC", "2024-03-02 12:00:00+00", "Wed Jul 17 07:37:16 2024", "2024-01-01 00:00:00 BC", "2024-06-15t10:11:12z", "20240615", "2024-06-15 10:11:12.", "2024-06-15, 10:11"],
    "timestamptz": ["1999-01-08 04:05:06", "1999-01-08 04:05:06 -8:00", "1999-01-08 04:05:06 PST", "1999-01-08 04:05:06-08", "1999-01-08 04:05:06+0530", "1999-01-08 04:05:06+05:30:15", "2024-07-01 12:00 Europe/Berlin", "2024-01-01 12:00 Europe/Berlin", "2024-03-31 02:30 Europe/Berlin", "2024-10-27 02:30 Europe/Berlin", "2024-01-01 12:00 america/new_york", "2024-01-01T12:00:00Z", "2024-01-01T12:00:00.123456+02:00", "2024-01-01 12:00 EST", "2024-01-01 12:00 EDT", "2024-01-01 12:00 EST5EDT", "2024-07-01 12:00 EST5EDT", "2024-01-01 12:00 UTC+3", "2024-01-01 12:00 GMT", "2024-01-01 12:00 Nowhere/Land", "2024-01-01 12:00 XYZ", "2024-01-01 12:00+17", "2024-01-01 12:00+15:59", "2024-01-01 12:00+16", "infinity", "epoch", "2024-01-01 12:00 zulu", "1900-01-01 00:00 Europe/Berlin", "1880-01-01 00:00 Europe/Berlin", "2090-07-01 12:00 Europe/Berlin", "2024-01-01 00:00:00+00 BC", "2024-01-01 12:00 MSK", "20240101T120000Z", "20240101T120000-0500", "2024-01-01 12:00:00 PM +01"],
    "interval": ["1 year 2 mons 3 days 04:05:06", "1 day", "-1 day", "1 day ago", "@ 1 hour 30 minutes", "1.5 days", "1.5 months", "1.5 years", "1.5 weeks", "0.5 day", "P1Y2M3DT4H5M6S", "P0001-02-03T04:05:06", "PT36H", "P1W", "PT0.5S", "P", "P1Y2", "1-2", "-1-2", "1 2:03:04", "-1 2:03:04", "1:30", "1:30:15", "01:02:03.456", "5", "5.5", "2 weeks", "1 decade", "1 century", "1 millennium", "1 mon -1 day", "1 year -1 mons +3 days -04:05:06", "30 seconds", "500 milliseconds", "500 ms", "10 us", "1000000 microseconds", "1 day 2 days", "", "abc", "1 foo", "99999999999 years", "2147483647 days", "2147483648 days", "1y 2mon 3d 4h 5m 6s", "1 hour -30 minutes", "-00:30", "12:60", "1 month 1 month", "00:00:00", "0", "100:00:00", "1 year ago", "-1 year 2 mons ago", "1.23456789 seconds", "3 days 5 minutes", "1 minute 61 seconds", "1.1 hours", "0.1 months", "1 mon 40 days 30:00:00", "P-1Y-2M3DT-4H-5M-6S", "23:59:60", "P1.5D", "1 qtr"],
    "json": ['{"a": 1}', " [1, 2 ] ", '{"a":}', "", "nul", '"abc"', "01", "1.", "-", "1e5", '{"a" 1}', '{"a":1,}', "[1,]", '"\\u00e9"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\x"', '{"a":1} x', "tru", '"ab', "{1:2}", "[", '"a\tb"'],
    "jsonb": ['{"b":1,"a":2}', '{"aa":1,"b":2,"a":3,"b":4}', "[1, 2.50, 1e3, 1E-3, -0, -0.0, 12345678901234567890, 1e40, 1.000000000000000000000000000000000000001]", '{"a":{"c":[],"b":{}}}', "null", "true", '"x\\"y\\\\z\\/\\b\\f\\n\\r\\t\\u0001\\u00e9"', '"\\u0000"', "{}", "[]", '[ [1] , {"a" : null} ]', '{"a":1', '"é😀"', "123", "-1.5", "9223372036854775807", "9223372036854775808", "-9223372036854775808", '"\\ud83d\\ude00"', '"\\ude00"', "1e400", "nan"],
    "int4[]": ["{}", "{1,2,3}", "{1,NULL,3}", " { 1 , 2 } ", "{{1,2},{3,4}}", "{{1,2},{3}}", "{1,{2}}", "{{1},2}", "[0:2]={1,2,3}", "[2:3][1:2]={{1,2},{3,4}}", "[1:2]={1}", "{1,2", "1,2}", "{1,,2}", "{1,}", "{,1}", "{1}x", "{a}", "{{}}", "{{},{}}", "{{{{{{{1}}}}}}}", "[2:1]={}", '{"1","2"}', "{null}", ""],
    "text[]": ['{a,b}', '{"a b","c,d"}', '{"a\\"b","c\\\\d"}', '{a b , c}', '{"",NULL,"NULL",null}', '{a\\,b}', '{"{x}"}', '{a"b"}', '{"a"b}', '{ab{c}', "{'a'}", '{" a "}', "{é,日本}", '{\\"}', "{a\\ }"],
    "varchar(3)": ["abc", "abcd", "abc  ", "日本語", "日本語x", ""],
    "char(3)": ["abc", "ab", "abcd", "abc ", "", "日本"],
    "numeric(5,2)": ["123.456", "999.994", "999.995", "-1000", "NaN", "Infinity", "0"],
    "timestamp(0)": ["2024-01-01 12:00:00.5", "2024-01-01 12:00:00.499999", "2024-12-31 23:59:59.9", "1960-01-01 00:00:00.5"],
    "timestamp(3)": ["2024-01-01 12:00:00.1235", "2024-01-01 12:00:00.1234999"],
    "time(1)": ["12:00:00.25", "23:59:59.99"],
    "interval year": ["5", "1 year 5 mons", "18 months"],
    "interval day to minute": ["1 02:03:04", "5", "1:2"],
    "interval(2)": ["1.2345 seconds", "1 day 00:00:01.999"],
    "interval minute to second": ["5:30", "1:02:03"],
    '"char"': ["a", "ab", "", "\\101"],
    "int2vector": ["1 2 3", "", "1 x"],
    "oidvector": ["1 2"],
    "name": ["abc", "x" * 70],
    "date[]": ["{2024-01-01,NULL}", '{"Jan 8, 1999"}'],
    "timestamp[]": ["{2024-01-01 12:00:00}"],
    "bytea[]": ['{"\\\\x0102"}'],
    "regtype": ["int4", "integer", "character varying", "timestamp with time zone", "int[]", "_int4", "varchar(10)", "nosuch", "23", "-", '"char"', "char", "double precision", "pg_catalog.int8", "bpchar", "interval year to month"],
}


def inputs():
    rows = []
    for ty, texts in INPUTS.items():
        for text in texts:
            cast = f"cast({quote(text)} as {ty})"
            if ty.startswith(("char(", "varchar(", "numeric(")) or "(" in ty or ty.startswith("interval "):
                # Input conversion, as COPY does: an explicit cast would cut silently.
                rows.append(([ty, text], f"pg_temp.input_{len(rows)}()"))
            else:
                rows.append(([ty, text], cast))
    settings = []
    for i, ((ty, text), expression) in enumerate(rows):
        if expression.startswith("pg_temp.input_"):
            settings.append(f"create function pg_temp.input_{i}() returns text language plpgsql as $f$ declare t text; begin create temp table if not exists t{i} (v {ty}); execute 'insert into t{i} values (' || quote_literal({quote(text)}) || ')'; execute 'select v::text from t{i}' into t; return t; end $f$;")
    for i, (cells, expression) in enumerate(rows):
        if cells[0].startswith("char("):
            # text drops the blanks; concat keeps the output form.
            settings[:] = [s.replace(f"select v::text from t{i}'", f"select concat(v) from t{i}'") for s in settings]
    write("input.tsv", rows, settings)


if __name__ == "__main__":
    chosen = sys.argv[2:] or ["numeric", "inputs"]
    for name in chosen:
        globals()[name]()
