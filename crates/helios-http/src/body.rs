//! Bodies in and out: JSON of bounded size in, one buffer or a stream of buffers out.

use crate::error::{Failure, Fault, Result};
use bytes::{Bytes, BytesMut};
use helios_engine::CancelHandle;
use helios_types::ErrorKind;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Time in which a request's body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The body of a reply.
pub enum Body {
    Full(Bytes),
    /// Buffers as they come, and what they come from.
    Stream(
        mpsc::Receiver<Bytes>,
        #[expect(dead_code, reason = "it acts when it is dropped")] StopOnDrop,
    ),
}

/// Cancels a statement when nobody wants its rows any more.
pub struct StopOnDrop(pub CancelHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream(receiver, _) => receiver
                .poll_recv(cx)
                .map(|bytes| bytes.map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(..) => SizeHint::default(),
        }
    }
}

/// The whole body of a request of at most `max` bytes.
pub async fn read(body: Incoming, max: usize) -> Result<Bytes> {
    match tokio::time::timeout(BODY_TIMEOUT, read_frames(body, max)).await {
        Ok(result) => result,
        Err(_) => Err(malformed("the request body did not arrive in time")),
    }
}

/// Takes in what is left of a body that the reply does not depend on, if it is small and comes
/// soon: a reply that overtakes its request's body is an error to clients of HTTP/2, and costs
/// those of HTTP/1 their connection.
pub async fn drain(body: Incoming) {
    const TIME: Duration = Duration::from_secs(1);
    const BYTES: usize = 1 << 20;
    // Whether it came or not, the reply is on its way.
    let _ = tokio::time::timeout(TIME, read_frames(body, BYTES)).await;
}

async fn read_frames(mut body: Incoming, max: usize) -> Result<Bytes> {
    let declared = body.size_hint().lower();
    if declared > max as u64 {
        return Err(too_large(max));
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|e| malformed(format!("the request body ended early: {e}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        // Most bodies are one frame, which is then used as it is.
        match &first {
            None => first = Some(data),
            Some(head) => {
                if rest.is_empty() {
                    rest.extend_from_slice(head);
                }
                rest.extend_from_slice(&data);
            }
        }
        if rest.len().max(first.as_ref().map_or(0, Bytes::len)) > max {
            return Err(too_large(max));
        }
    }
    Ok(if rest.is_empty() {
        first.unwrap_or_default()
    } else {
        rest.freeze()
    })
}

fn malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(Fault::MalformedJson, ErrorKind::ProtocolViolation, message)
}

fn too_large(max: usize) -> Failure {
    Failure::new(
        Fault::TooLarge,
        ErrorKind::LimitExceeded,
        format!("the request body is larger than {max} bytes"),
    )
}
