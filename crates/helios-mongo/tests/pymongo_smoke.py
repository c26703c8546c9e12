"""PyMongo against a running server: `pymongo_smoke.py mongodb://127.0.0.1:27017`."""

import sys

import pymongo
from pymongo.errors import DuplicateKeyError, OperationFailure

client = pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=5000)
client.admin.command("ping")
assert client.server_info()["version"].startswith("7.0")
shop = client.smoke
client.drop_database("smoke")

people = shop.people
people.insert_one({"_id": 1, "name": "Ann", "age": 30})
people.insert_many([{"_id": n, "name": f"n{n}", "age": n} for n in range(2, 300)])
assert people.find_one({"_id": 1})["name"] == "Ann"
assert len(list(people.find())) == 299
assert [d["_id"] for d in people.find({"age": {"$gte": 297}}).sort("_id", -1)] == [299, 298, 297]
assert people.count_documents({"age": {"$lt": 10}}) == 8
assert people.estimated_document_count() == 299

assert people.update_one({"_id": 1}, {"$inc": {"age": 1}}).modified_count == 1
assert people.update_many({"_id": {"$lt": 5}}, {"$set": {"young": True}}).modified_count == 4
assert people.update_one({"_id": 1000}, {"$set": {"x": 1}}, upsert=True).upserted_id == 1000
assert people.replace_one({"_id": 1000}, {"y": 2}).modified_count == 1
assert people.find_one_and_update({"_id": 1}, {"$set": {"age": 50}}, return_document=True)["age"] == 50
assert people.find_one_and_delete({"_id": 1000})["y"] == 2
assert people.delete_many({"_id": {"$gt": 250}}).deleted_count == 49
assert sorted(people.distinct("young")) == [True]

try:
    people.insert_one({"_id": 1})
    raise AssertionError("a duplicate key was taken")
except DuplicateKeyError as error:
    assert error.details["keyValue"] == {"_id": 1}

groups = list(people.aggregate([
    {"$match": {"_id": {"$lte": 10}}},
    {"$group": {"_id": {"$mod": ["$_id", 2]}, "n": {"$sum": 1}, "ages": {"$push": "$age"}}},
    {"$sort": {"_id": 1}},
]))
assert [g["n"] for g in groups] == [5, 5], groups

people.create_index("age", name="by_age")
assert "by_age" in people.index_information()
people.drop_index("by_age")
assert "people" in shop.list_collection_names()
assert "smoke" in client.list_database_names()

try:
    shop.command("nonsense")
    raise AssertionError("an unknown command was taken")
except OperationFailure as error:
    assert error.code == 59

with client.start_session() as session:
    with session.start_transaction():
        people.insert_one({"_id": 5000}, session=session)
        assert people.find_one({"_id": 5000}, session=session)
    assert people.find_one({"_id": 5000})
    session.start_transaction()
    people.insert_one({"_id": 6000}, session=session)
    session.abort_transaction()
    assert people.find_one({"_id": 6000}) is None

client.drop_database("smoke")
print("pymongo ok")
