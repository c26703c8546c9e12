//! One request from its head to its reply.

use crate::accept::{self, Media};
use crate::app::App;
use crate::auth;
use crate::body::{self, Body};
use crate::dialect::{self, Dialect};
use crate::endpoint;
use crate::error::{ErrorContext, Failure, Fault, Result};
use crate::json::Fields;
use crate::reply::Reply;
use crate::request::{Request, query_pairs};
use crate::route::{Endpoint, Found, find, percent_decode};
use bytes::Bytes;
use helios_net::http::{HttpLimits, serve_connection};
use helios_net::lease::new_id;
use helios_net::{Connection, Handler};
use helios_types::ErrorKind;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

const REQUEST_ID_BYTES_MAX: usize = 128;
const TENANT_BYTES_MAX: usize = 128;

/// Serves the connections of one HTTP listener.
pub struct HttpHandler {
    pub app: Arc<App>,
    /// Dialect of routes that several dialects own.
    pub default_dialect: Dialect,
    pub limits: HttpLimits,
}

impl Handler for HttpHandler {
    async fn handle(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        let peer = connection.peer;
        let limits = self.limits.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let handler = self.clone();
            async move { Ok::<_, Infallible>(handler.respond(request, peer).await) }
        });
        serve_connection(connection, &limits, service).await
    }

    async fn refuse(self: Arc<Self>, mut connection: Connection) -> io::Result<()> {
        use tokio::io::AsyncWriteExt;
        let failure = Failure::new(
            Fault::Unavailable,
            ErrorKind::TooManyConnections,
            "too many connections",
        );
        let context = ErrorContext {
            request_id: &new_id("req_"),
            duration_ms: 0,
            sql: None,
        };
        let body = failure.body(self.default_dialect, &context);
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\nretry-after: 1\r\n\r\n",
            body.len()
        );
        connection.stream.write_all(head.as_bytes()).await?;
        connection.stream.write_all(&body).await?;
        connection.stream.shutdown().await
    }

    fn drains_itself(&self) -> bool {
        true
    }
}

/// What the answer to a request needs to know, also when the request failed early.
struct Exchange {
    id: String,
    dialect: Dialect,
    started: Instant,
    /// The statement of the request, for line and column of an error.
    sql: Option<String>,
}

impl HttpHandler {
    async fn respond(&self, request: hyper::Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let (parts, incoming) = request.into_parts();
        let mut incoming = Some(incoming);
        let mut exchange = Exchange {
            id: request_id(&parts),
            dialect: dialect::of_path(parts.uri.path(), self.default_dialect),
            started: Instant::now(),
            sql: None,
        };
        let reply = match self.answer(parts, &mut incoming, peer, &mut exchange).await {
            Ok(reply) => reply,
            Err(failure) => error_reply(&failure, &exchange),
        };
        if let Some(unread) = incoming {
            body::drain(unread).await;
        }
        finish(reply, &exchange)
    }

    async fn answer(
        &self,
        parts: Parts,
        incoming: &mut Option<Incoming>,
        peer: SocketAddr,
        exchange: &mut Exchange,
    ) -> Result<Reply> {
        let named = dialect::named(&parts)?;
        if let Some(dialect) = named {
            exchange.dialect = dialect;
        }
        let path = parts.uri.path();
        let (endpoint, captures) = match find(&parts.method, path) {
            Found::Endpoint(endpoint, captures) => (endpoint, captures),
            Found::MethodNotAllowed(methods) if parts.method == Method::OPTIONS => {
                return Ok(allowed(&methods));
            }
            Found::MethodNotAllowed(methods) => {
                return Ok(method_not_allowed(&parts.method, &methods, exchange));
            }
            Found::NotFound => {
                return Err(Failure::not_found(format!(
                    "there is no endpoint {} {path}",
                    parts.method
                )));
            }
        };
        let captures = decode_captures(&captures)?;
        let user = self.authorise(endpoint, &parts, peer, exchange.dialect)?;
        let media = accept::negotiate(&parts.headers, endpoint.media())?;
        let fields = if endpoint.takes_json() {
            let is_json = check_content_type(&parts)?;
            let body = match incoming.take() {
                Some(body) => body::read(body, self.app.config.body_bytes_max).await?,
                None => Bytes::new(),
            };
            if !is_json && !body.is_empty() {
                return Err(unsupported_type("a body without a content type"));
            }
            Fields::parse(&body)?
        } else {
            Fields::default()
        };
        exchange.dialect = named.unwrap_or_else(|| {
            dialect::of_route(
                endpoint,
                &parts,
                &|name| fields.has(name),
                self.default_dialect,
                &self.app.config,
            )
        });
        if !endpoint.owners().contains(&exchange.dialect) {
            let (name, method) = (exchange.dialect.name(), &parts.method);
            return Err(Failure::not_found(format!(
                "dialect {name} has no endpoint {method} {path}"
            )));
        }
        let query = query_pairs(parts.uri.query())
            .ok_or_else(|| Failure::field("the query string has a malformed percent escape"))?;
        let tenant = tenant(&parts)?;
        let database = match parts.headers.get("x-helios-database").map(|v| v.to_str()) {
            None => self.app.engine.default_database().to_owned(),
            Some(Ok(name)) => name.to_owned(),
            Some(Err(_)) => {
                return Err(Failure::field(
                    "header \"X-Helios-Database\" is not readable",
                ));
            }
        };
        let request = Request {
            captures,
            query,
            fields,
            id: exchange.id.clone(),
            user,
            database,
            tenant,
            media,
            peer: Some(peer),
            dialect: exchange.dialect,
            started: exchange.started,
        };
        let result = endpoint::call(endpoint, &self.app, &request).await;
        if result.is_err() {
            // Only an error says where in the statement it is.
            exchange.sql = request.fields.str("sql").ok().flatten().map(str::to_owned);
        }
        result
    }

    fn authorise(
        &self,
        endpoint: Endpoint,
        parts: &Parts,
        peer: SocketAddr,
        dialect: Dialect,
    ) -> Result<String> {
        let open = endpoint.is_open() || (endpoint == Endpoint::Metrics && peer.ip().is_loopback());
        if open {
            Ok(String::new())
        } else {
            auth::role(&self.app, &parts.headers, dialect)
        }
    }
}

/// The client's own id when it is short and printable, else a new one.
fn request_id(parts: &Parts) -> String {
    let given = parts
        .headers
        .get("x-request-id")
        .and_then(|v| v.to_str().ok());
    match given {
        Some(id) if !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX => id.to_owned(),
        _ => new_id("req_"),
    }
}

/// The tenant that the request names.
fn tenant(parts: &Parts) -> Result<Option<String>> {
    let mut values = parts.headers.get_all("x-tenant-id").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > TENANT_BYTES_MAX || values.next().is_some() {
        return Err(Failure::field(format!(
            "header \"X-Tenant-ID\" must be one name of 1 to {TENANT_BYTES_MAX} ASCII characters"
        )));
    }
    Ok(Some(text.to_owned()))
}

fn decode_captures(captures: &[&str]) -> Result<Vec<String>> {
    captures
        .iter()
        .map(|segment| {
            percent_decode(segment, false)
                .filter(|s| !s.contains('\0'))
                .ok_or_else(|| Failure::field("the path has a malformed percent escape"))
        })
        .collect()
}

/// Whether the request says that its body is JSON; saying another thing is an error. A body must
/// say it: what a page of another origin may send without asking first has no such type.
fn check_content_type(parts: &Parts) -> Result<bool> {
    let text = |name| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().unwrap_or_default())
    };
    if let Some(encoding) = text(CONTENT_ENCODING)
        && !encoding.trim().eq_ignore_ascii_case("identity")
    {
        return Err(unsupported_type(&format!(
            "content encoding \"{encoding}\""
        )));
    }
    let Some(value) = text(CONTENT_TYPE) else {
        return Ok(false);
    };
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(unsupported_type(&format!("content type \"{media_type}\"")));
    }
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let charset = name.trim().eq_ignore_ascii_case("charset");
        let value = value.trim().trim_matches('"');
        if charset && !value.eq_ignore_ascii_case("utf-8") && !value.eq_ignore_ascii_case("utf8") {
            return Err(unsupported_type(&format!("charset \"{value}\"")));
        }
    }
    Ok(true)
}

fn unsupported_type(what: &str) -> Failure {
    Failure::new(
        Fault::UnsupportedMediaType,
        ErrorKind::InvalidParameterValue,
        format!("{what} is not supported: expected application/json in UTF-8"),
    )
}

fn method_list(methods: &[Method]) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if methods.contains(&Method::GET) {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

fn allowed(methods: &[Method]) -> Reply {
    let mut reply = Reply::empty(204);
    reply.headers.insert(ALLOW, method_list(methods));
    reply
}

fn method_not_allowed(method: &Method, methods: &[Method], exchange: &Exchange) -> Reply {
    let message = format!("method {method} is not allowed here");
    let failure = Failure::new(
        Fault::MethodNotAllowed,
        ErrorKind::InvalidParameterValue,
        message,
    );
    let mut reply = error_reply(&failure, exchange);
    reply.headers.insert(ALLOW, method_list(methods));
    reply
}

fn error_reply(failure: &Failure, exchange: &Exchange) -> Reply {
    let error = &failure.error;
    let (code, status) = failure.code(exchange.dialect);
    if failure.fault == Fault::ServerBug {
        let cause = error.fields().cause.as_deref().unwrap_or_default();
        let message = error.message();
        tracing::error!(request_id = exchange.id, message, cause, "internal error");
    } else {
        tracing::debug!(request_id = exchange.id, %code, status, error = error.message(), "request failed");
    }
    let duration_ms = exchange.started.elapsed().as_millis();
    let context = ErrorContext {
        request_id: &exchange.id,
        duration_ms,
        sql: exchange.sql.as_deref(),
    };
    let reply = Reply::new(
        status,
        Media::Json,
        Body::Full(Bytes::from(failure.body(exchange.dialect, &context))),
    );
    match status {
        401 => reply.header("www-authenticate", "Bearer"),
        503 => reply.header("retry-after", "1"),
        _ => reply,
    }
}

fn finish(reply: Reply, exchange: &Exchange) -> Response<Body> {
    let mut reply = reply.header("x-request-id", &exchange.id);
    reply.headers.insert(
        HeaderName::from_static("x-helios-dialect"),
        HeaderValue::from_static(exchange.dialect.name()),
    );
    reply.headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    let mut response = Response::new(reply.body);
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = reply.headers;
    response
}
