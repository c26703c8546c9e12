//! Records of retryable writes: what a client gets that sends a write once more.
//!
//! The record is committed with the write itself, so that after a crash either both are there or
//! neither is. There is one for each logical session, that of its newest write.

use super::server::{SESSION_TIMEOUT, now_ms};
use crate::error::Result;
use helios_engine::Engine;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;

const PREFIX: &[u8] = b"mongo.retry/";

/// A write that may come again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub session: [u8; 16],
    pub number: i64,
}

fn key(session: [u8; 16]) -> Vec<u8> {
    [PREFIX, &session].concat()
}

impl Retry {
    /// The record's key and value; `fields` are those of the reply that are the command's own.
    pub fn record(&self, fields: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut out = Writer::with_capacity(fields.len() + 48);
        out.put_i64("txnNumber", self.number)
            .put("time", BsonBuf::date(now_ms()).as_bson())
            .put_document("reply", fields);
        (key(self.session), out.finish())
    }
}

/// The number and reply of the newest write that was committed in a logical session.
pub(crate) fn stored(engine: &Engine, session: [u8; 16]) -> Result<Option<(i64, Vec<u8>)>> {
    let Some(record) = engine.commit_record(&key(session))? else {
        return Ok(None);
    };
    let record = Bson::document(&record);
    let number = Number::of(record.get("txnNumber")).and_then(Number::to_exact_i64);
    Ok(number.map(|number| (number, record.get("reply").bytes.to_vec())))
}

/// Deletes the records of sessions that have ended by now.
pub(crate) fn sweep(engine: &Engine) -> Result<usize> {
    let oldest = now_ms() - SESSION_TIMEOUT.as_millis() as i64;
    let keep = |_: &[u8], record: &[u8]| {
        let time = Bson::document(record).get("time").as_date();
        time.is_some_and(|time| time >= oldest)
    };
    Ok(engine.retain_commit_records(PREFIX, keep)?)
}
