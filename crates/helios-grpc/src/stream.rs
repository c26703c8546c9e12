//! Rows sent while the query runs.

use crate::error::status;
use crate::proto::Row;
use crate::value::RowMessages;
use helios_engine::{CancelHandle, Fetched, Prepared, Session};
use helios_net::Alarm;
use helios_planner::template::OutputColumn;
use helios_types::{Error, ErrorKind, Value};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::Stream;
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

/// Rows as they come. A client that goes away ends the query.
pub struct Rows {
    receiver: ReceiverStream<Result<Row, Status>>,
    _stop: StopOnDrop,
}

impl Stream for Rows {
    type Item = Result<Row, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}

/// Cancels a statement when nobody wants its rows any more.
struct StopOnDrop(CancelHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Starts the query; an error of its first batch is the call's own error.
pub async fn start(
    session: Session,
    prepared: Arc<Prepared>,
    params: Vec<Value>,
    timeout: Duration,
) -> Result<Rows, Status> {
    let (sender, receiver) = mpsc::channel(BUFFERED_ROWS);
    let (started, first) = tokio::sync::oneshot::channel();
    let stop = StopOnDrop(session.cancel_handle());
    let cancel = session.cancel_handle();
    tokio::spawn(async move {
        let mut started = Some(started);
        let alarm = Alarm::set(timeout, move || cancel.cancel());
        let sending = send(session, prepared, params, &sender, &mut started);
        let result = match sending.await {
            Err(e) if e.kind() == ErrorKind::QueryCancelled && alarm.rang() => Err(Error::new(
                ErrorKind::StatementTimeout,
                "canceling statement due to statement timeout",
            )),
            result => result,
        };
        if let Err(error) = result {
            match started.take() {
                // Nobody waits any more when the client has gone.
                Some(started) => drop(started.send(Err(error))),
                None => drop(sender.send(Err(status(&error))).await),
            }
        }
    });
    match first.await {
        Ok(Ok(())) => Ok(Rows {
            receiver: ReceiverStream::new(receiver),
            _stop: stop,
        }),
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
