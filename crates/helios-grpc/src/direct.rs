//! ExecuteQuery from HTTP/2 to the engine and back without a router, boxed bodies and generic codecs.
//!
//! Only what is usual about a call is understood here: a message in one frame, not compressed. A call
//! that is unusual in any way, or wrong, goes the general way with all that was read of it, so that
//! answers and refusals are tonic's.

use crate::proto::{QueryRequest, QueryResponse};
use crate::service::HeliosService;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, Version};
use hyper_util::service::TowerToHyperService;
use prost::Message;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

const EXECUTE_QUERY: &str = "/heliosdb.v1.HeliosDB/ExecuteQuery";

/// All calls of a connection.
#[derive(Clone)]
pub struct Calls {
    service: Arc<HeliosService>,
    general: TowerToHyperService<Routes>,
    message_bytes_max: usize,
}

impl Calls {
    pub fn new(service: Arc<HeliosService>, general: Routes, message_bytes_max: usize) -> Self {
        Self {
            service,
            general: TowerToHyperService::new(general),
            message_bytes_max,
        }
    }

    async fn go_the_general_way(self, request: Request<Given>) -> Response<Answer> {
        let Ok(response) = self.general.call(request).await;
        response.map(Answer::General)
    }

    async fn execute_query(self, request: Request<Incoming>) -> Response<Answer> {
        let (parts, rest) = request.into_parts();
        let mut given = Given {
            read: VecDeque::new(),
            rest,
        };
        let Some(message) = given.message(self.message_bytes_max).await else {
            return self
                .go_the_general_way(Request::from_parts(parts, given))
                .await;
        };
        let metadata = MetadataMap::from_headers(parts.headers);
        let answer = self.service.query(&metadata, &message).await;
        match answer.and_then(|answer| Answer::message(&answer)) {
            Ok(answer) => {
                let mut response = Response::new(answer);
                let kind = HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(status) => status.into_http(),
        }
    }
}

/// Whether the head of a call is as those of most are.
fn is_usual(request: &Request<Incoming>) -> bool {
    let header = |name: &'static str| request.headers().get(name).map(HeaderValue::as_bytes);
    request.uri().path() == EXECUTE_QUERY
        && request.version() == Version::HTTP_2
        && request.method() == Method::POST
        && matches!(
            header("content-type"),
            Some(b"application/grpc" | b"application/grpc+proto")
        )
        && matches!(header("grpc-encoding"), None | Some(b"identity"))
}

impl Service<Request<Incoming>> for Calls {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let calls = self.clone();
        if is_usual(&request) {
            return Box::pin(async move { Ok(calls.execute_query(request).await) });
        }
        let request = request.map(|rest| Given {
            read: VecDeque::new(),
            rest,
        });
        Box::pin(async move { Ok(calls.go_the_general_way(request).await) })
    }
}

/// The body of a request, of which a part may have been read already.
struct Given {
    read: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    rest: Incoming,
}

impl Given {
    /// The message, if it came in one frame and nothing came with it.
    async fn message(&mut self, bytes_max: usize) -> Option<QueryRequest> {
        while !self.rest.is_end_stream() {
            let rest = &mut self.rest;
            let Some(frame) = poll_fn(|cx| Pin::new(&mut *rest).poll_frame(cx)).await else {
                break;
            };
            let data = frame.as_ref().ok().and_then(Frame::data_ref);
            // Many clients end a stream with a frame of its own.
            if data.is_some_and(Bytes::is_empty) {
                continue;
            }
            let is_unusual = data.is_none() || !self.read.is_empty();
            self.read.push_back(frame);
            if is_unusual {
                return None;
            }
        }
        let data = self.read.front()?.as_ref().ok()?.data_ref()?;
        let ([compressed, length @ ..], body) = data.split_first_chunk::<5>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if *compressed != 0 || length != body.len() || length > bytes_max {
            return None;
        }
        QueryRequest::decode(body).ok()
    }
}

impl Body for Given {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.read.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }
}

/// The body of a response.
#[derive(Default)]
pub enum Answer {
    General(tonic::body::Body),
    /// One message and the trailers of success.
    Message(Bytes),
    Trailers,
    /// Nothing more; alone, the headers have the status.
    #[default]
    End,
}

impl Answer {
    fn message(answer: &QueryResponse) -> Result<Self, Status> {
        let length = answer.encoded_len();
        let Ok(prefix) = u32::try_from(length) else {
            return Err(Status::resource_exhausted(format!(
                "the answer is longer than a message can be: {length} bytes"
            )));
        };
        let mut out = Vec::with_capacity(length + 5);
        out.push(0);
        out.extend_from_slice(&prefix.to_be_bytes());
        let encoded = answer.encode(&mut out);
        encoded.map_err(|e| Status::internal(e.to_string()))?;
        Ok(Answer::Message(Bytes::from(out)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut *self {
            Answer::General(body) => Pin::new(body).poll_frame(cx),
            Answer::Message(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                *self = Answer::Trailers;
                Poll::Ready(Some(Ok(frame)))
            }
            Answer::Trailers => {
                *self = Answer::End;
                let mut trailers = HeaderMap::with_capacity(1);
                let name = HeaderName::from_static("grpc-status");
                trailers.insert(name, HeaderValue::from_static("0"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Answer::End => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::General(body) => body.is_end_stream(),
            Answer::Message(_) | Answer::Trailers => false,
            Answer::End => true,
        }
    }
}
