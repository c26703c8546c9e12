"""insert, find, update, delete, findAndModify, count, distinct, cursors."""

import datetime
import re
import struct
import threading
import unittest
import uuid

import bson
import pymongo
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, CursorNotFound, DuplicateKeyError, ExecutionTimeout

from support import MongoTest, Wire


class Insert(MongoTest):
    def test_every_bson_type_comes_back_as_it_went(self):
        document = {
            "_id": ObjectId(),
            "double": 1.5, "nan": float("inf"), "negative_zero": -0.0,
            "string": "grün \U0001f600 \x00 end", "empty": "",
            "object": {"z": 1, "a": {"deep": []}}, "array": [1, "two", [3.0], {}],
            "binary": b"\x00\xff", "uuid": Binary.from_uuid(uuid.uuid4()), "md5": Binary(b"x" * 16, 5),
            "oid": ObjectId(), "yes": True, "no": False,
            "date": datetime.datetime(2024, 2, 29, 12, 30, 1, 123000), "old": datetime.datetime(1900, 1, 1),
            "null": None, "regex": Regex("^a.*", re.I | re.M), "code": Code("function () {}"),
            "int": 2**31 - 1, "long": Int64(5), "large": 2**63 - 1, "small": -(2**63),
            "timestamp": Timestamp(1700000000, 7), "decimal": Decimal128("1.10"), "huge": Decimal128("9.900000000000000000000000000000000E+6144"),
            "min": MinKey(), "max": MaxKey(), "": "empty name", "a.b": "dotted", "$dollar": "dollar",
        }
        self.c.insert_one(document)
        found = self.c.find_one({"_id": document["_id"]})
        self.assertEqual(found, document)
        self.assertEqual(list(found), list(document))
        self.assertIsInstance(found["long"], Int64)
        self.assertEqual(str(found["negative_zero"]), "-0.0")
        self.assertEqual(str(found["decimal"]), "1.10")
        raw = self.client.get_database(self.name, bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument))
        self.assertEqual(raw.c.find_one().raw, bson.encode(document))

    def test_a_document_without_id_gets_one_in_front(self):
        result = self.db.command("insert", "c", documents=[{"a": 1}])
        self.assertEqual((result["n"], result["ok"]), (1, 1.0))
        found = self.c.find_one()
        self.assertEqual(list(found), ["_id", "a"])
        self.assertIsInstance(found["_id"], ObjectId)

    def test_ids_of_all_types_are_keys(self):
        ids = [1, 2.5, "a", b"\x01", ObjectId(), True, None, {"x": 1, "y": 2}, datetime.datetime(2020, 1, 1),
               Decimal128("7.5"), Timestamp(1, 1), MinKey(), MaxKey(), uuid.UUID(int=5).bytes]
        self.c.insert_many([{"_id": key, "n": n} for n, key in enumerate(ids)])
        for n, key in enumerate(ids):
            self.assertEqual(self.c.find_one({"_id": key})["n"], n, key)
        for same in [1.0, Int64(1), Decimal128("1"), Decimal128("1.0")]:
            with self.assertRaises(DuplicateKeyError):
                self.c.insert_one({"_id": same})
            self.assertEqual(self.c.find_one({"_id": same})["n"], 0)
        self.assertIsNone(self.c.find_one({"_id": {"y": 2, "x": 1}}))

    def test_ids_that_are_no_keys_are_refused(self):
        self.fails(53, self.c.insert_one, {"_id": [1]})
        self.fails(53, self.c.insert_one, {"_id": Regex("a")})
        self.fails(52, self.c.insert_one, {"_id": {"$a": 1}})

    def test_an_ordered_bulk_stops_at_the_first_error_and_an_unordered_one_goes_on(self):
        documents = [{"_id": 1}, {"_id": 2}, {"_id": 1}, {"_id": 3}]
        with self.assertRaises(BulkWriteError) as caught:
            self.c.insert_many(documents)
        details = caught.exception.details
        self.assertEqual((details["nInserted"], details["writeErrors"][0]["index"]), (2, 2))
        self.assertEqual(self.ids(self.c.find()), [1, 2])
        with self.assertRaises(BulkWriteError) as caught:
            self.c.insert_many(documents, ordered=False)
        self.assertEqual([e["index"] for e in caught.exception.details["writeErrors"]], [0, 1, 2])
        self.assertEqual(self.ids(self.c.find().sort("_id")), [1, 2, 3])

    def test_a_duplicate_names_index_pattern_and_value(self):
        self.c.insert_one({"_id": 1, "mail": "a"})
        self.c.create_index("mail", unique=True)
        with self.assertRaises(DuplicateKeyError) as caught:
            self.c.insert_one({"_id": 2, "mail": "a"})
        details = caught.exception.details
        self.assertEqual((details["keyPattern"], details["keyValue"]), ({"mail": 1}, {"mail": "a"}))
        self.assertIn(f"E11000 duplicate key error collection: {self.name}.c index: mail_1", details["errmsg"])

    def test_many_documents_go_in_one_message_as_a_document_sequence(self):
        self.c.insert_many([{"_id": n, "text": "x" * 100} for n in range(10_000)])
        self.assertEqual(self.c.count_documents({}), 10_000)
        self.assertEqual(sum(d["_id"] for d in self.c.find()), sum(range(10_000)))

    def test_a_document_of_sixteen_megabytes_fits_and_a_larger_one_does_not(self):
        fits = {"_id": 1, "data": b"x" * (16 * 1024 * 1024 - 40)}
        self.c.insert_one(fits)
        self.assertEqual(self.c.find_one({"_id": 1}), fits)
        # Drivers check the size themselves, so this goes over the wire as it is.
        wire = Wire()
        over = bson.encode({"_id": 2, "data": b"x" * (16 * 1024 * 1024)})
        sequence = struct.pack("<i", 4 + len(b"documents\0") + len(over)) + b"documents\0" + over
        body = bson.encode({"insert": "c", "$db": self.name})
        reply = wire.send(struct.pack("<iB", 0, 0) + body + b"\x01" + sequence)
        self.assertEqual(reply["writeErrors"][0]["code"], 10334)
        wire.close()
        self.assertEqual(self.c.count_documents({}), 1)
        self.fails(17419, self.c.update_one, {"_id": 1}, {"$set": {"more": "x" * 100}})

    def test_unacknowledged_writes_are_done_and_not_answered(self):
        loose = self.c.with_options(write_concern=pymongo.WriteConcern(w=0))
        self.assertFalse(loose.insert_one({"_id": 1}).acknowledged)
        self.assertFalse(loose.update_one({"_id": 1}, {"$set": {"a": 1}}).acknowledged)
        # One connection answers in order, but the pool may take another one: wait for the effect.
        for _ in range(1000):
            if self.c.find_one({"a": 1}):
                break
        self.assertEqual(self.c.find_one(), {"_id": 1, "a": 1})


class Find(MongoTest):
    def test_filters_choose_documents(self):
        self.c.insert_many([
            {"_id": 1, "a": 1, "tags": ["x", "y"], "sub": {"k": 5}},
            {"_id": 2, "a": 2.5, "tags": [], "list": [{"k": 1, "v": "p"}, {"k": 2, "v": "q"}]},
            {"_id": 3, "a": None, "name": "Ann"},
            {"_id": 4, "name": "bob", "a": "text"},
        ])
        cases = [
            ({}, [1, 2, 3, 4]),
            ({"a": 1}, [1]), ({"a": 1.0}, [1]), ({"a": None}, [3]), ({"tags": None}, [3, 4]),
            ({"a": {"$gt": 1}}, [2]), ({"a": {"$gte": 1, "$lt": 2.5}}, [1]), ({"a": {"$ne": 1}}, [2, 3, 4]),
            ({"a": {"$in": [1, "text"]}}, [1, 4]), ({"a": {"$nin": [1, None]}}, [2, 4]),
            ({"tags": "x"}, [1]), ({"tags": ["x", "y"]}, [1]), ({"tags": []}, [2]), ({"tags": {"$size": 2}}, [1]),
            ({"tags": {"$all": ["y", "x"]}}, [1]), ({"sub.k": 5}, [1]), ({"sub": {"k": 5}}, [1]),
            ({"list.k": 2}, [2]), ({"list.0.v": "p"}, [2]),
            ({"list": {"$elemMatch": {"k": 1, "v": "q"}}}, []), ({"list.k": 1, "list.v": "q"}, [2]),
            ({"name": {"$exists": True}}, [3, 4]), ({"name": {"$exists": False}}, [1, 2]),
            ({"name": {"$regex": "^a", "$options": "i"}}, [3]), ({"name": re.compile("B", re.I)}, [4]),
            ({"a": {"$type": "string"}}, [4]), ({"a": {"$type": "number"}}, [1, 2]),
            ({"$or": [{"a": 1}, {"name": "bob"}]}, [1, 4]), ({"$nor": [{"a": 1}, {"name": "bob"}]}, [2, 3]),
            ({"a": {"$not": {"$gt": 1}}}, [1, 3, 4]), ({"a": {"$mod": [2, 1]}}, [1]),
            ({"$expr": {"$eq": ["$sub.k", 5]}}, [1]), ({"_id": {"$in": [4, 1, 9]}}, [1, 4]),
            ({"_id": {"$gte": 2, "$lt": 4}}, [2, 3]), ({"_id": 2, "a": 1}, []), ({"_id": {"$eq": 2}}, [2]),
            ({"$and": [{"_id": {"$gt": 1}}, {"a": {"$exists": True}}]}, [2, 3, 4]),
            ({"$comment": "why", "a": 1}, [1]),
        ]
        for filter, expected in cases:
            with self.subTest(filter=filter):
                self.assertEqual(sorted(self.ids(self.c.find(filter))), expected)
                self.assertEqual(self.c.count_documents(filter), len(expected))

    def test_what_a_filter_may_not_say_is_refused(self):
        for filter, code in [({"$nonsense": 1}, 2), ({"a": {"$nonsense": 1}}, 2), ({"a": {"$in": 1}}, 2),
                             ({"$or": []}, 2), ({"a": {"$regex": "("}}, 51091), ({"$where": "1"}, 115),
                             ({"$text": {"$search": "x"}}, 115)]:
            with self.subTest(filter=filter):
                self.fails(code, lambda: list(self.c.find(filter)))

    def test_projections_shape_documents(self):
        self.c.insert_one({"_id": 1, "a": 1, "b": {"c": 2, "d": 3}, "list": [1, 2, 3, 4], "docs": [{"k": 1}, {"k": 2}]})
        cases = [
            ({"a": 1}, {"_id": 1, "a": 1}), ({"a": 1, "_id": 0}, {"a": 1}), ({"b.c": 1}, {"_id": 1, "b": {"c": 2}}),
            ({"b": 0, "list": 0, "docs": 0}, {"_id": 1, "a": 1}), ({"_id": 0, "b": 0, "docs": 0}, {"a": 1, "list": [1, 2, 3, 4]}),
            ({"list": {"$slice": [1, 2]}, "a": 1}, {"_id": 1, "a": 1, "list": [2, 3]}),
            ({"docs": {"$elemMatch": {"k": 2}}}, {"_id": 1, "docs": [{"k": 2}]}),
            ({"sum": {"$add": ["$a", "$b.c"]}, "_id": 0}, {"sum": 3}), (["a"], {"_id": 1, "a": 1}),
        ]
        for projection, expected in cases:
            with self.subTest(projection=projection):
                self.assertEqual(self.c.find_one({}, projection), expected)
        self.assertEqual(self.c.find_one({"docs.k": 2}, {"docs.$": 1}), {"_id": 1, "docs": [{"k": 2}]})
        self.fails(31254, self.c.find_one, {}, {"a": 1, "b": 0})

    def test_sort_skip_and_limit(self):
        self.c.insert_many([{"_id": n, "a": n % 3, "b": -n} for n in range(10)])
        self.assertEqual(self.ids(self.c.find().sort([("a", -1), ("_id", 1)])), [2, 5, 8, 1, 4, 7, 0, 3, 6, 9])
        self.assertEqual(self.ids(self.c.find().sort("b").skip(2).limit(3)), [7, 6, 5])
        self.assertEqual(self.ids(self.c.find().sort("_id", -1).limit(2)), [9, 8])
        self.assertEqual(self.ids(self.c.find().limit(3)), [0, 1, 2])
        self.assertEqual(self.ids(self.c.find().limit(-3)), [0, 1, 2])
        self.assertEqual(self.ids(self.c.find({"_id": 5}).skip(1)), [])
        self.assertEqual(self.ids(self.c.find({"_id": 5}).limit(1)), [5])
        self.assertEqual(self.ids(self.c.find().sort([("$natural", 1)])), list(range(10)))

    def test_sort_follows_bson_order_over_types(self):
        values = [MinKey(), None, -1, 2.5, Int64(3), "a", "b", {"a": 1}, b"x", ObjectId(), False, True,
                  datetime.datetime(2020, 1, 1), Timestamp(1, 1), Regex("a"), MaxKey()]
        self.c.insert_many([{"_id": n, "v": v} for n, v in enumerate(values)][::-1])
        self.assertEqual(self.ids(self.c.find().sort("v")), list(range(len(values))))
        self.assertEqual(self.ids(self.c.find().sort("v", -1)), list(range(len(values)))[::-1])

    def test_cursors_hand_out_batches_until_the_end(self):
        self.c.insert_many([{"_id": n} for n in range(250)])
        first = self.db.command("find", "c")["cursor"]
        self.assertEqual((len(first["firstBatch"]), first["ns"]), (101, f"{self.name}.c"))
        second = self.db.command("getMore", first["id"], collection="c", batchSize=49)["cursor"]
        self.assertEqual((len(second["nextBatch"]), second["id"]), (49, first["id"]))
        last = self.db.command("getMore", first["id"], collection="c")["cursor"]
        self.assertEqual((len(last["nextBatch"]), last["id"]), (100, 0))
        self.assertEqual(len(list(self.c.find(batch_size=7))), 250)
        self.assertEqual(len(list(self.c.find(batch_size=7).limit(20))), 20)
        empty = self.db.command("find", "c", batchSize=0)["cursor"]
        self.assertEqual(empty["firstBatch"], [])
        self.assertNotEqual(empty["id"], 0)
        self.assertEqual(self.db.command("find", "c", batchSize=5, singleBatch=True)["cursor"]["id"], 0)

    def test_cursors_keep_the_snapshot_of_their_start(self):
        self.c.insert_many([{"_id": n} for n in range(10)])
        cursor = self.c.find(batch_size=2)
        self.assertEqual(next(cursor)["_id"], 0)
        self.c.delete_many({"_id": {"$gt": 4}})
        self.c.insert_one({"_id": 100})
        self.assertEqual(self.ids(cursor), list(range(1, 10)))

    def test_killed_and_unknown_cursors_are_told_apart(self):
        self.c.insert_many([{"_id": n} for n in range(10)])
        cursor = self.c.find(batch_size=2)
        next(cursor)
        number = cursor.cursor_id
        reply = self.db.command("killCursors", "c", cursors=[number, Int64(12345)])
        self.assertEqual((reply["cursorsKilled"], reply["cursorsNotFound"]), ([number], [12345]))
        with self.assertRaises(CursorNotFound):
            list(cursor)
        self.fails(43, self.db.command, "getMore", Int64(12345), collection="c")

    def test_a_cursor_belongs_to_its_collection(self):
        self.c.insert_many([{"_id": n} for n in range(10)])
        number = self.db.command("find", "c", batchSize=1)["cursor"]["id"]
        self.fails(13, self.db.command, "getMore", number, collection="other")
        self.assertEqual(len(self.db.command("getMore", number, collection="c")["cursor"]["nextBatch"]), 9)

    def test_a_collection_that_is_not_there_is_empty(self):
        self.assertEqual(list(self.db.nothing.find({"a": 1})), [])
        self.assertEqual(self.db.nothing.count_documents({}), 0)
        self.assertEqual(self.db.nothing.estimated_document_count(), 0)
        self.assertEqual(self.db.nothing.distinct("a"), [])
        self.assertEqual(self.db.nothing.delete_many({}).deleted_count, 0)
        self.assertEqual(self.db.nothing.update_one({}, {"$set": {"a": 1}}).matched_count, 0)
        self.assertNotIn("nothing", self.db.list_collection_names())

    def test_count_and_distinct(self):
        self.c.insert_many([{"_id": n, "a": n % 3, "tags": [n % 2, "t"]} for n in range(10)])
        self.assertEqual(self.c.estimated_document_count(), 10)
        self.assertEqual(self.c.count_documents({"a": 1}, limit=2), 2)
        self.assertEqual(self.c.count_documents({"a": 1}, skip=1), 2)
        self.assertEqual(self.db.command("count", "c", query={"a": {"$gt": 0}})["n"], 6)
        self.assertEqual(sorted(self.c.distinct("a")), [0, 1, 2])
        self.assertEqual(self.c.distinct("tags", {"_id": {"$lt": 3}}), [0, 1, "t"])

    def test_time_limits_end_long_queries(self):
        self.c.insert_many([{"_id": n, "text": "x" * 500} for n in range(20_000)])
        slow = {"$expr": {"$gt": [{"$reduce": {"input": {"$range": [0, 1000]}, "initialValue": 0,
                                               "in": {"$add": ["$$value", "$$this"]}}}, -1]}}
        with self.assertRaises(ExecutionTimeout) as caught:
            list(self.c.find(slow).max_time_ms(50))
        self.assertEqual(caught.exception.code, 50)
        with self.assertRaises(ExecutionTimeout):
            self.db.command("count", "c", query=slow, maxTimeMS=50)
        with self.assertRaises(ExecutionTimeout):
            self.db.command("update", "c", updates=[{"q": slow, "u": {"$set": {"a": 1}}, "multi": True}], maxTimeMS=50)
        # The limit was that command's own, though its transaction was rolled back.
        self.assertEqual(len(list(self.c.find(slow).limit(3000))), 3000)
        self.assertEqual(self.c.count_documents({"a": 1}), 0)
        with self.assertRaises(ExecutionTimeout):
            list(self.c.aggregate([{"$match": slow}, {"$count": "n"}], maxTimeMS=50))
        self.assertEqual(self.c.find_one({"_id": 1}, max_time_ms=10_000)["_id"], 1)
        self.fails(2, self.db.command, "find", "c", maxTimeMS=-1)

    def test_options_that_are_not_there_are_refused_by_name(self):
        self.c.insert_one({"_id": 1})
        for options in [{"collation": {"locale": "de"}}, {"min": {"_id": 1}}, {"max": {"_id": 1}},
                        {"returnKey": True}, {"showRecordId": True}, {"tailable": True}]:
            with self.subTest(options=options):
                error = self.fails(115, self.db.command, "find", "c", **options)
                self.assertIn(next(iter(options)), str(error))
        self.fails(115, self.db.command, "find", "c", readConcern={"level": "snapshot"})
        self.fails(2, self.db.command, "find", "c", readConcern={"level": "nonsense"})
        self.fails(115, self.db.command, "find", "c", sort={"$natural": -1})
        self.fails(2, self.db.command, "find", "c", hint="nothing_1")
        self.fails(2, self.db.command, "find", "c", hint={"nothing": 1})
        self.fails(9, self.db.command, "find", "c", hint=5)
        self.fails(40415, self.db.command, "find", "c", nonsense=1)
        self.fails(79, self.db.command, "insert", "c", documents=[{"_id": 2}], writeConcern={"w": "nonsense"})
        self.fails(100, self.db.command, "insert", "c", documents=[{"_id": 2}], writeConcern={"w": 3})
        self.fails(322, self.db.command, "ping", apiVersion="2")
        self.fails(323, self.db.command, "distinct", "c", key="a", apiVersion="1", apiStrict=True)
        self.assertEqual(self.db.command("count", "c", apiVersion="1", apiStrict=True)["n"], 1)
        self.assertEqual(self.db.command("find", "c", collation={"locale": "simple"})["cursor"]["firstBatch"], [{"_id": 1}])
        self.assertEqual(self.ids(self.c.find(hint="_id_")), [1])
        self.assertEqual(self.ids(self.c.find(hint=[("_id", 1)])), [1])


class Update(MongoTest):
    def test_everyday_operators(self):
        cases = [
            ({"a": 1}, {"$set": {"a": 2, "b.c": 3}}, {"a": 2, "b": {"c": 3}}),
            ({"a": 1, "b": 2}, {"$unset": {"a": ""}}, {"b": 2}),
            ({"a": 1}, {"$inc": {"a": 2, "n": -1}}, {"a": 3, "n": -1}),
            ({"a": 2**31 - 1}, {"$inc": {"a": 1}}, {"a": 2**31}),
            ({"a": 3}, {"$mul": {"a": 2.5}}, {"a": 7.5}),
            ({"a": 3, "b": 3}, {"$min": {"a": 1}, "$max": {"b": 5}}, {"a": 1, "b": 5}),
            ({"a": 1}, {"$rename": {"a": "b"}}, {"b": 1}),
            ({"a": [1]}, {"$push": {"a": 2}}, {"a": [1, 2]}),
            ({"a": [3]}, {"$push": {"a": {"$each": [1, 2], "$sort": 1, "$slice": 2}}}, {"a": [1, 2]}),
            ({"a": [1, 2]}, {"$push": {"a": {"$each": [9], "$position": 0}}}, {"a": [9, 1, 2]}),
            ({"a": [1]}, {"$addToSet": {"a": {"$each": [1, 2]}}}, {"a": [1, 2]}),
            ({"a": [1, 2, 3]}, {"$pop": {"a": -1}}, {"a": [2, 3]}),
            ({"a": [1, 2, 3, 1]}, {"$pull": {"a": 1}}, {"a": [2, 3]}),
            ({"a": [1, 5, 9]}, {"$pull": {"a": {"$gt": 4}}}, {"a": [1]}),
            ({"a": [1, 2, 3]}, {"$pullAll": {"a": [1, 3]}}, {"a": [2]}),
            ({"a": 13}, {"$bit": {"a": {"and": 10}}}, {"a": 8}),
            ({"a": 1}, {"$setOnInsert": {"b": 1}}, {"a": 1}),
            ({"a": [1, 2, 3]}, {"$set": {"a.1": 9}}, {"a": [1, 9, 3]}),
            ({"a": [{"k": 1}, {"k": 2}]}, {"$inc": {"a.$[].k": 1}}, {"a": [{"k": 2}, {"k": 3}]}),
            ({"a": 1, "b": 2}, [{"$set": {"c": {"$add": ["$a", "$b"]}}}, {"$unset": "a"}], {"b": 2, "c": 3}),
        ]
        for n, (before, update, after) in enumerate(cases):
            with self.subTest(update=update):
                self.c.insert_one({"_id": n, **before})
                self.assertEqual(self.c.update_one({"_id": n}, update).matched_count, 1)
                self.assertEqual(self.c.find_one({"_id": n}), {"_id": n, **after})

    def test_positions_and_array_filters(self):
        self.c.insert_one({"_id": 1, "a": [{"k": 1, "v": 0}, {"k": 2, "v": 0}, {"k": 3, "v": 0}]})
        self.c.update_one({"_id": 1, "a.k": 2}, {"$set": {"a.$.v": 5}})
        self.c.update_one({"_id": 1}, {"$set": {"a.$[big].v": 9}}, array_filters=[{"big.k": {"$gt": 2}}])
        self.assertEqual([e["v"] for e in self.c.find_one()["a"]], [0, 5, 9])
        self.fails(2, self.c.update_one, {"_id": 1}, {"$set": {"a.$.v": 5}})

    def test_current_date_is_now(self):
        self.c.insert_one({"_id": 1})
        self.c.update_one({"_id": 1}, {"$currentDate": {"at": True, "ts": {"$type": "timestamp"}}})
        found = self.c.find_one()
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        self.assertLess(abs((now - found["at"]).total_seconds()), 60)
        self.assertIsInstance(found["ts"], Timestamp)

    def test_counts_tell_matched_from_modified(self):
        self.c.insert_many([{"_id": n, "a": n % 2} for n in range(10)])
        result = self.c.update_one({"_id": 1}, {"$set": {"a": 1}})
        self.assertEqual((result.matched_count, result.modified_count), (1, 0))
        result = self.c.update_one({"_id": 2}, {"$set": {"a": 1}})
        self.assertEqual((result.matched_count, result.modified_count), (1, 1))
        result = self.c.update_one({"_id": 77}, {"$set": {"a": 1}})
        self.assertEqual((result.matched_count, result.modified_count), (0, 0))
        result = self.c.update_many({}, {"$set": {"a": 1}})
        self.assertEqual((result.matched_count, result.modified_count), (10, 4))
        result = self.c.update_one({"a": 1}, {"$set": {"b": 1}})
        self.assertEqual((result.matched_count, result.modified_count), (1, 1))
        self.assertEqual(self.c.count_documents({"b": 1}), 1)

    def test_upsert_inserts_what_filter_and_update_say(self):
        result = self.c.update_one({"_id": 5, "a": {"$gt": 1}, "b": 2}, {"$set": {"c": 3}, "$setOnInsert": {"d": 4}}, upsert=True)
        self.assertEqual((result.upserted_id, result.matched_count, result.modified_count), (5, 0, 0))
        self.assertEqual(self.c.find_one(), {"_id": 5, "b": 2, "c": 3, "d": 4})
        result = self.c.update_one({"_id": 5}, {"$set": {"c": 9}, "$setOnInsert": {"d": 0}}, upsert=True)
        self.assertEqual((result.upserted_id, result.matched_count), (None, 1))
        self.assertIsInstance(self.c.update_one({"x": 1}, {"$inc": {"n": 1}}, upsert=True).upserted_id, ObjectId)
        self.assertEqual(self.c.find_one({"x": 1}, {"_id": 0}), {"x": 1, "n": 1})
        self.assertEqual(self.c.replace_one({"_id": 8}, {"r": 1}, upsert=True).upserted_id, 8)
        self.assertEqual(self.c.update_many({"m": 1}, {"$set": {"k": 1}}, upsert=True).matched_count, 0)
        self.assertEqual(self.c.count_documents({"m": 1, "k": 1}), 1)

    def test_replace_keeps_the_id(self):
        self.c.insert_one({"_id": 1, "a": 1})
        self.assertEqual(self.c.replace_one({"a": 1}, {"b": 2}).modified_count, 1)
        self.assertEqual(self.c.find_one(), {"_id": 1, "b": 2})
        self.fails(66, self.c.replace_one, {"_id": 1}, {"_id": 2})
        self.fails(66, self.c.update_one, {"_id": 1}, {"$set": {"_id": 2}})

    def test_what_an_update_may_not_do_is_refused(self):
        self.c.insert_one({"_id": 1, "a": "text", "list": [1]})
        for update, code in [({"$inc": {"a": 1}}, 14), ({"$push": {"a": 1}}, 2), ({"$nonsense": {"a": 1}}, 9),
                             ({"$set": {"a": 1}, "$inc": {"a": 1}}, 40), ({"$rename": {"a": "a"}}, 2),
                             ({"$set": {"a.b": 1}}, 28), ({"$set": {"": 1}}, 56)]:
            with self.subTest(update=update):
                self.fails(code, self.c.update_one, {"_id": 1}, update)
        self.assertEqual(self.c.find_one(), {"_id": 1, "a": "text", "list": [1]})
        reply = Wire().command(update="c", updates=[{"q": {}, "u": {"a": 1}, "multi": True}], **{"$db": self.name})
        self.assertEqual(reply["writeErrors"][0]["code"], 9)

    def test_a_bulk_of_all_kinds(self):
        result = self.c.bulk_write([
            InsertOne({"_id": 1}), InsertOne({"_id": 2}), UpdateOne({"_id": 1}, {"$set": {"a": 1}}),
            UpdateMany({}, {"$inc": {"n": 1}}), ReplaceOne({"_id": 2}, {"z": 1}), UpdateOne({"_id": 3}, {"$set": {"a": 3}}, upsert=True),
            DeleteOne({"_id": 1}), DeleteMany({"a": 99}),
        ])
        self.assertEqual((result.inserted_count, result.modified_count, result.deleted_count, result.upserted_ids), (2, 4, 1, {5: 3}))
        self.assertEqual(list(self.c.find().sort("_id")), [{"_id": 2, "z": 1}, {"_id": 3, "a": 3}])

    def test_variables_of_let_are_seen_by_expressions(self):
        self.c.insert_many([{"_id": n, "a": n} for n in range(5)])
        found = self.db.command("find", "c", filter={"$expr": {"$gt": ["$a", "$$low"]}}, projection={"x": {"$add": ["$a", "$$low"]}}, let={"low": 2})
        self.assertEqual(found["cursor"]["firstBatch"], [{"_id": 3, "x": 5}, {"_id": 4, "x": 6}])
        self.c.update_many({"$expr": {"$eq": ["$a", "$$one"]}}, [{"$set": {"b": "$$one"}}], let={"one": {"$subtract": [3, 2]}})
        self.assertEqual(self.c.find_one({"b": 1}), {"_id": 1, "a": 1, "b": 1})
        self.assertEqual(self.c.delete_many({"$expr": {"$lt": ["$a", "$$high"]}}, let={"high": 4}).deleted_count, 4)
        self.assertEqual(list(self.c.aggregate([{"$project": {"a": {"$multiply": ["$a", "$$f"]}}}], let={"f": 10})), [{"_id": 4, "a": 40}])
        self.fails(17276, lambda: list(self.c.find({"$expr": {"$eq": ["$a", "$$unknown"]}})))

    def test_upserts_that_meet_both_succeed(self):
        failures = []

        def upsert(n):
            try:
                for key in range(20):
                    self.c.update_one({"_id": key}, {"$inc": {"n": 1}}, upsert=True)
            except Exception as error:  # reported below
                failures.append(error)

        threads = [threading.Thread(target=upsert, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual([d["n"] for d in self.c.find()], [4] * 20)

    def test_an_update_that_meets_the_first_insert_is_not_lost(self):
        """The row comes between the update that finds nothing and the question whether there is one."""
        threads, rounds = 4, 40
        start, failures = threading.Barrier(threads), []

        def upsert():
            try:
                for key in range(rounds):
                    start.wait()
                    self.c.update_one({"_id": key}, {"$inc": {"n": 1}}, upsert=True)
            except Exception as error:  # reported below
                failures.append(error)
                start.abort()

        running = [threading.Thread(target=upsert) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual([d["n"] for d in self.c.find()], [threads] * rounds)

    def test_sorted_update_takes_the_first(self):
        self.c.insert_many([{"_id": n, "a": -n} for n in range(5)])
        self.c.update_one({}, {"$set": {"hit": True}}, sort={"a": 1})
        self.assertEqual(self.ids(self.c.find({"hit": True})), [4])


class DeleteAndFindAndModify(MongoTest):
    def test_delete_one_and_many(self):
        self.c.insert_many([{"_id": n, "a": n % 2} for n in range(10)])
        self.assertEqual(self.c.delete_one({"a": 1}).deleted_count, 1)
        self.assertEqual(self.c.delete_one({"_id": 0}).deleted_count, 1)
        self.assertEqual(self.c.delete_one({"_id": 0}).deleted_count, 0)
        self.assertEqual(self.c.delete_one({"_id": 2, "a": 1}).deleted_count, 0)
        self.assertEqual(self.c.delete_many({"a": 1}).deleted_count, 4)
        self.assertEqual(self.c.delete_many({}).deleted_count, 4)

    def test_find_and_modify(self):
        self.c.insert_many([{"_id": n, "a": n} for n in range(5)])
        after = pymongo.ReturnDocument.AFTER
        self.assertEqual(self.c.find_one_and_update({"_id": 1}, {"$inc": {"a": 10}}), {"_id": 1, "a": 1})
        self.assertEqual(self.c.find_one_and_update({"_id": 1}, {"$inc": {"a": 10}}, return_document=after), {"_id": 1, "a": 21})
        self.assertEqual(self.c.find_one_and_update({}, {"$set": {"b": 1}}, sort=[("a", -1)], projection={"_id": 1}), {"_id": 1})
        self.assertEqual(self.c.find_one_and_replace({"_id": 2}, {"r": 1}, return_document=after), {"_id": 2, "r": 1})
        self.assertEqual(self.c.find_one_and_delete({"_id": 2}), {"_id": 2, "r": 1})
        self.assertIsNone(self.c.find_one_and_delete({"_id": 2}))
        self.assertIsNone(self.c.find_one_and_update({"_id": 9}, {"$set": {"a": 1}}))
        self.assertIsNone(self.c.find_one_and_update({"_id": 9}, {"$set": {"a": 1}}, upsert=True))
        self.assertEqual(self.c.find_one_and_update({"_id": 10}, {"$set": {"a": 2}}, upsert=True, return_document=after), {"_id": 10, "a": 2})
        reply = self.db.command("findAndModify", "c", query={"_id": 11}, update={"$set": {"a": 1}}, upsert=True)
        self.assertEqual(reply["lastErrorObject"], {"n": 1, "updatedExisting": False, "upserted": 11})
        self.assertIsNone(reply["value"])
        self.fails(9, self.db.command, "findAndModify", "c", query={}, remove=True, update={"$set": {"a": 1}})


class Attached(MongoTest):
    def test_a_sample_rate_keeps_all_or_none_at_its_ends(self):
        self.c.insert_many([{"_id": n} for n in range(20)])
        self.assertEqual(len(list(self.c.find({"$sampleRate": 1.0}))), 20)
        self.assertEqual(list(self.c.find({"$sampleRate": 0.0})), [])

    def test_what_drivers_attach_to_commands_changes_no_answer(self):
        self.c.insert_many([{"_id": n} for n in range(3)])
        wire = Wire()
        self.addCleanup(wire.close)
        plain = wire.command(find="c", **{"$db": self.name})
        for attached in [{"$readPreference": {"mode": "secondaryPreferred"}}, {"comment": {"any": ["thing"]}},
                         {"$client": {"driver": {"name": "x"}}}]:
            with self.subTest(attached=attached):
                reply = wire.command(find="c", **{"$db": self.name}, **attached)
                self.assertEqual(reply["cursor"]["firstBatch"], plain["cursor"]["firstBatch"])


if __name__ == "__main__":
    unittest.main()
