"""SCRAM-SHA-256 with roles made in SQL, and their rights. Sets a password, so it needs a server of its own."""

import os
import unittest

import pymongo
from pymongo.errors import OperationFailure

from support import URI, psql

ADDRESS = URI.removeprefix("mongodb://")


class Authentication(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        psql("ALTER ROLE helios PASSWORD 'master'")
        os.environ["PGPASSWORD"] = "master"
        psql("CREATE SCHEMA secret")
        psql("CREATE TABLE secret.open (id int PRIMARY KEY, a text)")
        psql("INSERT INTO secret.open VALUES (1, 'x')")
        psql("CREATE TABLE secret.closed (id int PRIMARY KEY)")
        psql("CREATE ROLE reader LOGIN PASSWORD 'p@ss wörd'")
        psql("GRANT USAGE ON SCHEMA secret TO reader; GRANT SELECT ON secret.open TO reader")
        psql("CREATE ROLE nologin PASSWORD 'x'")

    def connect(self, **options):
        client = pymongo.MongoClient(f"mongodb://{ADDRESS}", serverSelectionTimeoutMS=10_000, **options)
        self.addCleanup(client.close)
        return client

    def test_the_right_password_opens(self):
        for mechanism in ["SCRAM-SHA-256", None]:
            options = {"authMechanism": mechanism} if mechanism else {}
            client = self.connect(username="reader", password="p@ss wörd", **options)
            self.assertEqual(client.secret.open.find_one(), {"_id": 1, "id": 1, "a": "x"})
            status = client.admin.command("connectionStatus")
            self.assertEqual(status["authInfo"]["authenticatedUsers"], [{"user": "reader", "db": "admin"}])

    def test_wrong_passwords_names_and_mechanisms_do_not(self):
        for options in [{"username": "reader", "password": "wrong"}, {"username": "nobody", "password": "x"}, {"username": "nologin", "password": "x"}]:
            with self.assertRaises(OperationFailure) as caught:
                self.connect(**options).secret.open.find_one()
            self.assertEqual(caught.exception.code, 18)
        with self.assertRaises(OperationFailure) as caught:
            self.connect(username="reader", password="p@ss wörd", authMechanism="SCRAM-SHA-1").secret.open.find_one()
        self.assertEqual(caught.exception.code, 334)

    def test_without_a_name_only_the_handshake_is_open(self):
        client = self.connect()
        client.admin.command("hello")
        client.admin.command("ping")
        for run in [client.list_database_names, client.secret.open.find_one, lambda: client.admin.command("serverStatus")]:
            with self.assertRaises(OperationFailure) as caught:
                run()
            self.assertEqual(caught.exception.code, 13)

    def test_rights_of_sql_hold(self):
        client = self.connect(username="reader", password="p@ss wörd")
        for run in [client.secret.closed.find_one, lambda: client.secret.open.insert_one({"_id": 2}),
                    lambda: client.secret.open.update_one({"_id": 1}, {"$set": {"a": "y"}}),
                    lambda: client.secret.open.delete_one({"_id": 1}), lambda: client.secret.fresh.insert_one({"_id": 1}),
                    lambda: list(client.secret.open.aggregate([{"$lookup": {"from": "closed", "localField": "a", "foreignField": "b", "as": "x"}}]))]:
            with self.assertRaises(OperationFailure) as caught:
                run()
            self.assertEqual(caught.exception.code, 13, caught.exception)
        self.assertEqual(client.secret.open.count_documents({}), 1)


if __name__ == "__main__":
    unittest.main()
