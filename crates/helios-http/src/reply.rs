//! Replies before they become HTTP responses.

use crate::accept::Media;
use crate::body::Body;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Reply {
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self::new(status, Media::Json, Body::Full(Bytes::from(body)))
    }

    pub fn value(status: u16, body: &serde_json::Value) -> Self {
        Self::json(status, body.to_string().into_bytes())
    }

    pub fn new(status: u16, media: Media, body: Body) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, media.content_type());
        Self {
            status,
            headers,
            body,
        }
    }

    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Body::Full(Bytes::new()),
        }
    }

    /// A value that cannot stand in a header is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}
