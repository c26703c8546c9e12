//! The handshake: who this server is, and waiting for that to change.

use super::{Context, auth};
use crate::codec::{DOCUMENT_BYTES_MAX, MESSAGE_BYTES_MAX, Request, WRITE_BATCH_MAX};
use crate::error::{Result, fail};
use crate::session::{Client, now_ms};
use helios_planner::document::error::code;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use std::time::Duration;

/// The version of the wire protocol: MongoDB 7.0.
const WIRE_VERSION_MAX: i32 = 21;
/// Longest that a hello may wait.
const AWAIT_MAX: Duration = Duration::from_secs(600);

/// How long a reply to this request is put off, when it is a hello that waits for a change.
pub(crate) fn awaits(name: &str, request: &Request<'_>) -> Option<Duration> {
    if !matches!(name, "hello" | "isMaster" | "ismaster")
        || !request.get("topologyVersion").is_document()
    {
        return None;
    }
    let ms = Number::of(request.get("maxAwaitTimeMS")).and_then(Number::to_truncated_i64)?;
    Some(Duration::from_millis(u64::try_from(ms).ok()?).min(AWAIT_MAX))
}

/// The wait before the first reply: none when the client knows another state than this.
pub(crate) fn first_wait(
    client: &Client,
    request: &Request<'_>,
    wait: Duration,
) -> Option<Duration> {
    let known = request
        .body
        .get("topologyVersion")
        .get("processId")
        .as_object_id();
    (known == Some(client.server.process_id)).then_some(wait)
}

pub(crate) fn hello(context: &mut Context<'_>) -> Result<()> {
    let body = context.body();
    if body.get("topologyVersion").is_missing() != body.get("maxAwaitTimeMS").is_missing() {
        fail!(
            31368,
            "A request with 'topologyVersion' must include 'maxAwaitTimeMS' and vice versa"
        );
    }
    introduce(context)?;
    let client = &*context.client;
    let me = match &client.server.config.advertised {
        Some(address) => address.clone(),
        None => client.local.to_string(),
    };
    let (process_id, set_name) = (
        client.server.process_id,
        client.server.config.replica_set.clone(),
    );
    let connection = client.id;
    let out = &mut context.out;
    out.put_bool("helloOk", true);
    out.put_bool(
        if context.name == "hello" {
            "isWritablePrimary"
        } else {
            "ismaster"
        },
        true,
    );
    out.start_document("topologyVersion");
    out.put("processId", BsonBuf::object_id(process_id).as_bson())
        .put_i64("counter", 1)
        .end();
    out.start_array("hosts").put_str("0", &me).end();
    out.put_str("setName", &set_name)
        .put_i32("setVersion", 1)
        .put_bool("secondary", false);
    out.put_str("primary", &me).put_str("me", &me);
    out.put("electionId", BsonBuf::object_id(process_id).as_bson());
    let now = BsonBuf::timestamp(context.client.server.cluster_time());
    out.start_document("lastWrite").start_document("opTime");
    out.put("ts", now.as_bson()).put_i64("t", 1).end();
    out.put("lastWriteDate", BsonBuf::date(now_ms()).as_bson());
    out.start_document("majorityOpTime")
        .put("ts", now.as_bson())
        .put_i64("t", 1)
        .end();
    out.put("majorityWriteDate", BsonBuf::date(now_ms()).as_bson())
        .end();
    out.put_i32("maxBsonObjectSize", DOCUMENT_BYTES_MAX as i32);
    out.put_i32("maxMessageSizeBytes", MESSAGE_BYTES_MAX as i32);
    out.put_i32("maxWriteBatchSize", WRITE_BATCH_MAX as i32);
    out.put("localTime", BsonBuf::date(now_ms()).as_bson());
    out.put_i32("logicalSessionTimeoutMinutes", 30)
        .put_i32("connectionId", connection);
    out.put_i32("minWireVersion", 0)
        .put_i32("maxWireVersion", WIRE_VERSION_MAX)
        .put_bool("readOnly", false);
    auth::mechanisms(context)?;
    auth::speculative(context);
    Ok(())
}

/// The client's description of itself, which it may send once.
fn introduce(context: &mut Context<'_>) -> Result<()> {
    let metadata = context.get("client");
    if !metadata.is_document() {
        return Ok(());
    }
    if context.client.introduced {
        fail!(
            code::CLIENT_METADATA_CANNOT_BE_MUTATED,
            "The client metadata document may only be sent in the first hello"
        );
    }
    context.client.introduced = true;
    let application = metadata.get("application").get("name").as_str();
    let driver = metadata.get("driver").get("name").as_str();
    context.client.application = application.or(driver).unwrap_or_default().to_owned();
    Ok(())
}
