//! A row of typed columns: written by all five, read by all five, the same everywhere.

use crate::clients::{Clients, DATABASE, redis, redis_error, sql_error};
use conformance::daemon::Daemon;
use serde_json::{Map, Value as Json, json};

const TABLE: &str = "CREATE TABLE every (
    id integer PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint, f4 real,
    f8 double precision, n numeric(20,4), t text, vc varchar(20), by bytea, u uuid, d date, tm time,
    ts timestamp, tz timestamptz, iv interval, j jsonb, ia integer[], nul text)";

/// One column: its name and its value in SQL's text, as text of Redis, in canonical extended JSON,
/// in the JSON of REST and as a value of gRPC.
type Column = (&'static str, &'static str, &'static str, Json, Json, Json);

/// The conversion table, by example. Instants have whole milliseconds, which is what BSON keeps.
fn columns() -> Vec<Column> {
    let date = |ms: &str| json!({"$date": {"$numberLong": ms}});
    let binary = |base64: &str, kind: &str| json!({"$binary": {"base64": base64, "subType": kind}});
    vec![
        (
            "b",
            "t",
            "1",
            json!(true),
            json!(true),
            json!({"boolValue": true}),
        ),
        (
            "i2",
            "-2",
            "-2",
            json!({"$numberInt": "-2"}),
            json!(-2),
            json!({"intValue": "-2"}),
        ),
        (
            "i4",
            "3",
            "3",
            json!({"$numberInt": "3"}),
            json!(3),
            json!({"intValue": "3"}),
        ),
        (
            "i8",
            "9007199254740993",
            "9007199254740993",
            json!({"$numberLong": "9007199254740993"}),
            json!(9_007_199_254_740_993_i64),
            json!({"intValue": "9007199254740993"}),
        ),
        (
            "f4",
            "0.1",
            "0.1",
            json!({"$numberDouble": "0.1"}),
            json!(0.1),
            json!({"doubleValue": 0.1}),
        ),
        (
            "f8",
            "-1.5",
            "-1.5",
            json!({"$numberDouble": "-1.5"}),
            json!(-1.5),
            json!({"doubleValue": -1.5}),
        ),
        (
            "n",
            "12.5000",
            "12.5000",
            json!({"$numberDecimal": "12.5000"}),
            // The digits of a number are kept.
            serde_json::from_str("12.5000").expect("a number"),
            json!({"numericValue": "12.5000"}),
        ),
        (
            "t",
            "Zoë \"q\"",
            "Zoë \"q\"",
            json!("Zoë \"q\""),
            json!("Zoë \"q\""),
            json!({"stringValue": "Zoë \"q\""}),
        ),
        (
            "vc",
            "short",
            "short",
            json!("short"),
            json!("short"),
            json!({"stringValue": "short"}),
        ),
        (
            "by",
            "\\x000110",
            "\u{0}\u{1}\u{10}",
            binary("AAEQ", "00"),
            json!("AAEQ"),
            json!({"bytesValue": "AAEQ"}),
        ),
        (
            "u",
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
            binary("b5YZ/4uG0BG0LQDPT8lk/w==", "04"),
            json!("6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
            json!({"stringValue": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"}),
        ),
        (
            "d",
            "2026-01-04",
            "2026-01-04",
            date("1767484800000"),
            json!("2026-01-04"),
            json!({"stringValue": "2026-01-04"}),
        ),
        (
            "tm",
            "12:34:56.5",
            "12:34:56.5",
            json!("12:34:56.5"),
            json!("12:34:56.5"),
            json!({"stringValue": "12:34:56.5"}),
        ),
        (
            "ts",
            "2026-01-04 12:00:00.123",
            "2026-01-04T12:00:00.123",
            date("1767528000123"),
            json!("2026-01-04T12:00:00.123"),
            json!({"timestampMicros": "1767528000123000"}),
        ),
        (
            "tz",
            "2026-01-04 12:00:00.123+00",
            "2026-01-04T12:00:00.123Z",
            date("1767528000123"),
            json!("2026-01-04T12:00:00.123Z"),
            json!({"timestampMicros": "1767528000123000"}),
        ),
        (
            "iv",
            "1 year 2 mons 3 days 04:05:06.5",
            "P1Y2M3DT4H5M6.5S",
            json!("P1Y2M3DT4H5M6.5S"),
            json!("P1Y2M3DT4H5M6.5S"),
            json!({"stringValue": "P1Y2M3DT4H5M6.5S"}),
        ),
        (
            "j",
            "{\"a\": [1, \"x\", null, true]}",
            "{\"a\":[1,\"x\",null,true]}",
            json!({"a": [{"$numberInt": "1"}, "x", null, true]}),
            json!({"a": [1, "x", null, true]}),
            json!({"jsonValue": "{\"a\": [1, \"x\", null, true]}"}),
        ),
        (
            "ia",
            "{1,NULL,3}",
            "[1,null,3]",
            json!([{"$numberInt": "1"}, null, {"$numberInt": "3"}]),
            json!([1, null, 3]),
            json!({"listValue": {"values": [{"intValue": "1"}, {"nullValue": true}, {"intValue": "3"}]}}),
        ),
    ]
}

fn int(n: i32) -> Json {
    json!({"$numberInt": n.to_string()})
}

fn write_all(clients: &mut Clients) {
    let columns = columns();
    let names: Vec<&str> = columns.iter().map(|c| c.0).collect();
    let list = names.join(", ");

    let literals: Vec<String> = columns
        .iter()
        .map(|c| format!("'{}'", c.1.replace('\'', "''")))
        .collect();
    clients.sql.run(&format!(
        "INSERT INTO every (id, {list}) VALUES (1, {})",
        literals.join(", ")
    ));

    let mut hash = vec!["HSET", "every:2"];
    for column in &columns {
        hash.extend([column.0, column.2]);
    }
    clients.redis.run(&hash);

    let mut document = Map::new();
    document.insert("_id".to_owned(), int(3));
    document.extend(columns.iter().map(|c| (c.0.to_owned(), c.3.clone())));
    clients
        .mongo
        .run(&json!({"insert": "every", "documents": [document]}));

    let mut row = Map::new();
    row.insert("id".to_owned(), json!(4));
    row.extend(columns.iter().map(|c| (c.0.to_owned(), c.4.clone())));
    clients
        .rest
        .ok("POST", "/tables/every/rows", Some(&json!({"row": row})));

    let places: Vec<String> = (1..=columns.len()).map(|i| format!("${i}")).collect();
    let params: Vec<Json> = columns.iter().map(|c| c.5.clone()).collect();
    clients.grpc.rows(
        &format!(
            "INSERT INTO every (id, {list}) VALUES (5, {})",
            places.join(", ")
        ),
        &Json::Array(params),
    );
}

/// Sorted pairs of a flat list of names and values.
fn pairs(flat: Vec<String>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = flat
        .chunks(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    pairs.sort();
    pairs
}

#[test]
fn a_typed_row_written_by_each_protocol_is_the_same_to_all_of_them() {
    let daemon = Daemon::start();
    let mut clients = Clients::of(&daemon);
    clients.sql.run(TABLE);
    write_all(&mut clients);
    let columns = columns();

    for id in 1..=5 {
        let rows = clients
            .sql
            .run(&format!("SELECT * FROM every WHERE id = {id}"));
        let mut expected = vec![Some(id.to_string())];
        expected.extend(columns.iter().map(|c| Some(c.1.to_owned())));
        expected.push(None);
        assert_eq!(rows, [expected], "row {id} in SQL");

        let hash = clients.redis.run(&["HGETALL", &format!("every:{id}")]);
        let mut expected = vec!["id".to_owned(), id.to_string()];
        expected.extend(
            columns
                .iter()
                .flat_map(|c| [c.0.to_owned(), c.2.to_owned()]),
        );
        assert_eq!(pairs(hash.strings()), pairs(expected), "row {id} in Redis");

        let found = clients.mongo.find(DATABASE, "every", &json!({"_id": id}));
        let mut expected = Map::new();
        expected.insert("_id".to_owned(), int(id));
        expected.insert("id".to_owned(), int(id));
        expected.extend(columns.iter().map(|c| (c.0.to_owned(), c.3.clone())));
        expected.insert("nul".to_owned(), Json::Null);
        assert_eq!(found, [Json::Object(expected)], "row {id} in MongoDB");

        let row = clients
            .rest
            .ok("GET", &format!("/tables/every/rows/{id}"), None);
        let mut expected = Map::new();
        expected.insert("id".to_owned(), json!(id));
        expected.extend(columns.iter().map(|c| (c.0.to_owned(), c.4.clone())));
        expected.insert("nul".to_owned(), Json::Null);
        assert_eq!(row, json!({"data": expected}), "row {id} in REST");

        let rows = clients.grpc.rows(
            "SELECT * FROM every WHERE id = $1",
            &json!([{"int_value": id}]),
        );
        let mut expected = vec![json!({"intValue": id.to_string()})];
        expected.extend(columns.iter().map(|c| c.5.clone()));
        expected.push(json!({"nullValue": true}));
        assert_eq!(rows, [Json::Array(expected)], "row {id} in gRPC");
    }

    // Found by the other protocol's word for the value, through the same index.
    clients
        .sql
        .run("CREATE UNIQUE INDEX every_key ON every (i4, id)");
    for column in columns.iter().filter(|c| !["j", "ia"].contains(&c.0)) {
        let found = clients
            .mongo
            .find(DATABASE, "every", &json!({column.0: column.3}));
        assert_eq!(found.len(), 5, "{} in MongoDB", column.0);
    }
}

#[test]
fn a_change_or_deletion_by_one_protocol_is_seen_by_all_others() {
    let daemon = Daemon::start();
    let mut c = Clients::of(&daemon);
    c.sql
        .run("CREATE TABLE note (id integer PRIMARY KEY, body text, n integer NOT NULL DEFAULT 7)");
    c.sql
        .run("INSERT INTO note (id, body) SELECT i, 'new' FROM generate_series(1, 5) AS g(i)");
    c.sql.run("UPDATE note SET body = 'by SQL' WHERE id = 1");
    c.redis.run(&["HSET", "note:2", "body", "by Redis"]);
    c.mongo.run(&json!({"update": "note", "updates": [{"q": {"_id": 3}, "u": {"$set": {"body": "by MongoDB"}}}]}));
    c.rest.ok(
        "PATCH",
        "/tables/note/rows/4",
        Some(&json!({"updates": {"body": "by REST"}})),
    );
    c.grpc
        .rows("UPDATE note SET body = 'by gRPC' WHERE id = 5", &json!([]));
    let names = ["SQL", "Redis", "MongoDB", "REST", "gRPC"];
    for (id, name) in (1..).zip(names) {
        let body = format!("by {name}");
        let row = c
            .sql
            .run(&format!("SELECT body, n FROM note WHERE id = {id}"));
        assert_eq!(row, [[Some(body.clone()), Some("7".to_owned())]]);
        let field = c.redis.run(&["HGET", &format!("note:{id}"), "body"]);
        assert_eq!(field.string(), Some(body.clone()));
        let found = c.mongo.find(DATABASE, "note", &json!({"body": body}));
        assert_eq!(found[0]["_id"], int(id));
        let row = c.rest.ok("GET", &format!("/tables/note/rows/{id}"), None);
        assert_eq!(row["data"]["body"], json!(body));
        let rows = c.grpc.rows(
            "SELECT id FROM note WHERE body = $1",
            &json!([{"string_value": body}]),
        );
        assert_eq!(rows, [json!([{"intValue": id.to_string()}])]);
    }

    c.sql.run("DELETE FROM note WHERE id = 1");
    c.redis.run(&["DEL", "note:2"]);
    c.mongo
        .run(&json!({"delete": "note", "deletes": [{"q": {"_id": 3}, "limit": 1}]}));
    c.rest.ok("DELETE", "/tables/note/rows/4", None);
    assert_eq!(c.sql.run("SELECT id FROM note"), [[Some("5".to_owned())]]);
    c.grpc.rows("DELETE FROM note WHERE id = 5", &json!([]));
    assert_eq!(c.mongo.find(DATABASE, "note", &json!({})), [] as [Json; 0]);
    let keys = c.redis.run(&["KEYS", "note:*"]);
    assert_eq!(keys.strings(), [] as [&str; 0]);
    let list = c.rest.ok("GET", "/tables/note/rows", None);
    assert_eq!(list["pagination"]["total_count"], 0);
}

#[test]
fn one_constraint_is_kept_against_all_protocols() {
    let daemon = Daemon::start();
    let mut c = Clients::of(&daemon);
    c.sql.run("CREATE TABLE shop (id integer PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(8,2) CHECK (price >= 0))");
    c.sql
        .run("CREATE TABLE sale (id integer PRIMARY KEY, shop integer NOT NULL REFERENCES shop)");
    c.sql.run("INSERT INTO shop VALUES (1, 'taken', 1)");

    // A name that is taken, a price that the CHECK refuses, a reference to nothing, a wrong type.
    let cases: [(&str, &str, &str, Json, u16, i64, &str); 4] = [
        ("shop", "name", "taken", json!("taken"), 409, 11000, "23505"),
        (
            "shop",
            "price",
            "-1",
            json!({"$numberDecimal": "-1"}),
            422,
            121,
            "23514",
        ),
        ("sale", "shop", "99", int(99), 409, 121, "23503"),
        ("sale", "shop", "x", json!("x"), 422, 121, "22P02"),
    ];
    for (table, column, text, bson, http, mongo, sqlstate) in cases {
        let (other, filler) = if table == "shop" && column == "price" {
            (", name", ", 'free'")
        } else {
            ("", "")
        };
        let insert =
            format!("INSERT INTO {table} (id, {column}{other}) VALUES (2, '{text}'{filler})");
        assert_eq!(sql_error(&mut c.sql, &insert).0, sqlstate, "{insert}");
        let mut words = vec!["HSET", "", column, text];
        let key = format!("{table}:2");
        words[1] = &key;
        let mut document = json!({"_id": 2, column: bson});
        let mut row = json!({"id": 2, column: text});
        if !other.is_empty() {
            words.extend(["name", "free"]);
            document["name"] = json!("free");
            row["name"] = json!("free");
        }
        let refusal = redis_error(&mut c.redis, &words);
        assert!(refusal.starts_with("ERR "), "{refusal}");
        let insert = json!({"insert": table, "documents": [document]});
        let (code, message) = c.mongo.error(DATABASE, &insert);
        assert_eq!(code, mongo, "{message}");
        let path = format!("/tables/{table}/rows");
        let (status, code) = c.rest.error("POST", &path, Some(&json!({"row": row})));
        assert_eq!(status, http, "{code}");
        let insert = format!("INSERT INTO {table} (id, {column}{other}) VALUES (2, $1{filler})");
        let error = c
            .grpc
            .query(&insert, &json!([{"string_value": text}]))
            .unwrap_err();
        let expected = match sqlstate {
            "23505" => "AlreadyExists",
            "23503" => "FailedPrecondition",
            _ => "InvalidArgument",
        };
        assert!(error.contains(&format!("Code: {expected}")), "{error}");
    }
    assert_eq!(
        c.sql.run("SELECT count(*) FROM shop"),
        [[Some("1".to_owned())]]
    );
    assert_eq!(
        c.sql.run("SELECT count(*) FROM sale"),
        [[Some("0".to_owned())]]
    );
}

#[test]
fn what_a_protocol_may_not_do_with_a_table_is_refused_in_its_words() {
    let daemon = Daemon::start();
    let mut c = Clients::of(&daemon);
    c.sql.run("CREATE TABLE t (id integer PRIMARY KEY, a text)");
    c.sql.run("CREATE TABLE keyless (a text)");
    c.sql.run("INSERT INTO t VALUES (1, 'x')");
    c.sql.run("INSERT INTO keyless VALUES ('x')");

    for words in [
        &["SET", "t:1", "x"][..],
        &["APPEND", "t:1", "x"],
        &["EXPIRE", "t:1", "10"],
        &["RENAME", "t:1", "t:2"],
        &["LPUSH", "t:1", "x"],
        &["HDEL", "t:1", "id"],
        &["HSET", "t:1", "nothing", "x"],
        &["HSET", "nothing:1", "a", "x"],
        &["HSET", "keyless:1", "a", "x"],
    ] {
        let refusal = redis_error(&mut c.redis, words);
        let prefix = refusal.split(' ').next().unwrap_or_default();
        assert!(
            ["ERR", "WRONGTYPE"].contains(&prefix),
            "{words:?}: {refusal}"
        );
    }
    // Another spelling of the key names no row.
    for key in ["t:01", "t:+1", "t: 1"] {
        assert_eq!(
            c.redis.run(&["HGETALL", key]).strings(),
            [] as [&str; 0],
            "{key}"
        );
    }
    for (command, expected) in [
        (json!({"drop": "t"}), 13),
        (
            json!({"update": "t", "updates": [{"q": {"_id": 1}, "u": {"$set": {"id": 2}}}]}),
            66,
        ),
        (
            json!({"insert": "t", "documents": [{"_id": 2, "nothing": 1}]}),
            121,
        ),
        (
            json!({"update": "t", "updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 1}}}]}),
            121,
        ),
        (json!({"insert": "keyless", "documents": [{"a": "y"}]}), 20),
    ] {
        let (code, message) = c.mongo.error(DATABASE, &command);
        assert_eq!(code, expected, "{command}: {message}");
    }
    let columns = json!({"row": {"id": 2, "nothing": 1}});
    assert_eq!(
        c.rest.error("POST", "/tables/t/rows", Some(&columns)),
        (400, "COLUMN_NOT_FOUND".to_owned())
    );
    assert_eq!(
        c.rest.error("GET", "/tables/keyless/rows/1", None),
        (400, "INVALID_QUERY".to_owned())
    );

    // What empties a keyspace or drops a database leaves the tables of SQL.
    let mut keyspace = redis(&daemon, 0);
    keyspace.run(&["SET", "k", "v"]);
    c.redis.run(&["FLUSHALL"]);
    c.mongo
        .run(&json!({"insert": "documents", "documents": [{"_id": 1}]}));
    c.mongo.run(&json!({"dropDatabase": 1}));
    assert_eq!(
        keyspace.run(&["DBSIZE"]),
        conformance::redis_client::RedisReply::Int(0)
    );
    assert_eq!(
        c.sql.run("SELECT count(*) FROM t"),
        [[Some("1".to_owned())]]
    );
    assert_eq!(
        sql_error(&mut c.sql, "SELECT * FROM documents").0,
        "42P01",
        "the collection went with its database"
    );
}
