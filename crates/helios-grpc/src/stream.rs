//! Rows sent while the query runs.

use crate::error::status;
use crate::proto::Row;
use crate::value::RowMessages;
use helios_engine::{Fetched, Prepared, Session};
use helios_planner::template::OutputColumn;
use helios_types::{Error, Value};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};

/// Rows that wait for the client.
const BUFFERED_ROWS: usize = 256;
const BATCH_ROWS: u64 = 256;

/// The columns' names as JSON in ASCII, for the initial metadata.
pub fn columns_header(output: &[OutputColumn]) -> Result<MetadataValue<Ascii>, Status> {
    let names: Vec<&str> = output.iter().map(|c| c.name.as_str()).collect();
    let json = serde_json::Value::from(names).to_string();
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
        .parse()
        .map_err(|_| status(&Error::internal("column names do not fit into metadata")))
}

/// Starts the query; an error of its first batch is the call's own error.
pub async fn start(
    session: Session,
    prepared: Arc<Prepared>,
    params: Vec<Value>,
) -> Result<ReceiverStream<Result<Row, Status>>, Status> {
    let (sender, receiver) = mpsc::channel(BUFFERED_ROWS);
    let (started, first) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut started = Some(started);
        let result = send(session, prepared, params, &sender, &mut started).await;
        if let Err(error) = result {
            match started.take() {
                // Nobody waits any more when the client has gone.
                Some(started) => drop(started.send(Err(error))),
                None => drop(sender.send(Err(status(&error))).await),
            }
        }
    });
    match first.await {
        Ok(Ok(())) => Ok(ReceiverStream::new(receiver)),
        Ok(Err(error)) => Err(status(&error)),
        Err(_) => Err(status(&Error::internal("the stream ended before it began"))),
    }
}

type Started = tokio::sync::oneshot::Sender<Result<(), Error>>;

async fn send(
    mut session: Session,
    prepared: Arc<Prepared>,
    params: Vec<Value>,
    sender: &mpsc::Sender<Result<Row, Status>>,
    started: &mut Option<Started>,
) -> Result<(), Error> {
    let mut rows = RowMessages::new(prepared.output.iter().map(|c| c.ty).collect());
    let mut cursor = session.open(&prepared, params).await?;
    loop {
        let fetched = session.fetch(&mut cursor, &mut rows, BATCH_ROWS).await?;
        if let Some(started) = started.take() {
            let _ = started.send(Ok(()));
        }
        for row in rows.take() {
            if sender.send(Ok(row)).await.is_err() {
                // The client has gone; dropping the session ends the statement.
                return Ok(());
            }
        }
        if let Fetched::Done(_) = fetched {
            return Ok(());
        }
    }
}
