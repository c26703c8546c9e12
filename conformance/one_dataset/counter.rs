//! One counter, incremented at once from every protocol.

use crate::clients::{Clients, DATABASE, Grpc, Mongo, Rest, redis, sql};
use conformance::daemon::Daemon;
use conformance::redis_client::RedisReply;
use serde_json::json;
use std::sync::Barrier;

const EACH: usize = 300;
/// Each is a process.
const GRPC: usize = 20;

#[test]
fn a_counter_incremented_by_all_protocols_at_once_ends_at_the_exact_sum() {
    let daemon = Daemon::start();
    sql(&daemon).run("CREATE TABLE counter (id integer PRIMARY KEY, n bigint NOT NULL)");
    sql(&daemon).run("INSERT INTO counter VALUES (1, 0)");
    let start = Barrier::new(7);
    let increment = "UPDATE counter SET n = n + 1 WHERE id = 1";
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = sql(&daemon);
                start.wait();
                for _ in 0..EACH {
                    client.run(increment);
                }
            });
            scope.spawn(|| {
                let mut client = redis(&daemon, 16);
                start.wait();
                let mut last = 0;
                for _ in 0..EACH {
                    let RedisReply::Int(n) = client.run(&["HINCRBY", "counter:1", "n", "1"]) else {
                        panic!("HINCRBY gives a number");
                    };
                    assert!(n > last, "{n} after {last}");
                    last = n;
                }
            });
        }
        scope.spawn(|| {
            let mut client = Mongo::open(&daemon);
            let update = json!({"update": "counter", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": {"$numberLong": "1"}}}}]});
            start.wait();
            for _ in 0..EACH {
                let reply = client.run(&update);
                assert_eq!(reply["nModified"]["$numberInt"], "1", "{reply}");
            }
        });
        scope.spawn(|| {
            let mut client = Rest::open(&daemon);
            start.wait();
            for _ in 0..EACH {
                assert_eq!(client.query(increment, &json!([]))["affected_rows"], 1);
            }
        });
        scope.spawn(|| {
            let client = Grpc::of(&daemon);
            start.wait();
            for _ in 0..GRPC {
                client.rows(increment, &json!([]));
            }
        });
    });
    let sum = (6 * EACH + GRPC).to_string();
    let mut c = Clients::of(&daemon);
    assert_eq!(c.sql.run("SELECT n FROM counter"), [[Some(sum.clone())]]);
    assert_eq!(
        c.redis.run(&["HGET", "counter:1", "n"]).string(),
        Some(sum.clone())
    );
    let found = c.mongo.find(DATABASE, "counter", &json!({}));
    assert_eq!(found[0]["n"], json!({"$numberLong": sum}));
    let row = c.rest.ok("GET", "/tables/counter/rows/1", None);
    assert_eq!(row["data"]["n"].to_string(), sum);
    assert_eq!(
        c.grpc.rows("SELECT n FROM counter", &json!([])),
        [json!([{"intValue": sum}])]
    );
}
