"""Replays the cases of the operator corpus that need a server: setup, one command, its answer.

The scores are recorded and may only rise. With SHOW=1 what differs is printed.
"""

import json
import math
import os
import subprocess
import unittest

import pymongo
from bson import json_util
from pymongo.errors import OperationFailure

from support import URI

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../crates/helios-planner/tests/corpus")
CANONICAL = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False)
# Cases that pass at least: all of a file, and those that a second implementation confirms.
RECORDED = {"find": (398, 355), "pipeline": (402, 334), "update": (130, 107)}


def cases(name):
    done = subprocess.run(["zstd", "-dc", f"{CORPUS}/{name}.jsonl.zst"], capture_output=True, check=True)
    return [case for case in map(json.loads, done.stdout.decode().splitlines()) if "command" in case]


def decode(value):
    return json_util.loads(json.dumps(value), json_options=CANONICAL)


def canonical(value):
    return json.loads(json_util.dumps(value, json_options=CANONICAL))


def close(a, b):
    """Whether two numbers are the same but for the last digits of what was computed."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    return abs(a - b) <= 1e-12 * max(abs(a), abs(b))


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return False
        for kind in ("$numberDouble", "$numberDecimal"):
            if list(a) == [kind]:
                return close(float(a[kind]), float(b[kind]))
        return all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def same_set(found, expected):
    rest = list(expected)
    for document in found:
        at = next((i for i, e in enumerate(rest) if same(document, e)), None)
        if at is None:
            return False
        rest.pop(at)
    return not rest


def run(db, command):
    """The documents that a command answers with, or the fields of its reply."""
    reply = db.command(command)
    if "cursor" in reply:
        cursor = reply["cursor"]
        documents = list(cursor["firstBatch"])
        while cursor["id"]:
            cursor = db.command({"getMore": cursor["id"], "collection": cursor["ns"].split(".", 1)[1]})["cursor"]
            documents += cursor["nextBatch"]
        return documents
    if reply.get("writeErrors"):
        reply["writeErrors"] = [{"index": e["index"]} for e in reply["writeErrors"]]
    return [reply]


def agrees(case, found):
    expected, found = case["expect"], canonical(found)
    if isinstance(expected, dict):
        expected = [expected]
    if next(iter(case["command"])) in ("update", "delete", "findAndModify", "count", "distinct"):
        # Fields of a reply, in any order.
        found = [{k: f.get(k) for k in e} for f, e in zip(found, expected)]
    if len(found) != len(expected):
        return False
    return all(map(same, found, expected)) if case.get("ordered", True) else same_set(found, expected)


class Corpus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = pymongo.MongoClient(URI, serverSelectionTimeoutMS=10_000)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def replay(self, name):
        score, confirmed, all_cases = 0, 0, cases(name)
        self.assertGreater(len(all_cases), 0)
        made = None
        for case in all_cases:
            db = self.client["corpus"]
            setup = json.dumps(case.get("setup"))
            writes = next(iter(case["command"])) in ("update", "delete", "findAndModify")
            if setup != made:
                self.client.drop_database("corpus")
                for command in case.get("setup") or []:
                    try:
                        db.command(decode(command))
                    except OperationFailure:
                        pass
            made = None if writes else setup
            try:
                found = run(db, decode(case["command"]))
                failed = bool(found and found[0].get("writeErrors"))
                good = failed if "error" in case else agrees(case, found)
            except OperationFailure as error:
                found, good = error, "error" in case
            except Exception as error:
                raise AssertionError(f"{error!r} in {case}") from error
            score += good
            confirmed += good and case["confirmed"]
            if not good and os.environ.get("SHOW"):
                short = {k: v for k, v in case.items() if k not in ("operators", "kind", "setup" if len(setup) > 1500 else "")}
                print(f"{json.dumps(short)}\n    got {found if isinstance(found, Exception) else json_util.dumps(found)}")
        print(f"{name}: {score} of {len(all_cases)}, {confirmed} of {sum(c['confirmed'] for c in all_cases)} confirmed ones")
        self.assertGreaterEqual(score, RECORDED[name][0])
        self.assertGreaterEqual(confirmed, RECORDED[name][1])

    def test_finds(self):
        self.replay("find")

    def test_pipelines(self):
        self.replay("pipeline")

    def test_updates(self):
        self.replay("update")


if __name__ == "__main__":
    unittest.main()
