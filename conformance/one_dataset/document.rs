//! A document: written by MongoDB, SQL, REST and gRPC, read by all of them, and its types survive.

use crate::clients::{Clients, DATABASE, redis_error};
use conformance::daemon::Daemon;
use serde_json::{Value as Json, json};

/// A document of every type that JSON does not have.
fn rich(id: i32) -> Json {
    json!({
        "_id": {"$numberInt": id.to_string()},
        "z": "first in order",
        "id": {"$oid": "507f1f77bcf86cd799439011"},
        "when": {"$date": {"$numberLong": "1767528000123"}},
        "price": {"$numberDecimal": "12.50"},
        "big": {"$numberLong": "5"},
        "double": {"$numberDouble": "5.0"},
        "bytes": {"$binary": {"base64": "AAEQ", "subType": "00"}},
        "inner": {"list": [{"$numberInt": "1"}, "x", null, true]},
        "n": {"$numberInt": "1"},
        "a": "last in order",
    })
}

#[test]
fn a_document_written_by_each_protocol_is_read_by_the_others() {
    let daemon = Daemon::start();
    let mut c = Clients::of(&daemon);
    c.mongo.run(
        &json!({"insert": "docs", "documents": [{"_id": 1, "name": "by MongoDB", "n": [1, 2]}]}),
    );
    c.sql
        .run("INSERT INTO docs (doc) VALUES ('{\"_id\": 2, \"name\": \"by SQL\", \"n\": [1, 2]}')");
    let row = json!({"row": {"doc": {"_id": 3, "name": "by REST", "n": [1, 2]}}});
    c.rest.ok("POST", "/tables/docs/rows", Some(&row));
    let document = json!({"_id": 4, "name": "by gRPC", "n": [1, 2]}).to_string();
    c.grpc.rows(
        "INSERT INTO docs (doc) VALUES ($1)",
        &json!([{"json_value": document}]),
    );

    let int = |n: i32| json!({"$numberInt": n.to_string()});
    for (id, name) in (1..).zip(["by MongoDB", "by SQL", "by REST", "by gRPC"]) {
        let found = c.mongo.find(DATABASE, "docs", &json!({"_id": id}));
        assert_eq!(
            found,
            [json!({"_id": int(id), "name": name, "n": [int(1), int(2)]})]
        );
        let text = format!("SELECT doc ->> 'name', doc -> 'n' ->> 1 FROM docs WHERE _id = '{id}'");
        let row = c.sql.run(&text);
        assert_eq!(
            row,
            [[Some(name.to_owned()), Some("2".to_owned())]],
            "{text}"
        );
        let row = c.rest.ok("GET", &format!("/tables/docs/rows/{id}"), None);
        assert_eq!(
            row["data"]["doc"],
            json!({"_id": id, "name": name, "n": [1, 2]})
        );
        let rows = c.grpc.rows(
            "SELECT doc FROM docs WHERE _id = $1",
            &json!([{"string_value": id.to_string()}]),
        );
        let text = rows[0][0]["jsonValue"].as_str().expect("JSON");
        let document: Json = serde_json::from_str(text).expect("JSON");
        assert_eq!(document["name"], json!(name));
    }
    // Found by a field, from either side.
    let found = c
        .mongo
        .find(DATABASE, "docs", &json!({"n": 2, "name": "by SQL"}));
    assert_eq!(found.len(), 1);
    let rows = c
        .sql
        .run("SELECT _id FROM docs WHERE doc ->> 'name' = 'by MongoDB'");
    assert_eq!(rows, [[Some("1".to_owned())]]);
    // Joined with a table.
    c.sql
        .run("CREATE TABLE label (name text PRIMARY KEY, label text)");
    c.sql.run("INSERT INTO label VALUES ('by REST', 'found')");
    let rows = c
        .sql
        .run("SELECT l.label FROM docs d JOIN label l ON l.name = d.doc ->> 'name'");
    assert_eq!(rows, [[Some("found".to_owned())]]);
    // Deleted from each side.
    c.sql.run("DELETE FROM docs WHERE _id = '1'");
    c.mongo
        .run(&json!({"delete": "docs", "deletes": [{"q": {"_id": 2}, "limit": 1}]}));
    c.rest.ok("DELETE", "/tables/docs/rows/3", None);
    c.grpc.rows("DELETE FROM docs WHERE _id = '4'", &json!([]));
    assert_eq!(c.mongo.find(DATABASE, "docs", &json!({})), [] as [Json; 0]);
}

#[test]
fn a_change_from_sql_keeps_the_types_of_what_it_does_not_change() {
    let daemon = Daemon::start();
    let mut c = Clients::of(&daemon);
    c.mongo
        .run(&json!({"insert": "docs", "documents": [rich(1), rich(2), rich(3)]}));
    for id in 1..=3 {
        let found = c.mongo.find(DATABASE, "docs", &json!({"_id": id}));
        assert_eq!(found, [rich(id)], "as it was written");
    }
    c.sql
        .run("UPDATE docs SET doc = jsonb_set(doc, '{n}', '2') WHERE _id = '1'");
    // What object mappers do: read the JSON, change a field, write the whole of it back.
    let text = c.sql.run("SELECT doc FROM docs WHERE _id = '2'")[0][0]
        .clone()
        .expect("a document");
    let mut document: Json = serde_json::from_str(&text).expect("JSON");
    document["n"] = json!(2);
    let whole = document.to_string().replace('\'', "''");
    c.sql
        .run(&format!("UPDATE docs SET doc = '{whole}' WHERE _id = '2'"));
    c.rest.ok(
        "PATCH",
        "/tables/docs/rows/3",
        Some(&json!({"updates": {"doc": {
            "_id": 3, "n": 2, "z": document["z"], "id": document["id"], "when": document["when"],
            "price": document["price"], "big": document["big"], "double": document["double"],
            "bytes": document["bytes"], "inner": document["inner"], "a": document["a"],
        }}})),
    );
    for id in 1..=3 {
        let found = c.mongo.find(DATABASE, "docs", &json!({"_id": id}));
        let mut expected = rich(id);
        expected["n"] = json!({"$numberInt": "2"});
        assert_eq!(found, [expected], "document {id}");
    }
}

#[test]
fn redis_is_told_that_documents_are_not_hashes() {
    let daemon = Daemon::start();
    let mut c = Clients::of(&daemon);
    c.mongo
        .run(&json!({"insert": "docs", "documents": [{"_id": 1, "a": 1}]}));
    for words in [
        &["HGETALL", "docs:1"][..],
        &["HGET", "docs:1", "a"],
        &["HSET", "docs:1", "a", "2"],
        &["DEL", "docs:1"],
        &["EXISTS", "docs:1"],
    ] {
        let refusal = redis_error(&mut c.redis, words);
        assert!(refusal.starts_with("WRONGTYPE "), "{words:?}: {refusal}");
    }
    assert_eq!(c.mongo.find(DATABASE, "docs", &json!({})).len(), 1);
}
