"""Databases, collections, indexes, and what clients ask a server about itself."""

import threading
import unittest

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import BulkWriteError, DuplicateKeyError

from support import MongoTest


class Indexes(MongoTest):
    def test_indexes_are_made_listed_and_dropped(self):
        self.assertEqual(self.c.create_index("a"), "a_1")
        self.assertEqual(self.c.create_index([("a", ASCENDING), ("b", DESCENDING)], name="two"), "two")
        self.assertEqual(self.c.create_indexes([IndexModel("x.y"), IndexModel("u", unique=True)]), ["x.y_1", "u_1"])
        listed = {i["name"]: i for i in self.c.list_indexes()}
        self.assertEqual(list(listed), ["_id_", "a_1", "two", "x.y_1", "u_1"])
        self.assertEqual(listed["two"]["key"], {"a": 1, "b": -1})
        self.assertTrue(listed["u_1"]["unique"])
        self.assertEqual(listed["_id_"], {"v": 2, "key": {"_id": 1}, "name": "_id_"})
        self.c.drop_index("a_1")
        self.db.command("dropIndexes", "c", index={"a": 1, "b": -1})
        self.assertEqual([i["name"] for i in self.c.list_indexes()], ["_id_", "x.y_1", "u_1"])
        self.c.drop_indexes()
        self.assertEqual([i["name"] for i in self.c.list_indexes()], ["_id_"])

    def test_the_reply_counts_indexes(self):
        spec = {"key": {"a": 1}, "name": "a_1"}
        reply = self.db.command("createIndexes", "c", indexes=[spec])
        self.assertEqual((reply["numIndexesBefore"], reply["numIndexesAfter"], reply["createdCollectionAutomatically"]), (1, 2, True))
        reply = self.db.command("createIndexes", "c", indexes=[spec])
        self.assertEqual((reply["numIndexesBefore"], reply["numIndexesAfter"], reply["createdCollectionAutomatically"]), (2, 2, False))
        self.assertEqual(reply["note"], "all indexes already exist")
        self.assertEqual(self.db.command("dropIndexes", "c", index="a_1")["nIndexesWas"], 2)

    def test_conflicting_and_missing_indexes_are_errors(self):
        self.c.create_index("a")
        self.fails(86, self.c.create_index, "b", name="a_1")
        self.fails(85, self.c.create_index, "a", name="other")
        self.fails(86, self.c.create_index, "a", unique=True)
        self.fails(27, self.c.drop_index, "nothing")
        self.fails(72, self.c.drop_index, "_id_")
        self.fails(26, lambda: self.db.command("dropIndexes", "nothing", index="*"))
        self.fails(26, lambda: self.db.command("listIndexes", "nothing"))
        self.fails(67, lambda: self.db.command("createIndexes", "c", indexes=[{"key": {}, "name": "x"}]))
        for options in [{"sparse": True}, {"expireAfterSeconds": 5}, {"partialFilterExpression": {"a": 1}}, {"hidden": True}]:
            self.fails(115, self.c.create_index, "z", **options)
        for kind in ["text", "2dsphere", "hashed"]:
            self.fails(115, self.c.create_index, [("z", kind)])

    def test_a_unique_index_holds_over_elements_and_missing_fields(self):
        self.c.create_index("tags", unique=True)
        self.c.insert_one({"_id": 1, "tags": ["a", "b", "a"]})
        with self.assertRaises(DuplicateKeyError):
            self.c.insert_one({"_id": 2, "tags": "b"})
        self.c.insert_one({"_id": 3})
        with self.assertRaises(DuplicateKeyError):
            self.c.insert_one({"_id": 4, "tags": None})
        with self.assertRaises(DuplicateKeyError):
            self.c.update_one({"_id": 3}, {"$set": {"tags": ["z", "a"]}})
        self.c.update_one({"_id": 1}, {"$set": {"tags": ["c"]}})
        self.c.insert_one({"_id": 2, "tags": "b"})
        self.assertEqual(self.ids(self.c.find().sort("_id")), [1, 2, 3])

    def test_a_unique_index_over_duplicates_is_not_made(self):
        self.c.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 1}])
        self.fails(11000, self.c.create_index, "a", unique=True)
        self.assertEqual([i["name"] for i in self.c.list_indexes()], ["_id_"])

    def test_an_index_changes_no_answer(self):
        values = [1, 1.0, "1", None, [1, 2], [[1]], {"b": 1}, [{"b": 1}, {"b": 2}], [], "x", 2, {"b": [1, 3]}, True]
        self.c.insert_many([{"_id": n, "a": v, "k": n % 3} for n, v in enumerate(values)] + [{"_id": 100, "k": 1}])
        filters = [{"a": v} for v in [1, "1", None, [1, 2], [1], {"b": 1}, "x", 2, 99, [], True, [[1]]]]
        filters += [{"a.b": v} for v in [1, 2, 3, None]] + [{"a.0": 1}, {"a": {"$eq": 1}}, {"a": 1, "k": 1}, {"k": 1, "a": {"$gt": 0}},
                    {"k": 1}, {"k": {"$in": [0, 2]}}, {"a": {"$in": [1, None]}}, {"a": {"$ne": 1}}, {"k": 2, "a.b": 2}]
        before = [sorted(self.ids(self.c.find(f))) for f in filters]
        for keys in ["a", "a.b", [("k", 1), ("a", -1)], [("k", -1)], "a.0"]:
            self.c.create_index(keys)
        for filter, expected in zip(filters, before):
            with self.subTest(filter=filter):
                self.assertEqual(sorted(self.ids(self.c.find(filter))), expected)
                self.assertEqual(self.c.count_documents(filter), len(expected))
        self.c.update_many({"k": 1}, {"$set": {"k": 7}})
        self.assertEqual(self.c.count_documents({"k": 7}), len(before[filters.index({"k": 1})]))
        self.assertEqual(self.c.count_documents({"k": 1}), 0)
        self.assertEqual(self.c.delete_many({"k": 7}).deleted_count, len(before[filters.index({"k": 1})]))
        self.assertEqual(self.c.count_documents({"k": 7}), 0)

    def test_equality_is_answered_by_an_index(self):
        self.c.insert_many([{"_id": n, "a": n % 100, "b": {"c": n}} for n in range(1000)])
        self.c.create_index("a")
        self.c.create_index([("b.c", 1), ("a", 1)], unique=True)
        for filter in [{"a": 5}, {"a": {"$eq": 5}, "x": None}, {"b.c": 5}, {"b.c": 5, "a": 5}]:
            plan = self.db.command("explain", {"find": "c", "filter": filter}, verbosity="queryPlanner")["queryPlanner"]["winningPlan"]
            self.assertEqual(plan["stage"], "Kv", filter)
        self.assertEqual(self.c.count_documents({"a": 5}), 10)


class Collections(MongoTest):
    def test_collections_and_databases_come_and_go(self):
        self.db.create_collection("made")
        self.fails(48, self.db.command, "create", "made")
        self.c.insert_one({"a": 1})
        self.assertEqual(sorted(self.db.list_collection_names()), ["c", "made"])
        [info] = self.db.list_collections(filter={"name": "c"})
        self.assertEqual((info["type"], info["info"]["readOnly"]), ("collection", False))
        self.assertIn(self.name, self.client.list_database_names())
        [described] = [d for d in self.client.list_databases() if d["name"] == self.name]
        self.assertFalse(described["empty"])
        self.db.drop_collection("made")
        self.assertEqual(self.db.list_collection_names(), ["c"])
        self.db.drop_collection("made")
        self.client.drop_database(self.name)
        self.assertNotIn(self.name, self.client.list_database_names())
        self.client.drop_database(self.name)

    def test_names_may_have_dots_and_capitals(self):
        for name in ["fs.files", "Users", "users", "with space", "ünï", 'quo"te', "semi;colon--"]:
            self.db[name].insert_one({"_id": name})
        for name in self.db.list_collection_names():
            self.assertEqual(self.db[name].find_one(), {"_id": name})
        self.assertEqual(len(self.db.list_collection_names()), 7)
        for name in ["system.x", ".x", "x."]:
            self.fails(73, self.db.command, "create", name)
        self.fails(73, self.db.command, "insert", "a$b", documents=[{}])
        self.fails(73, self.client.admin.command, "drop", "")

    def test_a_collection_is_renamed(self):
        self.c.insert_one({"_id": 1})
        self.c.create_index("a")
        self.c.rename("d")
        self.assertEqual(self.db.d.find_one(), {"_id": 1})
        self.assertEqual([i["name"] for i in self.db.d.list_indexes()], ["_id_", "a_1"])
        self.c.insert_one({"_id": 2})
        self.fails(48, self.c.rename, "d")
        self.c.rename("d", dropTarget=True)
        self.assertEqual(self.db.d.find_one(), {"_id": 2})
        self.fails(26, self.db.nothing.rename, "x")

    def test_options_of_create_that_are_not_there_are_refused(self):
        for options in [{"capped": True, "size": 1000}, {"validator": {"a": 1}}, {"viewOn": "c"}, {"collation": {"locale": "de"}},
                        {"timeseries": {"timeField": "t"}}]:
            with self.subTest(options=options):
                self.fails(115, self.db.command, "create", "x", **options)
        self.assertEqual(self.db.list_collection_names(), [])

    def test_clients_that_write_first_at_once_share_one_collection(self):
        failures = []

        def write(n):
            try:
                self.db.race.insert_one({"_id": n})
            except Exception as error:  # reported below
                failures.append(error)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.db.race.count_documents({}), 8)

    def test_statistics(self):
        self.c.insert_many([{"_id": n, "t": "x" * 100} for n in range(100)])
        stats = self.db.command("collStats", "c")
        self.assertEqual((stats["count"], stats["nindexes"], stats["ns"]), (100, 1, f"{self.name}.c"))
        [stats] = self.c.aggregate([{"$collStats": {"storageStats": {}, "count": {}}}])
        self.assertEqual((stats["count"], stats["storageStats"]["count"], stats["ns"]), (100, 100, f"{self.name}.c"))
        self.fails(40602, lambda: self.c.aggregate([{"$match": {}}, {"$collStats": {}}]))
        self.assertEqual(self.db.command("dbStats")["objects"], 100)
        self.assertTrue(self.db.validate_collection("c")["valid"])


class Server(MongoTest):
    def test_it_is_a_replica_set_of_one(self):
        hello = self.client.admin.command("hello")
        self.assertTrue(hello["isWritablePrimary"])
        self.assertEqual((hello["setName"], hello["hosts"], hello["primary"]), ("helios", [hello["me"]], hello["me"]))
        self.assertEqual((hello["maxWireVersion"], hello["maxBsonObjectSize"], hello["maxMessageSizeBytes"], hello["maxWriteBatchSize"]),
                         (21, 16777216, 48000000, 100000))
        self.assertEqual(hello["logicalSessionTimeoutMinutes"], 30)
        host, port = hello["me"].rsplit(":", 1)
        by_name = pymongo.MongoClient(host, int(port), replicaSet="helios", serverSelectionTimeoutMS=5000)
        by_name.admin.command("ping")
        self.assertEqual(by_name.topology_description.topology_type_name, "ReplicaSetWithPrimary")
        by_name.close()

    def test_what_tools_ask_at_connect(self):
        admin = self.client.admin
        self.assertEqual(self.client.server_info()["versionArray"], [7, 0, 14, 0])
        self.assertEqual(admin.command("getParameter", featureCompatibilityVersion=1)["featureCompatibilityVersion"]["version"], "7.0")
        self.assertIn("authenticationMechanisms", admin.command("getParameter", "*"))
        self.assertIn("argv", admin.command("getCmdLineOpts"))
        self.assertEqual(admin.command("serverStatus")["storageEngine"]["name"], "heliosdb")
        self.assertEqual(admin.command("getLog", "startupWarnings")["log"], [])
        self.assertIn("system", admin.command("hostInfo"))
        self.assertIn("authInfo", admin.command("connectionStatus", showPrivileges=True))
        self.assertIn("you", admin.command("whatsmyuri"))
        self.assertEqual(admin.command("replSetGetStatus")["myState"], 1)
        self.assertIn("inprog", admin.command("currentOp"))
        self.assertIn("find", admin.command("listCommands")["commands"])
        self.fails(59, admin.command, "atlasVersion")
        self.fails(72, admin.command, "getParameter", "foo")

    def test_commands_that_are_not_there_are_told_from_unknown_ones(self):
        self.fails(59, self.db.command, "nonsense")
        for name in ["collMod", "createUser", "mapReduce", "bulkWrite", "configureFailPoint", "compact"]:
            self.fails(115, self.db.command, name, "x")
        with self.assertRaises(pymongo.errors.OperationFailure) as caught:
            self.c.watch()
        self.assertEqual(caught.exception.code, 115)

    def test_internal_databases_take_no_writes(self):
        for name in ["admin", "config", "local"]:
            self.fails(20, self.client[name].c.insert_one, {"a": 1})


if __name__ == "__main__":
    unittest.main()
