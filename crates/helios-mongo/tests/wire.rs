//! The front-end over a real socket and a real engine, spoken to in plain messages.

#[path = "support/daemon.rs"]
mod daemon;

use daemon::Daemon;
use helios_mongo::codec::{self, HEADER_LEN};
use helios_planner::document::raw::*;
use helios_types::json::{Kind, raw_elements, raw_entries, raw_kind};
use std::io::{Read, Write};
use std::net::TcpStream;

struct Client {
    stream: TcpStream,
    next: i32,
}

fn connect(daemon: &Daemon) -> Client {
    let stream = TcpStream::connect(daemon.address).unwrap();
    // A reply that does not come is a failure and not a test without end.
    let patience = std::time::Duration::from_secs(30);
    stream.set_read_timeout(Some(patience)).unwrap();
    Client { stream, next: 1 }
}

/// A document written as JSON: `$`-names and numbers as they stand, fields in their order.
fn bson(json: &str) -> Vec<u8> {
    let mut out = Writer::new();
    for (name, value) in raw_entries(json) {
        put(&mut out, &name, value);
    }
    out.finish()
}

fn put(out: &mut Writer, name: &str, json: &str) {
    match raw_kind(json) {
        Kind::Object => {
            out.start_document(name);
            raw_entries(json).for_each(|(name, value)| put(out, &name, value));
            out.end();
        }
        Kind::Array => {
            out.start_array(name);
            for (at, value) in raw_elements(json).enumerate() {
                put(out, &at.to_string(), value);
            }
            out.end();
        }
        _ => {
            let scalar = helios_types::Jsonb::parse(json).unwrap();
            out.put(name, scalar.as_ref().into());
        }
    }
}

impl Client {
    fn send(&mut self, body: &[u8]) -> i32 {
        let mut message = Vec::new();
        let id = self.next;
        self.next += 1;
        codec::write_msg(&mut message, id, 0, body, false);
        self.stream.write_all(&message).unwrap();
        id
    }

    fn receive(&mut self) -> BsonBuf {
        let mut header = [0; HEADER_LEN];
        self.stream.read_exact(&mut header).unwrap();
        let length = codec::header(&header).unwrap().length;
        let mut message = header.to_vec();
        message.resize(length, 0);
        self.stream.read_exact(&mut message[HEADER_LEN..]).unwrap();

        codec::parse(&message).unwrap().body.to_buf()
    }

    /// Runs a command in the database `shop`.
    fn run(&mut self, json: &str) -> BsonBuf {
        let mut body = Writer::new();
        let command = bson(json);
        for (name, value) in Bson::document(&command).fields() {
            body.put(name, value);
        }
        if Bson::document(&command).get("$db").is_missing() {
            body.put_str("$db", "shop");
        }
        self.send(&body.finish());
        self.receive()
    }

    fn ok(&mut self, json: &str) -> BsonBuf {
        let reply = self.run(json);
        assert!(reply.as_bson().get("ok").truthy(), "{json} -> {reply:?}");
        reply
    }

    fn documents(&mut self, json: &str) -> Vec<String> {
        let reply = self.ok(json);
        let batch = reply.as_bson().get("cursor").get("firstBatch");
        batch.elements().map(|d| format!("{d:?}")).collect()
    }

    fn code(&mut self, json: &str) -> i32 {
        let reply = self.run(json);
        assert!(!reply.as_bson().get("ok").truthy(), "{json} -> {reply:?}");
        reply.as_bson().get("code").as_i32().unwrap()
    }
}

#[test]
fn documents_are_inserted_found_changed_and_deleted() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    client.ok(r#"{"insert": "people", "documents": [{"_id": 1, "name": "Ann", "age": 30}, {"_id": 2, "name": "Bob", "tags": ["a", "b"]}]}"#);
    assert_eq!(
        client.documents(r#"{"find": "people", "filter": {"_id": 1}}"#),
        [r#"{ _id: 1, name: "Ann", age: 30 }"#]
    );
    assert_eq!(
        client.documents(
            r#"{"find": "people", "filter": {"tags": "b"}, "projection": {"name": 1, "_id": 0}}"#
        ),
        [r#"{ name: "Bob" }"#]
    );
    client.ok(r#"{"update": "people", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"age": 1}, "$set": {"city": "Rome"}}}]}"#);
    assert_eq!(
        client.documents(r#"{"find": "people", "filter": {"age": 31}}"#),
        [r#"{ _id: 1, name: "Ann", age: 31, city: "Rome" }"#]
    );
    let reply = client.ok(r#"{"delete": "people", "deletes": [{"q": {}, "limit": 0}]}"#);
    assert_eq!(reply.as_bson().get("n").as_i32(), Some(2));
    assert!(client.documents(r#"{"find": "people"}"#).is_empty());
}

#[test]
fn a_duplicate_id_is_refused_and_documents_before_it_stay() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    let reply = client.ok(r#"{"insert": "c", "documents": [{"_id": 1}, {"_id": 1}, {"_id": 2}]}"#);
    let errors = reply.as_bson().get("writeErrors");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors.element(0).get("code").as_i32(), Some(11000));
    assert_eq!(
        errors.element(0).get("keyValue").get("_id").as_i32(),
        Some(1)
    );
    let reply = client.ok(r#"{"count": "c"}"#);
    assert_eq!(reply.as_bson().get("n").as_i32(), Some(1));
}

#[test]
fn pipelines_group_sort_unwind_and_join() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    client.ok(r#"{"insert": "orders", "documents": [{"_id": 1, "c": "x", "n": 2, "items": ["p", "q"]}, {"_id": 2, "c": "y", "n": 5, "items": ["q"]}, {"_id": 3, "c": "x", "n": 3, "items": []}]}"#);
    client.ok(r#"{"insert": "goods", "documents": [{"_id": "p", "price": 10}, {"_id": "q", "price": 20}]}"#);
    assert_eq!(
        client.documents(r#"{"aggregate": "orders", "cursor": {}, "pipeline": [{"$group": {"_id": "$c", "total": {"$sum": "$n"}}}, {"$sort": {"total": 1, "_id": 1}}]}"#),
        [r#"{ _id: "x", total: 5 }"#, r#"{ _id: "y", total: 5 }"#]
    );
    assert_eq!(
        client.documents(r#"{"aggregate": "orders", "cursor": {}, "pipeline": [{"$unwind": "$items"}, {"$lookup": {"from": "goods", "localField": "items", "foreignField": "_id", "as": "g"}}, {"$match": {"_id": 2}}, {"$project": {"g": 1}}]}"#),
        [r#"{ _id: 2, g: [ { _id: "q", price: 20 } ] }"#]
    );
    assert_eq!(client.documents(r#"{"aggregate": "orders", "cursor": {}, "pipeline": [{"$match": {"n": {"$gt": 2}}}, {"$count": "n"}]}"#), ["{ n: 2 }"]);
}

#[test]
fn unknown_commands_and_fields_are_refused_by_name() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    assert_eq!(client.code(r#"{"atlasVersion": 1, "$db": "admin"}"#), 59);
    assert_eq!(client.code(r#"{"find": "c", "nonsense": 1}"#), 40415);
    assert_eq!(
        client.code(r#"{"find": "c", "filter": {"$nonsense": 1}}"#),
        2
    );
}

#[test]
fn a_cursor_hands_out_its_batches_and_ends() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    client.ok(r#"{"insert": "c", "documents": [{"_id": 1}, {"_id": 2}, {"_id": 3}]}"#);
    let reply = client.ok(r#"{"find": "c", "batchSize": 2}"#);
    let id = reply.as_bson().get("cursor").get("id").as_i64().unwrap();
    assert_ne!(id, 0);
    let mut more = Writer::new();
    more.put_i64("getMore", id)
        .put_str("collection", "c")
        .put_str("$db", "shop");
    client.send(&more.finish());
    let reply = client.receive();
    let cursor = reply.as_bson().get("cursor");
    assert_eq!(cursor.get("nextBatch").len(), 1);
    assert_eq!(cursor.get("id").as_i64(), Some(0));
}

/// A message with any header and any content.
fn message(length: i32, op_code: i32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for number in [length, 1, 0, op_code] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(content);
    out
}

const OP_MSG: i32 = 2013;
const OP_QUERY: i32 = 2004;

/// OP_MSG with these flags and one body section.
fn op_msg(flags: u32, body: &[u8]) -> Vec<u8> {
    let mut content = flags.to_le_bytes().to_vec();
    content.push(0);
    content.extend_from_slice(body);
    message(16 + content.len() as i32, OP_MSG, &content)
}

fn ping() -> Vec<u8> {
    let mut body = Writer::new();
    body.put_i32("ping", 1).put_str("$db", "admin");
    body.finish()
}

impl Client {
    /// Whether the server has closed the connection.
    fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }
}

#[test]
fn broken_messages_are_answered_and_leave_others_alone() {
    let daemon = Daemon::start();
    let mut good = connect(&daemon);
    good.ok(r#"{"insert": "c", "documents": [{"_id": 1}]}"#);
    let mut two_bodies = op_msg(0, &ping());
    two_bodies.push(0);
    two_bodies.extend_from_slice(&ping());
    let length = two_bodies.len() as i32;
    two_bodies[..4].copy_from_slice(&length.to_le_bytes());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a length that is negative", vec![255; 64]),
        ("a length below the header's", message(15, OP_MSG, &[0; 64])),
        (
            "a length beyond the largest",
            message(48_000_001, OP_MSG, &[0; 64]),
        ),
        ("an unknown operation", message(20, 77, &[0; 4])),
        (
            "compression that was not agreed on",
            message(20, 2012, &[0; 4]),
        ),
        ("a removed operation", message(20, 2002, &[0; 4])),
        ("flags that must be understood", op_msg(1 << 5, &ping())),
        ("a checksum that is wrong", op_msg(1, &ping())),
        (
            "a section of unknown kind",
            message(21, OP_MSG, &[0, 0, 0, 0, 9]),
        ),
        ("no body", message(20, OP_MSG, &[0; 4])),
        ("two bodies", two_bodies),
        (
            "a sequence that ends early",
            message(30, OP_MSG, &[0, 0, 0, 0, 1, 255, 0, 0, 0, b'a', 0, 0, 0, 0]),
        ),
    ];
    for (what, bytes) in cases {
        let mut bad = connect(&daemon);
        bad.stream.write_all(&bytes).unwrap();
        let reply = bad.receive();
        assert_eq!(
            reply.as_bson().get("ok").as_f64(),
            Some(0.0),
            "{what}: {reply:?}"
        );
        assert_eq!(
            reply.as_bson().get("code").as_i32(),
            Some(17),
            "{what}: {reply:?}"
        );
        assert!(bad.is_closed(), "{what}");
        assert_eq!(good.documents(r#"{"find": "c"}"#), ["{ _id: 1 }"], "{what}");
    }
}

#[test]
fn a_wrong_document_in_a_whole_message_ends_the_command_and_not_the_connection() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    let mut invalid_text = Writer::new();
    invalid_text.put_str("insert", "c").put_str("x", "ab");
    let mut invalid_text = invalid_text.finish();
    let at = invalid_text.len() - 4;
    invalid_text[at] = 0xff;
    let mut too_deep = Writer::new();
    too_deep.put_i32("ping", 1);
    for _ in 0..101 {
        too_deep.start_document("a");
    }
    let too_deep = too_deep.finish();
    let mut wrong_inside = ping();
    wrong_inside[4] = 99;
    let mut no_end = ping();
    let last = no_end.len() - 1;
    no_end[last] = 1;
    for document in [invalid_text, too_deep, wrong_inside, no_end] {
        client.stream.write_all(&op_msg(0, &document)).unwrap();
        let reply = client.receive();
        assert_eq!(reply.as_bson().get("code").as_i32(), Some(22), "{reply:?}");
        client.ok(r#"{"ping": 1, "$db": "admin"}"#);
    }
}

#[test]
fn connections_that_end_inside_a_message_leave_others_alone() {
    let daemon = Daemon::start();
    let mut good = connect(&daemon);
    let whole = op_msg(0, &ping());
    for cut in 1..whole.len() {
        let mut bad = connect(&daemon);
        bad.stream.write_all(&whole[..cut]).unwrap();
        bad.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(bad.is_closed(), "cut at {cut}");
    }
    good.ok(r#"{"ping": 1, "$db": "admin"}"#);
}

#[test]
fn inputs_of_the_fuzzer_are_survived_over_a_socket() {
    let daemon = Daemon::start();
    let mut good = connect(&daemon);
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/message");
    let mut n = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let mut bad = connect(&daemon);
        bad.stream.write_all(&bytes).unwrap();
        bad.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = bad.stream.read_to_end(&mut answer);
        good.ok(r#"{"ping": 1, "$db": "admin"}"#);
        n += 1;
    }
    assert!(n >= 9, "the corpus is gone");
}

#[test]
fn wrong_types_and_values_are_refused_with_mongodb_s_numbers() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    client.ok(r#"{"insert": "c", "documents": [{"_id": 1}]}"#);
    let cases = [
        (r#"{"find": 5}"#, 73),
        (r#"{"find": ""}"#, 73),
        (r#"{"find": "a$b"}"#, 73),
        (r#"{"find": "c", "$db": 5}"#, 14),
        (r#"{"find": "c", "$db": "a b"}"#, 73),
        (r#"{"find": "c", "$db": ""}"#, 73),
        (r#"{"find": "c", "filter": 5}"#, 14),
        (r#"{"find": "c", "filter": []}"#, 14),
        (r#"{"find": "c", "sort": "a"}"#, 14),
        (r#"{"find": "c", "sort": {"a": 5}}"#, 15975),
        (r#"{"find": "c", "projection": 1}"#, 14),
        (r#"{"find": "c", "limit": "x"}"#, 14),
        (r#"{"find": "c", "skip": -1}"#, 51024),
        (r#"{"find": "c", "batchSize": -1}"#, 51024),
        (r#"{"find": "c", "maxTimeMS": -1}"#, 2),
        (r#"{"find": "c", "maxTimeMS": "x"}"#, 14),
        (r#"{"find": "c", "readConcern": 5}"#, 14),
        (r#"{"insert": "c"}"#, 16),
        (r#"{"insert": "c", "documents": []}"#, 16),
        (r#"{"insert": "c", "documents": [5]}"#, 14),
        (r#"{"insert": "c", "documents": 5}"#, 16),
        (r#"{"update": "c", "updates": []}"#, 16),
        (r#"{"delete": "c", "deletes": []}"#, 16),
        (r#"{"aggregate": "c", "pipeline": 5, "cursor": {}}"#, 14),
        (
            r#"{"aggregate": "c", "pipeline": [5], "cursor": {}}"#,
            40323,
        ),
        (r#"{"aggregate": "c", "pipeline": []}"#, 9),
        (r#"{"aggregate": 1, "pipeline": [], "cursor": {}}"#, 73),
        (r#"{"distinct": "c"}"#, 14),
        (r#"{"distinct": "c", "key": 5}"#, 14),
        (r#"{"getMore": "x", "collection": "c"}"#, 14),
        (r#"{"killCursors": "c"}"#, 14),
        (r#"{"createIndexes": "c", "indexes": 5}"#, 14),
        (r#"{"createIndexes": "c", "indexes": [{"name": "x"}]}"#, 67),
        (r#"{"dropIndexes": "c", "index": 5}"#, 14),
        (r#"{"commitTransaction": 1, "$db": "admin"}"#, 72),
        (
            r#"{"insert": "c", "documents": [{}], "writeConcern": 5}"#,
            14,
        ),
        (r#"{"ping": 1, "apiVersion": "2"}"#, 322),
        (r#"{"ping": 1, "apiStrict": true}"#, 4886600),
        (r#"{"nonsense": 1}"#, 59),
        (r#"{}"#, 59),
    ];
    for (command, code) in cases {
        assert_eq!(client.code(command), code, "{command}");
    }
    assert_eq!(client.documents(r#"{"find": "c"}"#), ["{ _id: 1 }"]);
    for (statement, code) in [
        (r#"{"update": "c", "updates": [{"q": 5, "u": {}}]}"#, 14),
        (r#"{"update": "c", "updates": [{"q": {}, "u": 5}]}"#, 9),
        (
            r#"{"update": "c", "updates": [{"q": {}, "u": {}, "nonsense": 1}]}"#,
            40415,
        ),
        (
            r#"{"update": "c", "updates": [{"q": {}, "u": {}, "collation": {"locale": "de"}}]}"#,
            115,
        ),
        (r#"{"delete": "c", "deletes": [{"q": {}, "limit": 2}]}"#, 9),
        (r#"{"delete": "c", "deletes": [{"q": {}}]}"#, 40414),
        (
            r#"{"delete": "c", "deletes": [{"q": {}, "limit": 0, "hint": "nothing"}]}"#,
            2,
        ),
    ] {
        let reply = client.ok(statement);
        let errors = reply.as_bson().get("writeErrors");
        assert_eq!(
            errors.element(0).get("code").as_i32(),
            Some(code),
            "{statement} -> {reply:?}"
        );
    }
    assert_eq!(client.documents(r#"{"find": "c"}"#), ["{ _id: 1 }"]);
}

#[test]
fn the_old_form_of_a_query_takes_the_handshake_and_nothing_else() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    for (command, code) in [("isMaster", None), ("hello", None), ("find", Some(352))] {
        let mut content = vec![0; 4];
        content.extend_from_slice(b"admin.$cmd\0");
        content.extend_from_slice(&0i32.to_le_bytes());
        content.extend_from_slice(&(-1i32).to_le_bytes());
        let mut body = Writer::new();
        body.put_i32(command, 1);
        content.extend_from_slice(&body.finish());
        let bytes = message(16 + content.len() as i32, OP_QUERY, &content);
        client.stream.write_all(&bytes).unwrap();
        let mut header = [0; HEADER_LEN];
        client.stream.read_exact(&mut header).unwrap();
        let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!((number(8), number(12)), (1, 1), "an OP_REPLY to request 1");
        let mut rest = vec![0; number(0) as usize - HEADER_LEN];
        client.stream.read_exact(&mut rest).unwrap();
        let reply = Bson::document(&rest[20..]);
        assert_eq!(reply.get("code").as_i32(), code, "{command}: {reply:?}");
        if command == "isMaster" {
            assert_eq!(reply.get("ismaster").as_bool(), Some(true));
        }
    }
}

#[test]
fn a_request_that_wants_no_reply_gets_none() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    let mut silent = Writer::new();
    silent.put_str("insert", "c").start_array("documents");
    silent.start_document("0").put_i32("_id", 1).end().end();
    silent.put_str("$db", "shop");
    let silent = silent.finish();
    client.stream.write_all(&op_msg(2, &silent)).unwrap();
    let mut invalid = ping();
    invalid[4] = 99;
    client.stream.write_all(&op_msg(2, &invalid)).unwrap();
    // The next reply is that of the next request.
    assert_eq!(client.documents(r#"{"find": "c"}"#), ["{ _id: 1 }"]);
}

#[test]
fn an_awaited_hello_is_answered_again_and_again() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    let first = client.ok(r#"{"hello": 1, "$db": "admin"}"#);
    let version = first.as_bson().get("topologyVersion").to_buf();
    let mut body = Writer::new();
    body.put_i32("hello", 1)
        .put("topologyVersion", version.as_bson());
    body.put_i32("maxAwaitTimeMS", 20).put_str("$db", "admin");
    client
        .stream
        .write_all(&op_msg(1 << 16, &body.finish()))
        .unwrap();
    let mut answers = 1;
    for _ in 0..3 {
        let mut header = [0; HEADER_LEN];
        client.stream.read_exact(&mut header).unwrap();
        let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!(number(8), answers, "each answers the one before it");
        answers = number(4);
        let mut rest = vec![0; number(0) as usize - HEADER_LEN];
        client.stream.read_exact(&mut rest).unwrap();
        assert_eq!(rest[0] & 2, 2, "more to come");
    }
    assert_eq!(
        connect(&daemon).code(r#"{"hello": 1, "maxAwaitTimeMS": 5, "$db": "admin"}"#),
        31368
    );
    let mut twice = connect(&daemon);
    twice.ok(r#"{"hello": 1, "client": {"driver": {"name": "x"}}, "$db": "admin"}"#);
    assert_eq!(
        twice.code(r#"{"hello": 1, "client": {"driver": {"name": "x"}}, "$db": "admin"}"#),
        186
    );
}

#[test]
fn a_transaction_that_was_left_open_is_rolled_back() {
    let config = helios_mongo::Config {
        transaction_lifetime: std::time::Duration::from_millis(300),
        ..helios_mongo::Config::default()
    };
    let daemon = Daemon::start_with(config);
    let mut left = connect(&daemon);
    left.ok(r#"{"insert": "c", "documents": [{"_id": 1, "n": 0}]}"#);
    let mut command = Writer::new();
    command
        .put_str("update", "c")
        .start_array("updates")
        .start_document("0");
    command.start_document("q").put_i32("_id", 1).end();
    command
        .start_document("u")
        .start_document("$set")
        .put_i32("n", 1)
        .end()
        .end();
    command.end().end();
    command
        .start_document("lsid")
        .put("id", BsonBuf::binary(4, &[7; 16]).as_bson())
        .end();
    command
        .put_i64("txnNumber", 1)
        .put_bool("autocommit", false);
    command
        .put_bool("startTransaction", true)
        .put_str("$db", "shop");
    left.send(&command.finish());
    assert!(left.receive().as_bson().get("ok").truthy());
    // Waits for the row, which is free when the transaction has been ended.
    let mut other = connect(&daemon);
    other.ok(r#"{"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 2}}}], "maxTimeMS": 20000}"#);
    assert_eq!(other.documents(r#"{"find": "c"}"#), ["{ _id: 1, n: 2 }"]);
}

#[test]
fn an_idle_cursor_keeps_its_documents_and_not_the_state_that_it_reads() {
    let config = helios_mongo::Config {
        cursor_snapshot_lifetime: std::time::Duration::from_millis(200),
        ..helios_mongo::Config::default()
    };
    let daemon = Daemon::start_with(config);
    let mut client = connect(&daemon);
    for n in 0..10 {
        client.ok(&format!(
            r#"{{"insert": "small", "documents": [{{"_id": {n}}}]}}"#
        ));
    }
    let text = "x".repeat(3 << 20);
    for n in 0..8 {
        client.ok(&format!(
            r#"{{"insert": "large", "documents": [{{"_id": {n}, "text": "{text}"}}]}}"#
        ));
    }
    let mut open = |collection: &str| {
        let reply = client.ok(&format!(r#"{{"find": "{collection}", "batchSize": 1}}"#));
        reply.as_bson().get("cursor").get("id").as_i64().unwrap()
    };
    let (small, large) = (open("small"), open("large"));
    // More than is kept for a cursor is left of the large one, which is closed.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let status = client.ok(r#"{"serverStatus": 1, "$db": "admin"}"#);
        let open = status.as_bson().get("metrics").get("cursor").get("open");
        if open.get("total").as_i64() == Some(1) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{status:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    client.ok(r#"{"delete": "small", "deletes": [{"q": {}, "limit": 0}]}"#);
    let more = |id: i64, collection: &str| {
        let mut command = Writer::new();
        command
            .put_i64("getMore", id)
            .put_str("collection", collection)
            .put_str("$db", "shop");
        command.finish()
    };
    client.send(&more(small, "small"));
    let reply = client.receive();
    let batch = reply.as_bson().get("cursor").get("nextBatch");
    assert_eq!(batch.elements().count(), 9, "{reply:?}");
    client.send(&more(large, "large"));
    let reply = client.receive();
    assert_eq!(reply.as_bson().get("code").as_i32(), Some(43), "{reply:?}");
}
