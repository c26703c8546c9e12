"""Indexes change no answer: the same questions to a collection with them and to one without."""

import itertools
import random
import unittest

from pymongo.errors import OperationFailure

from support import MongoTest


def documents(seed, n):
    random.seed(seed)
    values = [None, 1, 2.5, "x", [1, 5], [], True]

    def one(i):
        document = {
            "_id": i, "b": random.randint(0, 5), "n": {"v": random.randint(0, 50)},
            "list": [{"q": random.randint(0, 9)} for _ in range(random.randint(0, 3))],
        }
        if random.random() > 0.1:
            document["a"] = random.choice([*values, random.randint(0, 20), [random.randint(0, 20)]])
        return document

    return [one(i) for i in range(n)]


FILTERS = [
    {}, {"a": {"$gt": 5}}, {"a": {"$gte": 2, "$lt": 6}}, {"a": {"$gt": 5, "$lt": 3}}, {"a": {"$lte": "x"}},
    {"a": {"$in": [1, "x", None]}}, {"a": {"$in": []}}, {"a": {"$eq": 1}}, {"a": None}, {"a": [1, 5]},
    {"b": 3}, {"b": 3, "n.v": {"$lt": 20}}, {"b": {"$in": [1, 3]}, "n.v": {"$gte": 25}},
    {"n.v": {"$gt": 10}, "b": {"$gt": 2}}, {"list.q": {"$in": [1, 2]}}, {"list.q": {"$gt": 3, "$lt": 5}},
    {"list.q": None}, {"_id": {"$gt": 50, "$lte": 90}}, {"_id": {"$in": [5, 6, 999, 7]}},
    {"$and": [{"b": 2}, {"n.v": {"$gte": 10}}]}, {"$or": [{"b": 2}, {"n.v": 7}]}, {"b": {"$gt": 3, "$ne": 4}},
]
SORTS = [
    [("a", 1)], [("a", -1)], [("_id", -1)], [("b", 1), ("n.v", -1)], [("b", -1), ("n.v", 1)], [("list.q", -1)],
    [("n.v", 1)], [("b", 1)],
]
INDEXES = ["a", [("b", 1), ("n.v", -1)], "list.q", "n.v"]


class Indexes(MongoTest):
    def setUp(self):
        super().setUp()
        self.plain = self.db.plain
        all_documents = documents(1, 300)
        self.plain.insert_many(all_documents)
        # Half of the rows come before the indexes, half after.
        self.c.insert_many(all_documents[:150])
        for index in INDEXES:
            self.c.create_index(index)
        self.c.insert_many(all_documents[150:])

    def ranks(self, sort):
        return self.plain.aggregate([{"$sort": dict([*sort, ("_id", 1)])}])

    def rank_of(self, sort):
        """Equal sort keys have equal ranks: the position of the first document that has the key."""
        rank, ranks = {}, {}
        for document in self.ranks(sort):
            key = tuple(self.key(document, path, direction) for path, direction in sort)
            ranks[document["_id"]] = rank.setdefault(key, len(rank))
        return ranks

    @staticmethod
    def key(document, path, direction):
        def reach(value, parts):
            if not parts:
                return value if isinstance(value, list) else [value]
            if isinstance(value, list):
                return [v for element in value for v in reach(element, parts)]
            return reach(value.get(parts[0]) if isinstance(value, dict) else None, parts[1:])

        values = reach(document, path.split("."))
        if values == [] and document.get(path) == []:
            return (-1,)
        kinds = {type(None): 0, int: 1, float: 1, str: 2, bool: 3}
        ranked = [(kinds[type(v)], 0 if v is None else v) for v in values] or [(0, 0)]
        return (min if direction == 1 else max)(ranked)

    def test_filters_find_the_same(self):
        for filter in FILTERS:
            found = sorted(d["_id"] for d in self.c.find(filter))
            self.assertEqual(found, sorted(d["_id"] for d in self.plain.find(filter)), filter)
            self.assertEqual(self.c.count_documents(filter), len(found), filter)

    def test_sorts_give_the_same_order(self):
        for sort in SORTS:
            rank = self.rank_of(sort)
            for filter, limit in itertools.product(FILTERS, (0, 7)):
                found = [d["_id"] for d in self.c.find(filter).sort(sort).limit(limit)]
                wanted = [d["_id"] for d in self.plain.find(filter).sort(sort).limit(limit)]
                self.assertEqual([rank[i] for i in found], [rank[i] for i in wanted], (filter, sort, limit))
                if limit == 0:
                    self.assertEqual(sorted(found), sorted(wanted), (filter, sort))

    def test_a_sort_by_an_index_stops_early(self):
        for find in ({"filter": {"a": {"$gt": 5}}}, {"filter": {"b": 3, "n.v": {"$lt": 20}}},
                     {"filter": {"_id": {"$in": [1, 2]}}}, {"filter": {}, "sort": {"n.v": -1}, "limit": 3},
                     {"filter": {"b": 2}, "sort": {"n.v": 1}, "limit": 3}, {"filter": {}, "sort": {"_id": -1}, "limit": 1}):
            plan = self.db.command({"explain": {"find": "c", **find}})["queryPlanner"]["winningPlan"]
            self.assertEqual(plan["stage"], "Kv", (find, plan))
            plan = self.db.command({"explain": {"find": "plain", **find}})["queryPlanner"]["winningPlan"]
            if "_id" not in str(find):
                self.assertNotEqual(plan["stage"], "Kv", (find, plan))

    def test_updates_and_deletes_reach_the_same(self):
        for filter in FILTERS[1:]:
            for collection in (self.c, self.plain):
                collection.update_many(filter, {"$inc": {"hits": 1}})
        self.c.delete_many({"n.v": {"$gt": 40}})
        self.plain.delete_many({"n.v": {"$gt": 40}})
        self.c.update_many({"b": {"$gt": 2}}, {"$set": {"b": 1, "n.v": 7}})
        self.plain.update_many({"b": {"$gt": 2}}, {"$set": {"b": 1, "n.v": 7}})
        order = [("_id", 1)]
        self.assertEqual(list(self.c.find().sort(order)), list(self.plain.find().sort(order)))
        self.test_filters_find_the_same()

    def test_lookups_by_key_and_by_index_join_the_same(self):
        for local, foreign in (("b", "_id"), ("b", "b"), ("a", "a"), ("list.q", "list.q"), ("none", "a"), ("a", "_id")):
            def joined(collection):
                stage = {"from": collection, "localField": local, "foreignField": foreign, "as": "found"}
                pipeline = [{"$match": {"_id": {"$lt": 60}}}, {"$lookup": stage}]
                return {d["_id"]: sorted(f["_id"] for f in d["found"]) for d in self.plain.aggregate(pipeline)}

            self.assertEqual(joined("c"), joined("plain"), (local, foreign))

    def test_unique_indexes_see_each_element_and_null_once(self):
        self.db.u.create_index("k", unique=True)
        self.db.u.insert_many([{"_id": 1, "k": [1, 2, 2]}, {"_id": 2, "k": 3}, {"_id": 3}, {"_id": 4, "k": []}])
        for document in ({"k": 2}, {"k": [9, 1]}, {"k": 3.0}, {"k": None}, {}, {"k": []}):
            self.fails(11000, self.db.u.insert_one, document)
        error = self.fails(11000, self.c.create_index, "b", unique=True)
        self.assertIn("index: b_1", str(error))
        self.assertEqual(error.details["keyPattern"], {"b": 1})
        self.db.u.insert_one({"_id": 5, "k": [[1], 7]})
        self.assertEqual(self.db.u.count_documents({}), 5)

    def test_parallel_arrays_are_refused(self):
        self.db.p.create_index([("x", 1), ("y", 1)])
        self.db.p.insert_one({"x": [1, 2], "y": 3})
        error = self.fails(171, self.db.p.insert_one, {"x": [1], "y": [2]})
        self.assertIn("parallel arrays", str(error))
        self.db.q.create_index([("l.x", 1), ("l.y", 1)])
        self.db.q.insert_one({"l": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]})
        self.assertEqual(self.db.q.count_documents({"l.x": 3, "l.y": {"$lt": 5}}), 1)

    def test_two_bounds_may_be_met_by_two_elements(self):
        self.db.r.create_index("s")
        self.db.r.insert_many([{"_id": 1, "s": 5}, {"_id": 2, "s": 50}])
        bounds = {"s": {"$gt": 4, "$lt": 10}}
        self.assertEqual(self.ids(self.db.r.find(bounds)), [1])
        self.db.r.insert_one({"_id": 3, "s": [1, 20]})
        self.assertEqual(sorted(self.ids(self.db.r.find(bounds))), [1, 3])
        self.assertEqual(self.ids(self.db.r.find(bounds).sort("s", 1)), [3, 1])
        with self.client.start_session() as session, session.start_transaction():
            self.db.r.insert_one({"_id": 4, "s": [0, 30]}, session=session)
            self.assertEqual(sorted(self.ids(self.db.r.find(bounds, session=session))), [1, 3, 4])

    def test_kinds_of_index_that_are_not_there_are_refused(self):
        for options in ({"sparse": True}, {"partialFilterExpression": {"a": 1}}, {"expireAfterSeconds": 5}, {"hidden": True}):
            self.fails(115, self.c.create_index, "z", **options)
        self.assertRaises(OperationFailure, self.c.create_index, [("z", "text")])
        self.assertNotIn("z_1", self.c.index_information())


if __name__ == "__main__":
    unittest.main()
