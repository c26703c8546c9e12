"""Tables of SQL as collections, and collections as tables of SQL."""

import datetime
import unittest
import uuid

from bson import Binary, Decimal128, Int64, ObjectId, Timestamp

from support import MongoTest, psql


class CollectionsInSql(MongoTest):
    def test_a_collection_is_a_table_of_ids_and_documents(self):
        self.c.insert_many([{"_id": 1, "name": "Ann", "tags": ["a"], "at": datetime.datetime(2024, 2, 29, 1, 2, 3)},
                            {"_id": "two", "name": "Bob", "n": Int64(5)}])
        self.assertEqual(psql(f"SELECT _id, doc->>'name' FROM {self.name}.c ORDER BY _id"), [["1", "Ann"], ["two", "Bob"]])
        self.assertEqual(psql(f"SELECT doc->'tags'->>0, doc->>'at' FROM {self.name}.c WHERE _id = '1'"), [["a", "2024-02-29T01:02:03.000Z"]])
        self.assertEqual(psql(f"SELECT count(*), sum((doc->>'n')::int) FROM {self.name}.c"), [["2", "5"]])
        columns = psql(f"SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = '{self.name}' ORDER BY ordinal_position")
        self.assertEqual(columns, [["_id", "text"], ["doc", "jsonb"]])

    def test_sql_writes_documents_that_mongodb_reads(self):
        self.c.insert_one({"_id": 0})
        psql(f"""INSERT INTO {self.name}.c (_id, doc) VALUES ('x', '{{"_id": "x", "a": {{"b": [1, 2.5, null, true]}}}}')""")
        self.assertEqual(self.c.find_one({"_id": "x"}), {"_id": "x", "a": {"b": [1, 2.5, None, True]}})
        psql(f"""UPDATE {self.name}.c SET doc = doc || '{{"n": 5}}' WHERE _id = 'x'""")
        self.assertEqual(self.c.find_one({"n": 5})["_id"], "x")
        psql(f"DELETE FROM {self.name}.c WHERE _id = 'x'")
        self.assertEqual(self.ids(self.c.find()), [0])
        psql(f"""INSERT INTO {self.name}.c VALUES ('y', '{{"a": 1}}')""")
        self.assertEqual(list(self.c.find_one({"a": 1}).items()), [("_id", "y"), ("a", 1)])
        for bad in ["VALUES ('y', '{\"_id\": \"z\"}')", "VALUES (NULL, '{}')", "VALUES ('y', '[1]')", "VALUES ('y', NULL)"]:
            with self.assertRaises(AssertionError):
                psql(f"INSERT INTO {self.name}.c {bad}")

    def test_a_document_that_goes_through_json_keeps_its_types(self):
        document = {"_id": ObjectId(), "at": datetime.datetime(2024, 2, 29, 1, 2, 3), "long": Int64(5), "double": 5.0, "decimal": Decimal128("1.10"),
                    "list": [ObjectId(), {"when": datetime.datetime(2020, 1, 1)}], "binary": b"x", "ts": Timestamp(5, 6), "n": 1}
        self.c.insert_one(document)
        # What an object mapper does: reads the document as text, changes a field, writes all of it.
        psql(f"""UPDATE {self.name}.c SET doc = (replace(doc::text, '"n": 1', '"n": 2'))::jsonb""")
        found = self.c.find_one()
        self.assertEqual(found, {**document, "n": 2})
        for name in ["long", "double", "decimal"]:
            self.assertIs(type(found[name]), type(document[name]), name)

    def test_collections_join_tables(self):
        self.c.insert_many([{"_id": n, "who": n % 2} for n in range(4)])
        psql(f"CREATE TABLE {self.name}.people (id int PRIMARY KEY, name text)")
        psql(f"INSERT INTO {self.name}.people VALUES (0, 'Ann'), (1, 'Bob')")
        rows = psql(f"SELECT p.name, count(*) FROM {self.name}.c JOIN {self.name}.people p ON p.id = (c.doc->>'who')::int GROUP BY 1 ORDER BY 1")
        self.assertEqual(rows, [["Ann", "2"], ["Bob", "2"]])
        joined = list(self.c.aggregate([{"$match": {"_id": 1}}, {"$lookup": {"from": "people", "localField": "who", "foreignField": "_id", "as": "p"}}]))
        self.assertEqual(joined, [{"_id": 1, "who": 1, "p": [{"_id": 1, "id": 1, "name": "Bob"}]}])
        psql(f"DROP TABLE {self.name}.people")


class TablesAsCollections(MongoTest):
    def setUp(self):
        super().setUp()
        psql(f"DROP SCHEMA IF EXISTS {self.name} CASCADE; CREATE SCHEMA {self.name}")

    def tearDown(self):
        psql(f"DROP SCHEMA IF EXISTS {self.name} CASCADE")

    def make(self, columns, *rows, table="t"):
        psql(f"CREATE TABLE {self.name}.{table} ({columns})")
        for row in rows:
            psql(f"INSERT INTO {self.name}.{table} VALUES ({row})")
        return self.db[table]

    def test_columns_of_every_type_become_fields(self):
        t = self.make(
            """id int PRIMARY KEY, b bool, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric(10,2), tx text, vc varchar(5),
               by bytea, d date, ti time, ts timestamp, tz timestamptz, u uuid, j jsonb, ia int[], ta text[], nothing text""",
            """1, true, 2, 9007199254740993, 0.1, 2.5, 12.50, 'text', 'vc', '\\x00ff', '2024-02-29', '12:34:56', '2024-02-29 01:02:03.004',
               '2024-02-29 01:02:03+02', '00000000-0000-0000-0000-000000000005', '{"a": [1, {"b": null}]}', '{1,2}', '{a,NULL}', NULL""")
        self.assertEqual(t.find_one(), {
            "_id": 1, "id": 1, "b": True, "i2": 2, "i8": Int64(9007199254740993), "f4": 0.1, "f8": 2.5, "n": Decimal128("12.50"),
            "tx": "text", "vc": "vc", "by": b"\x00\xff", "d": datetime.datetime(2024, 2, 29), "ti": "12:34:56",
            "ts": datetime.datetime(2024, 2, 29, 1, 2, 3, 4000), "tz": datetime.datetime(2024, 2, 28, 23, 2, 3),
            "u": Binary.from_uuid(uuid.UUID(int=5)), "j": {"a": [1, {"b": None}]}, "ia": [1, 2], "ta": ["a", None], "nothing": None})
        for filter in [{"_id": 1}, {"id": 1}, {"b": True}, {"i8": 9007199254740993}, {"n": Decimal128("12.5")}, {"n": 12.5}, {"tx": "text"},
                       {"tx": {"$regex": "^te"}}, {"tz": datetime.datetime(2024, 2, 28, 23, 2, 3)}, {"tz": {"$gt": datetime.datetime(2024, 1, 1)}},
                       {"u": Binary.from_uuid(uuid.UUID(int=5))}, {"j.a": 1}, {"ia": 2}, {"ta": "a"}, {"nothing": None}, {"by": b"\x00\xff"},
                       {"d": datetime.datetime(2024, 2, 29)}, {"f4": 0.1}, {"i2": {"$in": [1, 2]}}, {"missing": None}]:
            with self.subTest(filter=filter):
                self.assertEqual(t.count_documents(filter), 1)
        for filter in [{"id": "1"}, {"id": 1.5}, {"b": 1}, {"tx": 5}, {"n": 12.51}, {"nothing": {"$exists": False}}, {"u": "x"}]:
            with self.subTest(filter=filter):
                self.assertEqual(t.count_documents(filter), 0)

    def test_predicates_have_two_truth_values(self):
        t = self.make("id int PRIMARY KEY, a int", "1, 1", "2, 2", "3, NULL")
        for filter, expected in [({"a": {"$ne": 1}}, [2, 3]), ({"a": {"$nin": [1, 2]}}, [3]), ({"a": {"$not": {"$gt": 1}}}, [1, 3]),
                                 ({"$nor": [{"a": 1}]}, [2, 3]), ({"a": None}, [3]), ({"a": {"$gt": 1.5}}, [2]), ({"a": {"$lt": "x"}}, []),
                                 ({"a": {"$in": [1, None]}}, [1, 3]), ({"a": {"$exists": True}}, [1, 2, 3]), ({"a": {"$gte": None}}, [3])]:
            with self.subTest(filter=filter):
                self.assertEqual(sorted(self.ids(t.find(filter))), expected)

    def test_documents_are_inserted_into_typed_columns(self):
        t = self.make("id int PRIMARY KEY, b bool, n numeric, tx text, tz timestamptz, u uuid, j jsonb, ia int[], f float8, by bytea")
        when = datetime.datetime(2024, 2, 29, 1, 2, 3, 4000)
        t.insert_one({"_id": 1, "b": False, "n": Decimal128("1.10"), "tx": "a", "tz": when, "u": Binary.from_uuid(uuid.UUID(int=7)),
                      "j": {"x": [1]}, "ia": [3, 4], "f": 5, "by": b"ab"})
        t.insert_many([{"_id": 2.0, "n": 5}, {"id": 3, "_id": 3}, {"_id": Int64(4), "j": None}])
        rows = psql(f"SELECT id, b, n, tx, tz AT TIME ZONE 'UTC', u, j, ia, f, by FROM {self.name}.t ORDER BY id")
        self.assertEqual(rows[0], ["1", "f", "1.10", "a", "2024-02-29 01:02:03.004", str(uuid.UUID(int=7)), '{"x": [1]}', "{3,4}", "5", "\\x6162"])
        self.assertEqual([r[0] for r in rows], ["1", "2", "3", "4"])
        self.assertEqual(rows[1][2], "5")

    def test_values_that_a_column_cannot_hold_are_refused_with_its_name(self):
        t = self.make("id int PRIMARY KEY, n int NOT NULL DEFAULT 1, tx varchar(3), tz timestamptz, CHECK (n < 100)")
        for document, column in [({"_id": "x"}, "id"), ({"_id": 1, "n": 1.5}, "n"), ({"_id": 1, "n": "5"}, "n"), ({"_id": 1, "n": 2**40}, "n"),
                                 ({"_id": 1, "tz": "2024-01-01"}, "tz"), ({"_id": 1, "other": 1}, "other"), ({"_id": 1, "n": None}, "n")]:
            with self.subTest(document=document):
                error = self.fails(121, t.insert_one, document)
                self.assertEqual(error.details["errInfo"]["details"]["column"], column)
        self.fails(121, t.insert_one, {"_id": 1, "n": 100})
        self.fails(121, t.insert_one, {"_id": 1, "tx": "long text"})
        self.fails(11000, lambda: [t.insert_one({"_id": 1}), t.insert_one({"_id": 1})])
        self.fails(121, t.update_one, {"_id": 1}, {"$set": {"n": "x"}})
        self.fails(121, t.update_one, {"_id": 1}, {"$set": {"other": 1}})
        self.assertEqual(list(t.find()), [{"_id": 1, "id": 1, "n": 1, "tx": None, "tz": None}])

    def test_an_object_id_that_a_driver_added_is_ignored_where_the_key_makes_itself(self):
        t = self.make("id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text")
        t.insert_one({"name": "a"})
        t.insert_many([{"name": "b"}, {"name": "c"}])
        self.assertEqual(list(t.find()), [{"_id": n, "id": n, "name": x} for n, x in [(1, "a"), (2, "b"), (3, "c")]])
        s = self.make("id serial PRIMARY KEY, name text", table="s")
        s.insert_one({"name": "a"})
        self.assertEqual(s.find_one(), {"_id": 1, "id": 1, "name": "a"})
        a = self.make("id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text", table="a")
        a.insert_one({"name": "a"})
        self.assertEqual(a.find_one()["_id"], 1)
        x = self.make("id text PRIMARY KEY, name text", table="x")
        key = x.insert_one({"name": "a"}).inserted_id
        self.assertEqual(x.find_one(), {"_id": str(key), "id": str(key), "name": "a"})
        n = self.make("id int PRIMARY KEY, name text", table="n")
        self.fails(121, n.insert_one, {"name": "a"})

    def test_rows_are_updated_through_operators(self):
        t = self.make("id int PRIMARY KEY, n int, tx text, j jsonb, ia int[], tz timestamptz, m numeric",
                      """1, 5, 'a', '{"k": 1}', '{1,2}', '2024-01-01 00:00:00.123456+00', 1.5""", "2, 7, 'b', NULL, NULL, NULL, NULL")
        self.assertEqual(t.update_one({"_id": 1}, {"$inc": {"n": 2}, "$set": {"tx": "z", "j.x": [1]}, "$push": {"ia": 3}}).modified_count, 1)
        self.assertEqual(psql(f"SELECT n, tx, j, ia, tz AT TIME ZONE 'UTC', m FROM {self.name}.t WHERE id = 1"),
                         [["7", "z", '{"k": 1, "x": [1]}', "{1,2,3}", "2024-01-01 00:00:00.123456", "1.5"]])
        self.assertEqual(t.update_many({}, {"$unset": {"tx": 1}, "$inc": {"n": 1}}).modified_count, 2)
        self.assertEqual(psql(f"SELECT n, tx FROM {self.name}.t ORDER BY id"), [["8", None], ["8", None]])
        self.assertEqual(t.update_one({"_id": 9}, {"$set": {"n": 1}}, upsert=True).upserted_id, 9)
        self.assertEqual(t.find_one({"_id": 9})["n"], 1)
        self.assertEqual(t.replace_one({"_id": 9}, {"tx": "new"}).modified_count, 1)
        self.assertEqual(t.find_one({"_id": 9}, {"n": 1, "tx": 1}), {"_id": 9, "n": None, "tx": "new"})
        self.assertEqual(t.find_one_and_update({"_id": 2}, {"$mul": {"n": 3}}, return_document=True)["n"], 24)
        self.assertEqual(t.find_one_and_delete({"_id": 9})["tx"], "new")
        self.fails(66, t.update_one, {"_id": 1}, {"$set": {"id": 5}})
        self.assertEqual(t.delete_one({"n": 24}).deleted_count, 1)
        self.assertEqual(t.delete_many({"n": {"$gt": 0}}).deleted_count, 1)
        self.assertEqual(psql(f"SELECT count(*) FROM {self.name}.t"), [["0"]])

    def test_a_value_that_was_read_and_written_back_loses_nothing(self):
        t = self.make("id int PRIMARY KEY, tz timestamptz, r real, n numeric, x text",
                      "1, '2024-01-01 00:00:00.123456+00', 0.1, 1.50, 'a'")
        before = psql(f"SELECT * FROM {self.name}.t")
        document = t.find_one()
        document["x"] = "b"
        t.replace_one({"_id": 1}, document)
        self.assertEqual(psql(f"SELECT * FROM {self.name}.t"), [before[0][:-1] + ["b"]])

    def test_composite_keys_are_documents(self):
        t = self.make("a int, b text, v int, PRIMARY KEY (a, b)", "1, 'x', 10", "1, 'y', 20")
        self.assertEqual(t.find_one({"_id": {"a": 1, "b": "y"}}), {"_id": {"a": 1, "b": "y"}, "a": 1, "b": "y", "v": 20})
        t.insert_one({"_id": {"a": 2, "b": "z"}, "v": 5})
        self.assertEqual(t.update_one({"_id": {"a": 2, "b": "z"}}, {"$inc": {"v": 1}}).modified_count, 1)
        self.assertEqual(t.delete_one({"_id": {"a": 1, "b": "x"}}).deleted_count, 1)
        self.assertEqual(psql(f"SELECT * FROM {self.name}.t ORDER BY a"), [["1", "y", "20"], ["2", "z", "6"]])

    def test_a_table_without_a_key_is_read_and_not_written(self):
        t = self.make("a int", "1", "2")
        self.assertEqual(sorted(d["a"] for d in t.find()), [1, 2])
        self.fails(20, t.insert_one, {"a": 3})
        self.fails(20, t.update_one, {"a": 1}, {"$set": {"a": 3}})
        self.assertEqual(psql(f"SELECT sum(a) FROM {self.name}.t"), [["3"]])

    def test_tables_group_sort_and_index_as_collections_do(self):
        t = self.make("id int PRIMARY KEY, g int, v numeric", "1, 1, 1.5", "2, 1, 2.5", "3, 2, 10")
        self.assertEqual(list(t.aggregate([{"$group": {"_id": "$g", "s": {"$sum": "$v"}}}, {"$sort": {"_id": 1}}])),
                         [{"_id": 1, "s": Decimal128("4.0")}, {"_id": 2, "s": Decimal128("10")}])
        self.assertEqual(self.ids(t.find().sort([("g", -1), ("_id", -1)])), [3, 2, 1])
        self.assertEqual(t.distinct("g"), [1, 2])
        t.create_index("g")
        self.assertEqual([(i["name"], i["key"]) for i in t.list_indexes()], [("_id_", {"_id": 1}), ("g_1", {"g": 1})])
        self.assertEqual(t.count_documents({"g": 1}), 2)

    def test_constraints_of_sql_hold(self):
        self.make("id int PRIMARY KEY", "1", table="parent")
        t = self.make(f"id int PRIMARY KEY, p int REFERENCES {self.name}.parent, u text UNIQUE", "1, 1, 'a'")
        self.fails(121, t.insert_one, {"_id": 2, "p": 5})
        error = self.fails(11000, t.insert_one, {"_id": 2, "u": "a"})
        self.assertEqual(error.details["keyValue"], {"u": "a"})
        self.fails(121, self.db.parent.delete_one, {"_id": 1})
        self.assertEqual(psql(f"SELECT count(*) FROM {self.name}.t"), [["1"]])

    def test_a_table_of_sql_outlives_commands_that_drop(self):
        t = self.make("id int PRIMARY KEY", "1")
        self.c.insert_one({"a": 1})
        self.fails(13, self.db.drop_collection, "t")
        self.client.drop_database(self.name)
        self.assertEqual(self.db.list_collection_names(), ["t"])
        self.assertEqual(t.find_one(), {"_id": 1, "id": 1})

    def test_views_are_listed_and_read(self):
        self.make("id int PRIMARY KEY, n int", "1, 5", "2, 6")
        psql(f"CREATE VIEW {self.name}.v AS SELECT id, n * 2 AS double FROM {self.name}.t")
        self.assertEqual([(i["name"], i["type"]) for i in self.db.list_collections()], [("t", "collection"), ("v", "view")])
        self.assertEqual(list(self.db.v.find({"double": {"$gt": 10}}, {"_id": 0})), [{"id": 2, "double": 12}])
        self.assertEqual(self.db.v.count_documents({}), 2)
        self.assertEqual(list(self.db.v.aggregate([{"$group": {"_id": None, "s": {"$sum": "$double"}}}])), [{"_id": None, "s": 22}])
        self.fails(166, self.db.v.insert_one, {"id": 1})

    def test_columns_that_come_and_go_come_and_go_in_documents(self):
        t = self.make("id int PRIMARY KEY, a int", "1, 5")
        psql(f"ALTER TABLE {self.name}.t ADD COLUMN b text DEFAULT 'x'")
        self.assertEqual(t.find_one(), {"_id": 1, "id": 1, "a": 5, "b": "x"})
        psql(f"ALTER TABLE {self.name}.t DROP COLUMN a")
        self.assertEqual(t.find_one(), {"_id": 1, "id": 1, "b": "x"})
        psql(f"ALTER TABLE {self.name}.t RENAME COLUMN b TO c")
        t.update_one({"_id": 1}, {"$set": {"c": "y"}})
        self.assertEqual(psql(f"SELECT c FROM {self.name}.t"), [["y"]])

    def test_a_logical_database_is_a_database(self):
        psql("DROP DATABASE IF EXISTS mongo_other", check=False)
        psql("CREATE DATABASE mongo_other")
        psql("CREATE TABLE t (id int PRIMARY KEY, a text)", database="mongo_other")
        other = self.client.mongo_other
        other.t.insert_one({"_id": 1, "a": "x"})
        other.docs.insert_one({"_id": 5})
        self.assertEqual(psql("SELECT * FROM t", database="mongo_other"), [["1", "x"]])
        self.assertEqual(psql("SELECT _id FROM docs", database="mongo_other"), [["5"]])
        self.assertEqual(sorted(other.list_collection_names()), ["docs", "t"])
        self.assertIn("mongo_other", self.client.list_database_names())
        psql("DROP DATABASE mongo_other")


if __name__ == "__main__":
    unittest.main()
