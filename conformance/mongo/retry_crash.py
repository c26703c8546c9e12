"""Sends retryable writes until the server is gone, then again from the one whose end is unknown.

retry_crash.py STATE load     sends writes, one after another, and says "started" after the first
retry_crash.py STATE repeat   sends the last one once more, three times: nothing may change
retry_crash.py STATE verify   looks whether every write was applied once
"""

import json
import os
import sys
import uuid

from bson import Binary, Int64

from support import Wire

POOL = 2000


def lsid(state):
    return {"id": Binary(uuid.UUID(state["session"]).bytes, 4)}


def command(number):
    """The write of a number, and what it adds to."""
    kind = number % 6
    if kind == 0:
        return {"update": "counters", "updates": [{"q": {"_id": "update"}, "u": {"$inc": {"n": 1}}}]}
    if kind == 1:
        return {"findAndModify": "counters", "query": {"_id": "fam"}, "update": {"$inc": {"n": 1}}, "new": True}
    if kind == 2:
        return {"insert": "log", "documents": [{"k": 1}]}
    if kind == 3:
        return {"insert": "log", "documents": [{"k": 2}, {"k": 2}]}
    if kind == 4:
        return {"delete": "pool", "deletes": [{"q": {}, "limit": 1}]}
    return {"update": "counters", "updates": [
        {"q": {"kind": "path"}, "u": {"$inc": {"n": 1}, "$setOnInsert": {"made": 1}}, "upsert": True}]}


def send(wire, state, number):
    reply = wire.command(**command(number), **{"$db": "retry", "lsid": lsid(state), "txnNumber": Int64(number)})
    assert reply["ok"] == 1 and "writeErrors" not in reply, reply
    for field in ("operationTime", "$clusterTime"):
        del reply[field]
    return reply


def wanted(state):
    """How many writes of each kind were begun; all of them are done by the time it is asked."""
    numbers = range(1, state["sent"] + 1)
    return [sum(n % 6 == kind for n in numbers) for kind in range(6)]


def load(state):
    wire = Wire()
    if state["sent"] == 0:
        counters = [{"_id": name, "n": 0} for name in ("update", "fam")]
        wire.command(insert="counters", documents=counters, **{"$db": "retry"})
        wire.command(insert="pool", documents=[{"_id": n} for n in range(POOL)], **{"$db": "retry"})
        state["sent"] = 1
    number = state["sent"]
    said = False
    try:
        while True:
            state["sent"] = number
            reply = send(wire, state, number)
            if number % 6 == 1:
                assert reply["value"]["n"] == wanted(state)[1], (number, reply)
            state["acknowledged"] = number
            if not said:
                print("started", flush=True)
                said = True
            number += 1
            assert number < POOL * 6, "the pool is empty"
    except (OSError, AssertionError) as error:
        if isinstance(error, AssertionError) and "closed the connection" not in str(error):
            raise


def repeat(state):
    wire = Wire()
    replies = [send(wire, state, state["sent"]) for _ in range(3)]
    assert replies[0] == replies[1] == replies[2], replies
    state["acknowledged"] = state["sent"]


def verify(state):
    wire = Wire()

    def n(filter):
        reply = wire.command(find="counters", filter=filter, **{"$db": "retry"})
        return sum(d["n"] for d in reply["cursor"]["firstBatch"])

    def count(collection, query):
        return wire.command(count=collection, query=query, **{"$db": "retry"})["n"]

    found = [n({"_id": "update"}), n({"_id": "fam"}), count("log", {"k": 1}), count("log", {"k": 2}) / 2,
             POOL - count("pool", {}), n({"kind": "path"})]
    assert found == wanted(state), (found, wanted(state))
    print(f"{state['sent']} writes, {state['unknown']} of unknown end, each applied once")


def main():
    path, step = sys.argv[1:]
    if os.path.exists(path):
        with open(path) as file:
            state = json.load(file)
    else:
        state = {"session": str(uuid.uuid4()), "sent": 0, "acknowledged": 0, "unknown": 0}
    {"load": load, "repeat": repeat, "verify": verify}[step](state)
    if step == "load":
        state["unknown"] += state["sent"] > state["acknowledged"]
    with open(path, "w") as file:
        json.dump(state, file)


main()
