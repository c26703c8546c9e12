"""Logical sessions, transactions, retryable writes."""

import threading
import unittest
import uuid

import pymongo
from bson import Binary, Int64
from pymongo.read_concern import ReadConcern

from support import URI, MongoTest, Wire, psql


class Transactions(MongoTest):
    def setUp(self):
        super().setUp()
        self.c.insert_many([{"_id": n, "n": 0} for n in range(3)])

    def test_a_transaction_is_seen_as_a_whole_when_it_commits(self):
        with self.client.start_session() as session:
            with session.start_transaction():
                self.c.insert_one({"_id": 10}, session=session)
                self.c.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
                self.c.delete_one({"_id": 1}, session=session)
                self.db.other.insert_one({"_id": 1}, session=session)
                self.assertEqual(self.ids(self.c.find(session=session).sort("_id")), [0, 2, 10])
                self.assertEqual(self.c.count_documents({}, session=session), 3)
                self.assertEqual(self.ids(self.c.find().sort("_id")), [0, 1, 2])
        self.assertEqual(self.ids(self.c.find().sort("_id")), [0, 2, 10])
        self.assertEqual(self.c.find_one({"_id": 0})["n"], 1)

    def test_an_aborted_transaction_leaves_nothing(self):
        with self.client.start_session() as session:
            session.start_transaction()
            self.c.insert_one({"_id": 10}, session=session)
            self.c.find_one_and_update({"_id": 0}, {"$set": {"n": 9}}, session=session)
            session.abort_transaction()
        self.assertEqual(list(self.c.find().sort("_id")), [{"_id": n, "n": 0} for n in range(3)])

    def test_reads_are_of_one_snapshot(self):
        with self.client.start_session() as session:
            with session.start_transaction(read_concern=ReadConcern("snapshot")):
                self.assertEqual(self.c.find_one({"_id": 0}, session=session)["n"], 0)
                self.c.update_one({"_id": 0}, {"$set": {"n": 5}})
                self.c.insert_one({"_id": 50})
                self.assertEqual(self.c.find_one({"_id": 0}, session=session)["n"], 0)
                self.assertEqual(self.c.count_documents({}, session=session), 3)
        self.assertEqual(self.c.count_documents({}), 4)

    def test_an_index_made_after_the_snapshot_hides_nothing_from_it(self):
        def ids(*found, **how):
            return self.ids(self.c.find(*found, session=session, **how))

        with self.client.start_session() as session:
            with session.start_transaction(read_concern=ReadConcern("snapshot")):
                self.assertEqual(self.c.count_documents({}, session=session), 3)
                self.c.update_one({"_id": 1}, {"$set": {"n": 5}})
                self.c.create_index("n")
                self.assertEqual(ids({"n": 0}, sort=[("_id", 1)]), [0, 1, 2])
                self.assertEqual(ids({"n": {"$gte": 0}}, sort=[("n", 1), ("_id", 1)]), [0, 1, 2])
                self.assertEqual(ids({"n": 5}), [])
                self.assertEqual(self.c.count_documents({"n": 0}, session=session), 3)
            self.assertEqual(ids({"n": 5}), [1])
            self.assertEqual(ids({"n": 0}, sort=[("_id", 1)]), [0, 2])

    def test_a_conflicting_write_fails_at_once_and_may_be_run_again(self):
        with self.client.start_session() as one, self.client.start_session() as two:
            one.start_transaction()
            two.start_transaction()
            self.c.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=one)
            error = self.fails(112, self.c.update_one, {"_id": 0}, {"$inc": {"n": 1}}, session=two)
            self.assertTrue(error.has_error_label("TransientTransactionError"))
            error = self.fails(251, self.c.find_one, {}, session=two)
            self.assertTrue(error.has_error_label("TransientTransactionError"))
            one.commit_transaction()
        with self.client.start_session() as session:
            session.start_transaction()
            self.c.find_one({"_id": 0}, session=session)
            self.c.update_one({"_id": 0}, {"$inc": {"n": 1}})
            error = self.fails(112, self.c.update_one, {"_id": 0}, {"$inc": {"n": 1}}, session=session)
            self.assertTrue(error.has_error_label("TransientTransactionError"))
            session.abort_transaction()
        self.assertEqual(self.c.find_one({"_id": 0})["n"], 2)

    def test_with_transaction_adds_up_under_contention(self):
        def add(n):
            with self.client.start_session() as session:
                for _ in range(10):
                    session.with_transaction(lambda s: self.c.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=s))

        threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.c.find_one({"_id": 0})["n"], 40)

    def test_an_error_ends_the_transaction(self):
        with self.client.start_session() as session:
            session.start_transaction()
            self.c.insert_one({"_id": 10}, session=session)
            self.fails(11000, self.c.insert_one, {"_id": 10}, session=session)
            self.fails(251, session.commit_transaction)
        self.assertIsNone(self.c.find_one({"_id": 10}))

    def test_committing_twice_is_fine_and_going_on_is_not(self):
        with self.client.start_session() as session:
            session.start_transaction()
            self.c.insert_one({"_id": 10}, session=session)
            session.commit_transaction()
            session.commit_transaction()
            number = session._server_session.transaction_id
            wire = Wire()
            reply = wire.command(find="c", lsid=session.session_id, txnNumber=Int64(number), autocommit=False, **{"$db": self.name})
            self.assertEqual(reply["code"], 256)
            wire.close()
        self.assertEqual(self.c.count_documents({"_id": 10}), 1)

    def test_commands_that_a_transaction_does_not_take(self):
        with self.client.start_session() as session:
            for run in [lambda: self.db.command("count", "c", session=session),
                        lambda: self.db.command("listCollections", session=session),
                        lambda: self.db.drop_collection("c", session=session)]:
                session.start_transaction()
                self.fails(263, run)
                session.abort_transaction()

    def test_collections_are_made_inside_transactions(self):
        with self.client.start_session() as session:
            session.start_transaction()
            self.db.fresh.insert_one({"_id": 1}, session=session)
            session.abort_transaction()
            self.assertNotIn("fresh", self.db.list_collection_names())
            with session.start_transaction():
                self.db.fresh.insert_one({"_id": 1}, session=session)
        self.assertEqual(self.db.fresh.find_one(), {"_id": 1})

    def test_cursors_go_on_inside_their_transaction(self):
        self.db.many.insert_many([{"_id": n} for n in range(300)])
        with self.client.start_session() as session, session.start_transaction():
            cursor = self.db.many.find(session=session, batch_size=50)
            next(cursor)
            self.db.many.insert_one({"_id": 1000}, session=session)
            self.assertEqual(len(list(cursor)), 299)

    def test_ending_a_session_rolls_its_transaction_back(self):
        session = self.client.start_session()
        session.start_transaction()
        self.c.update_one({"_id": 0}, {"$set": {"n": 7}}, session=session)
        self.client.admin.command("endSessions", [session.session_id])
        self.assertEqual(self.c.update_one({"_id": 0}, {"$set": {"n": 8}}).modified_count, 1)

    def test_a_transaction_and_sql_see_each_other_s_commits_only(self):
        with self.client.start_session() as session, session.start_transaction():
            self.c.update_one({"_id": 0}, {"$set": {"n": 1}}, session=session)
            self.assertEqual(psql(f"SELECT doc->>'n' FROM {self.name}.c WHERE _id = '0'"), [["0"]])
        self.assertEqual(psql(f"SELECT doc->>'n' FROM {self.name}.c WHERE _id = '0'"), [["1"]])


class RetryableWrites(MongoTest):
    def setUp(self):
        super().setUp()
        self.lsid = {"id": Binary.from_uuid(uuid.uuid4())}
        self.wire = Wire()
        self.addCleanup(self.wire.close)

    def send(self, name, number, **fields):
        return self.wire.command(**{name: "c"}, lsid=self.lsid, txnNumber=Int64(number), **fields, **{"$db": self.name})

    def test_a_write_that_comes_twice_is_done_once(self):
        first = self.send("insert", 1, documents=[{"_id": 1, "n": 0}])
        again = self.send("insert", 1, documents=[{"_id": 1, "n": 0}])
        self.assertEqual((first["n"], again["n"], "writeErrors" in again), (1, 1, False))
        update = {"updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}
        for _ in range(3):
            self.assertEqual(self.send("update", 2, **update)["nModified"], 1)
        self.assertEqual(self.c.find_one()["n"], 1)
        for _ in range(2):
            reply = self.send("findAndModify", 3, query={"_id": 1}, update={"$inc": {"n": 1}}, new=True)
            self.assertEqual(reply["value"], {"_id": 1, "n": 2})
        for _ in range(2):
            self.assertEqual(self.send("delete", 4, deletes=[{"q": {"_id": 1}, "limit": 1}])["n"], 1)

    def test_an_old_number_is_refused(self):
        self.send("insert", 5, documents=[{"_id": 1}])
        self.assertEqual(self.send("insert", 4, documents=[{"_id": 2}])["code"], 225)

    def test_writes_of_many_documents_may_not_be_retried(self):
        self.c.insert_one({"_id": 1})
        for name, fields in [("update", {"updates": [{"q": {}, "u": {"$set": {"a": 1}}, "multi": True}]}),
                             ("delete", {"deletes": [{"q": {}, "limit": 0}]})]:
            reply = self.send(name, 1, **fields)
            self.assertEqual(reply["writeErrors"][0]["code"], 72)
            self.lsid = {"id": Binary.from_uuid(uuid.uuid4())}
        self.assertEqual(self.c.find_one(), {"_id": 1})

    def test_a_number_needs_a_session(self):
        reply = self.wire.command(insert="c", documents=[{}], txnNumber=Int64(1), **{"$db": self.name})
        self.assertEqual(reply["code"], 72)
        reply = self.wire.command(insert="c", documents=[{}], lsid={"id": 5}, **{"$db": self.name})
        self.assertEqual(reply["code"], 14)

    def test_drivers_use_them(self):
        self.c.insert_one({"_id": 1})
        commands = []

        class Listener(pymongo.monitoring.CommandListener):
            def started(self, event):
                commands.append(event.command)

            def succeeded(self, event):
                pass

            def failed(self, event):
                pass

        with pymongo.MongoClient(URI, event_listeners=[Listener()]) as client:
            client[self.name].c.update_one({"_id": 1}, {"$set": {"a": 1}})
        [update] = [c for c in commands if "update" in c]
        self.assertIn("txnNumber", update)


class Sessions(MongoTest):
    def test_sessions_begin_refresh_and_end(self):
        admin = self.client.admin
        session = admin.command("startSession")
        self.assertEqual(session["timeoutMinutes"], 30)
        lsid = session["id"]
        admin.command("refreshSessions", [lsid])
        admin.command("endSessions", [lsid])
        admin.command("killSessions", [lsid])
        admin.command("killAllSessions", [])

    def test_a_cursor_belongs_to_its_session(self):
        self.c.insert_many([{"_id": n} for n in range(10)])
        with self.client.start_session() as one, self.client.start_session() as two:
            number = self.db.command("find", "c", batchSize=2, session=one)["cursor"]["id"]
            self.fails(13, self.db.command, "getMore", Int64(number), collection="c", session=two)
            self.assertEqual(len(self.db.command("getMore", Int64(number), collection="c", session=one)["cursor"]["nextBatch"]), 8)

    def test_causally_consistent_reads_follow_writes(self):
        with self.client.start_session(causal_consistency=True) as session:
            self.c.insert_one({"_id": 1}, session=session)
            self.assertIsNotNone(session.operation_time)
            self.assertEqual(self.c.find_one({"_id": 1}, session=session), {"_id": 1})

    def test_replies_tell_the_time_of_the_cluster(self):
        reply = self.db.command("ping")
        self.assertLessEqual(reply["operationTime"], reply["$clusterTime"]["clusterTime"])

    def test_reads_at_a_past_moment_are_refused(self):
        self.c.insert_one({"_id": 1})
        with self.client.start_session(snapshot=True) as session:
            self.fails(115, self.c.find_one, {}, session=session)


if __name__ == "__main__":
    unittest.main()
