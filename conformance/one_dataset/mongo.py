"""Runs MongoDB commands with PyMongo: each line of standard input is {"db": …, "command": …} in
extended JSON, each line of standard output the reply, or {"error": {"code": …, "message": …}}.
{"transaction": "start" | "commit" | "abort"} begins and ends one that the commands between share."""

import sys

import pymongo
from bson import json_util
from bson.binary import UuidRepresentation

options = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
)
client = pymongo.MongoClient("127.0.0.1", int(sys.argv[1]), directConnection=True)
session = None


def answer(request):
    global session
    action = request.get("transaction")
    if action is None:
        return client[request["db"]].command(request["command"], session=session)
    if action == "start":
        session = client.start_session()
        session.start_transaction()
        return {"ok": 1}
    ended, session = session, None
    with ended:
        if action == "commit":
            ended.commit_transaction()
        else:
            ended.abort_transaction()
    return {"ok": 1}


for line in sys.stdin:
    request = json_util.loads(line, json_options=options)
    try:
        reply = answer(request)
    except pymongo.errors.OperationFailure as failure:
        message = (failure.details or {}).get("errmsg", str(failure))
        reply = {"error": {"code": failure.code, "message": message}}
    print(json_util.dumps(reply, json_options=options), flush=True)
