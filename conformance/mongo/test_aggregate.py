"""Pipelines: each stage, together, over cursors; explain."""

import unittest

from bson import Int64

from pymongo.errors import OperationFailure

from support import MongoTest


class Aggregate(MongoTest):
    def setUp(self):
        super().setUp()
        self.db.orders.insert_many([
            {"_id": 1, "who": "ann", "n": 2, "items": ["p", "q"], "at": {"city": "Rome"}},
            {"_id": 2, "who": "bob", "n": 5, "items": ["q"], "at": {"city": "Oslo"}},
            {"_id": 3, "who": "ann", "n": 3, "items": []},
            {"_id": 4, "who": "cid", "n": 7.5},
        ])
        self.db.goods.insert_many([{"_id": "p", "price": 10, "kind": 1}, {"_id": "q", "price": 20, "kind": 1}, {"_id": "r", "kind": 2}])

    def run_pipeline(self, *stages, **options):
        return list(self.db.orders.aggregate(list(stages), **options))

    def test_match_project_and_add_fields(self):
        self.assertEqual(self.run_pipeline({"$match": {"n": {"$gt": 2}}}, {"$project": {"n": 1, "double": {"$multiply": ["$n", 2]}}}),
                         [{"_id": 2, "n": 5, "double": 10}, {"_id": 3, "n": 3, "double": 6}, {"_id": 4, "n": 7.5, "double": 15.0}])
        self.assertEqual(self.run_pipeline({"$match": {"_id": 1}}, {"$addFields": {"at.zip": 5, "c": {"$size": "$items"}}}, {"$unset": "items"}),
                         [{"_id": 1, "who": "ann", "n": 2, "at": {"city": "Rome", "zip": 5}, "c": 2}])
        self.assertEqual(self.run_pipeline({"$match": {"_id": 2}}, {"$project": {"_id": 0, "who": 0, "n": 0, "items": 0}}), [{"at": {"city": "Oslo"}}])
        self.assertEqual(self.run_pipeline({"$addFields": {"x": 1}}, {"$match": {"x": 1, "_id": 2}}, {"$project": {"x": 1}}), [{"_id": 2, "x": 1}])

    def test_group_with_every_accumulator(self):
        groups = self.run_pipeline(
            {"$sort": {"_id": 1}},
            {"$group": {"_id": "$who", "sum": {"$sum": "$n"}, "avg": {"$avg": "$n"}, "min": {"$min": "$n"}, "max": {"$max": "$n"},
                        "first": {"$first": "$_id"}, "last": {"$last": "$_id"}, "all": {"$push": "$n"}, "count": {"$count": {}},
                        "set": {"$addToSet": "$who"}}},
            {"$sort": {"_id": 1}})
        self.assertEqual(groups[0], {"_id": "ann", "sum": 5, "avg": 2.5, "min": 2, "max": 3, "first": 1, "last": 3, "all": [2, 3], "count": 2, "set": ["ann"]})
        self.assertEqual([g["sum"] for g in groups], [5, 5, 7.5])
        self.assertEqual(self.run_pipeline({"$group": {"_id": None, "n": {"$sum": 1}}}), [{"_id": None, "n": 4}])
        self.assertEqual(list(self.db.nothing.aggregate([{"$group": {"_id": None, "n": {"$sum": 1}}}])), [])
        by_two = self.run_pipeline({"$group": {"_id": {"w": "$who", "c": "$at.city"}, "n": {"$sum": 1}}}, {"$sort": {"_id.w": 1, "_id.c": 1}})
        self.assertEqual(by_two[0], {"_id": {"w": "ann"}, "n": 1})
        self.assertEqual(by_two[1], {"_id": {"w": "ann", "c": "Rome"}, "n": 1})

    def test_sort_limit_skip_and_count(self):
        self.assertEqual(self.ids(self.run_pipeline({"$sort": {"n": -1}}, {"$skip": 1}, {"$limit": 2})), [2, 3])
        self.assertEqual(self.ids(self.run_pipeline({"$sort": {"n": -1}}, {"$limit": 3}, {"$sort": {"_id": 1}})), [2, 3, 4])
        self.assertEqual(self.run_pipeline({"$match": {"who": "ann"}}, {"$count": "n"}), [{"n": 2}])
        self.assertEqual(self.run_pipeline({"$match": {"who": "dan"}}, {"$count": "n"}), [])
        self.assertEqual(self.run_pipeline({"$sort": {"who": 1, "n": -1}}, {"$project": {"who": 1}}, {"$limit": 1}), [{"_id": 3, "who": "ann"}])

    def test_unwind(self):
        self.assertEqual([(d["_id"], d["items"]) for d in self.run_pipeline({"$unwind": "$items"})], [(1, "p"), (1, "q"), (2, "q")])
        kept = self.run_pipeline({"$unwind": {"path": "$items", "preserveNullAndEmptyArrays": True, "includeArrayIndex": "i"}}, {"$project": {"items": 1, "i": 1}})
        self.assertEqual(kept, [{"_id": 1, "items": "p", "i": 0}, {"_id": 1, "items": "q", "i": 1}, {"_id": 2, "items": "q", "i": 0},
                                {"_id": 3, "i": None}, {"_id": 4, "i": None}])
        self.assertEqual(self.ids(self.run_pipeline({"$sort": {"n": -1}}, {"$unwind": "$items"})), [2, 1, 1])

    def test_lookup_by_fields_and_by_pipeline(self):
        joined = self.run_pipeline({"$lookup": {"from": "goods", "localField": "items", "foreignField": "_id", "as": "goods"}}, {"$sort": {"_id": 1}})
        self.assertEqual([[g["_id"] for g in d["goods"]] for d in joined], [["p", "q"], ["q"], [], []])
        joined = self.run_pipeline({"$lookup": {"from": "goods", "pipeline": [{"$match": {"kind": 2}}, {"$project": {"_id": 1}}], "as": "x"}}, {"$limit": 1})
        self.assertEqual(joined[0]["x"], [{"_id": "r"}])
        joined = self.run_pipeline({"$match": {"_id": 1}},
                                   {"$lookup": {"from": "goods", "let": {"wanted": "$items"}, "as": "x",
                                                "pipeline": [{"$match": {"$expr": {"$in": ["$_id", "$$wanted"]}}}, {"$sort": {"price": -1}}]}})
        self.assertEqual(self.ids(joined[0]["x"]), ["q", "p"])
        matched = self.run_pipeline({"$unwind": "$items"}, {"$lookup": {"from": "goods", "localField": "items", "foreignField": "_id", "as": "g"}},
                                    {"$match": {"g.price": 20}}, {"$sort": {"_id": -1}}, {"$project": {"p": "$g.price"}})
        self.assertEqual(matched, [{"_id": 2, "p": [20]}, {"_id": 1, "p": [20]}])
        nested = self.run_pipeline({"$match": {"_id": 1}}, {"$lookup": {"from": "goods", "let": {"w": "$who"}, "as": "x", "pipeline": [
            {"$limit": 1}, {"$lookup": {"from": "orders", "let": {"k": "$_id"}, "as": "y", "pipeline": [
                {"$match": {"$expr": {"$and": [{"$eq": ["$who", "$$w"]}, {"$in": ["$$k", "$items"]}]}}}, {"$project": {"name": "$$w"}}]}}]}})
        self.assertEqual(nested[0]["x"][0]["y"], [{"_id": 1, "name": "ann"}])
        joined = self.run_pipeline({"$match": {"_id": 1}}, {"$lookup": {"from": "nothing", "localField": "a", "foreignField": "b", "as": "x"}})
        self.assertEqual(joined[0]["x"], [])
        self_join = self.run_pipeline({"$match": {"_id": 1}}, {"$lookup": {"from": "orders", "localField": "who", "foreignField": "who", "as": "x"}})
        self.assertEqual(sorted(self.ids(self_join[0]["x"])), [1, 3])

    def test_further_stages(self):
        self.assertEqual(self.run_pipeline({"$match": {"_id": 1}}, {"$replaceRoot": {"newRoot": "$at"}}), [{"city": "Rome"}])
        self.assertEqual(self.run_pipeline({"$sortByCount": "$who"}, {"$limit": 1}), [{"_id": "ann", "count": 2}])
        facet = self.run_pipeline({"$facet": {"big": [{"$match": {"n": {"$gt": 3}}}, {"$count": "n"}], "names": [{"$group": {"_id": "$who"}}, {"$sort": {"_id": 1}}]}})
        self.assertEqual(facet, [{"big": [{"n": 2}], "names": [{"_id": "ann"}, {"_id": "bob"}, {"_id": "cid"}]}])
        union = self.run_pipeline({"$project": {"_id": 1}}, {"$unionWith": {"coll": "goods", "pipeline": [{"$project": {"_id": 1}}]}})
        self.assertEqual([d["_id"] for d in union], [1, 2, 3, 4, "p", "q", "r"])
        self.assertEqual(len(self.run_pipeline({"$sample": {"size": 2}})), 2)

    def test_buckets(self):
        stage = {"groupBy": "$n", "boundaries": [0, 2, 4], "default": "more", "output": {"who": {"$push": "$who"}, "n": {"$sum": 1}}}
        found = {d["_id"]: d["n"] for d in self.run_pipeline({"$bucket": stage})}
        documents = list(self.db.orders.find())
        wanted = {"more": sum(d["n"] >= 4 for d in documents), 0: sum(d["n"] < 2 for d in documents), 2: sum(2 <= d["n"] < 4 for d in documents)}
        self.assertEqual(found, {k: v for k, v in wanted.items() if v})
        for change, code in [({"boundaries": [2, 1]}, 40194), ({"boundaries": [1]}, 40192), ({"boundaries": [1, "x"]}, 40193),
                             ({"default": 1}, 40199), ({"groupBy": 5}, 40202), ({"more": 1}, 40197)]:
            self.fails(code, self.run_pipeline, {"$bucket": {**stage, **change}})

    def test_documents_without_a_collection(self):
        given = {"$documents": [{"_id": 1, "k": "a"}, {"_id": 2, "k": "b"}]}
        self.assertEqual(list(self.db.aggregate([given, {"$match": {"k": "b"}}])), [{"_id": 2, "k": "b"}])
        union = self.run_pipeline({"$match": {"_id": 1}}, {"$project": {"_id": 1}}, {"$unionWith": {"pipeline": [given, {"$unset": "k"}]}})
        self.assertEqual(union, [{"_id": 1}, {"_id": 1}, {"_id": 2}])
        joined = self.run_pipeline({"$match": {"_id": 2}}, {"$lookup": {"localField": "_id", "foreignField": "_id", "as": "x", "pipeline": [given]}})
        self.assertEqual(joined[0]["x"], [{"_id": 2, "k": "b"}])
        self.fails(40602, self.run_pipeline, given)

    def test_out_replaces_a_collection(self):
        self.db.target.insert_many([{"_id": "old"}])
        self.db.target.create_index("n")
        self.assertEqual(self.run_pipeline({"$match": {"n": {"$gt": 3}}}, {"$out": "target"}), [])
        wanted = list(self.db.orders.find({"n": {"$gt": 3}}).sort("_id"))
        self.assertEqual(list(self.db.target.find().sort("_id")), wanted)
        self.assertIn("n_1", self.db.target.index_information())
        # Of the collection itself, which is read before it is emptied.
        self.db.target.aggregate([{"$set": {"twice": True}}, {"$out": "target"}])
        self.assertEqual(self.db.target.count_documents({"twice": True}), len(wanted))
        # A failure leaves everything as it was.
        self.db.target.create_index("who", unique=True)
        self.fails(11000, self.db.target.aggregate, [{"$set": {"who": "same"}}, {"$out": "target"}])
        self.assertEqual(self.db.target.count_documents({"twice": True}), len(wanted))
        self.fails(40601, self.run_pipeline, {"$out": "x"}, {"$limit": 1})

    def test_merge_in_each_mode(self):
        target, before = self.db.target, [{"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 2}]
        source = {"$documents": [{"_id": 2, "a": 20, "c": 3}, {"_id": 3, "a": 30}]}

        def merged(**mode):
            target.drop()
            target.insert_many(before)
            self.db.aggregate([source, {"$merge": {"into": "target", **mode}}])
            return {d.pop("_id"): d for d in target.find()}

        first = {1: {"a": 1, "b": 1}}
        self.assertEqual(merged(), {**first, 2: {"a": 20, "c": 3}, 3: {"a": 30}})
        self.assertEqual(merged(whenMatched="replace"), {**first, 2: {"a": 20, "c": 3}, 3: {"a": 30}})
        self.assertEqual(merged(whenMatched="keepExisting"), {**first, 2: {"a": 2}, 3: {"a": 30}})
        self.assertEqual(merged(whenNotMatched="discard"), {**first, 2: {"a": 20, "c": 3}})
        pipeline = [{"$set": {"a": {"$add": ["$a", "$$new.a"]}}}]
        self.assertEqual(merged(whenMatched=pipeline), {**first, 2: {"a": 22}, 3: {"a": 30}})
        self.assertEqual(merged(whenMatched=pipeline, let={"new": {"a": 5}})[2], {"a": 7})
        with self.assertRaises(OperationFailure):
            merged(whenMatched="fail")
        with self.assertRaises(OperationFailure):
            merged(whenNotMatched="fail")
        self.assertEqual({d["_id"] for d in target.find()}, {1, 2})
        with self.assertRaises(OperationFailure):
            merged(on="a")
        target.drop()
        target.create_index("k", unique=True)
        target.insert_one({"_id": "mine", "k": 7, "v": 1})
        self.db.aggregate([{"$documents": [{"k": 7, "v": 2}, {"k": 8, "v": 3}]}, {"$merge": {"into": "target", "on": "k"}}])
        self.assertEqual(target.find_one({"k": 7}), {"_id": "mine", "k": 7, "v": 2})
        self.assertEqual(target.count_documents({"k": 8, "v": 3}), 1)

    def test_windows(self):
        rows = [{"_id": n, "g": n % 2, "n": n * 10} for n in range(6)]
        self.db.w.insert_many(rows)

        def field(function, window=None, sort={"_id": 1}):
            output = {**function, **({"window": window} if window else {})}
            stage = {"partitionBy": "$g", "sortBy": sort, "output": {"x": output}}
            return {d["_id"]: d.get("x") for d in self.db.w.aggregate([{"$setWindowFields": stage}])}

        self.assertEqual(field({"$sum": "$n"}, {"documents": ["unbounded", "current"]}), {0: 0, 2: 20, 4: 60, 1: 10, 3: 40, 5: 90})
        self.assertEqual(field({"$sum": "$n"}, {"documents": [-1, 1]}), {0: 20, 2: 60, 4: 60, 1: 40, 3: 90, 5: 80})
        self.assertEqual(field({"$push": "$_id"}, {"range": [-2, 0]}), {0: [0], 2: [0, 2], 4: [2, 4], 1: [1], 3: [1, 3], 5: [3, 5]})
        self.assertEqual(field({"$documentNumber": {}}), {0: 1, 2: 2, 4: 3, 1: 1, 3: 2, 5: 3})
        self.assertEqual(field({"$rank": {}}, sort={"g": 1}), dict.fromkeys(range(6), 1))
        self.assertEqual(field({"$shift": {"output": "$n", "by": -1, "default": "none"}}), {0: "none", 2: 0, 4: 20, 1: "none", 3: 10, 5: 30})
        self.assertEqual(field({"$derivative": {"input": "$n"}}, {"documents": [-1, 0]}), {0: None, 2: 10.0, 4: 10.0, 1: None, 3: 10.0, 5: 10.0})
        self.fails(5371602, field, {"$rank": {}}, sort={"g": 1, "_id": 1})
        self.fails(5339901, lambda: list(self.db.w.aggregate([{"$setWindowFields": {"output": {"x": {"$sum": 1, "window": {"documents": [-1, 0]}}}}}])))

    def test_pipelines_may_be_long(self):
        stages = [{"$addFields": {f"f{n}": n}} for n in range(60)] + [{"$match": {"f59": 59}}, {"$count": "n"}]
        self.assertEqual(self.run_pipeline(*stages), [{"n": 4}])

    def test_results_come_in_batches(self):
        self.c.insert_many([{"_id": n} for n in range(500)])
        self.assertEqual(len(list(self.c.aggregate([{"$match": {}}], batchSize=50))), 500)
        self.assertEqual(len(list(self.c.aggregate([{"$sort": {"_id": -1}}, {"$limit": 300}]))), 300)

    def test_what_is_not_there_is_refused_by_name(self):
        for stage, code in [({"$nonsense": 1}, 40324), ({"$merge": {"into": {"db": "other", "coll": "x"}}}, 115), ({"$graphLookup": {}}, 115), ({"$limit": 0}, 15958),
                            ({"$group": {}}, 15955), ({"$unwind": "items"}, 28818), ({"$sort": {}}, 15976), ({"$project": {}}, 51272)]:
            with self.subTest(stage=stage):
                self.fails(code, self.run_pipeline, stage)
        self.fails(115, self.run_pipeline, collation={"locale": "de"})
        self.fails(17276, self.run_pipeline, {"$project": {"a": "$$unknown"}})
        self.fails(2, self.run_pipeline, {"$match": {}}, hint="nothing_1")

    def test_statistics_of_a_collection_are_a_stage(self):
        [count] = self.run_pipeline({"$collStats": {"count": {}}})
        self.assertEqual(count["count"], 4)

    def test_division_by_zero_fails_the_pipeline(self):
        self.fails(2, self.run_pipeline, {"$project": {"x": {"$divide": [1, 0]}}})

    def test_explain_shows_the_plan_and_its_executor(self):
        plan = self.db.command("explain", {"find": "orders", "filter": {"_id": 1}}, verbosity="queryPlanner")["queryPlanner"]
        self.assertEqual(plan["namespace"], f"{self.name}.orders")
        self.assertEqual(plan["winningPlan"]["stage"], "Kv")
        plan = self.db.command("explain", {"aggregate": "orders", "pipeline": [{"$group": {"_id": "$who"}}], "cursor": {}}, verbosity="queryPlanner")
        self.assertIn("Aggregate", plan["queryPlanner"]["winningPlan"]["plan"])

    def test_numbers_keep_the_type_that_mongodb_gives_them(self):
        [sums] = self.run_pipeline({"$group": {"_id": None, "ints": {"$sum": 1}, "longs": {"$sum": Int64(1)}, "mixed": {"$sum": "$n"}}})
        self.assertNotIsInstance(sums["ints"], Int64)
        self.assertIsInstance(sums["longs"], Int64)
        self.assertEqual((sums["ints"], sums["longs"], sums["mixed"]), (4, 4, 17.5))


if __name__ == "__main__":
    unittest.main()
