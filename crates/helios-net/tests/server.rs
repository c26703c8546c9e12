//! What a listener promises to a handler and to clients.

use helios_net::{
    Connection, Handler, Limits, Listener, Shutdown, Stream, TlsFiles, TlsMode, bind, serve,
};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Answers each byte `n` with `n + 1`; some bytes make it misbehave.
struct Next;

const PANIC: u8 = b'!';
const HANG: u8 = b'h';
const FLOOD: u8 = b'f';

impl Handler for Next {
    async fn handle(self: Arc<Self>, mut connection: Connection) -> io::Result<()> {
        let mut byte = [0];
        loop {
            if connection.stream.read(&mut byte).await? == 0 {
                let goodbye = if connection.shutdown.is_triggered() {
                    b'.'
                } else {
                    b'?'
                };
                return connection.stream.write_all(&[goodbye]).await;
            }
            connection.established();
            match byte[0] {
                PANIC => panic!("as asked"),
                HANG => std::future::pending().await,
                FLOOD => flood(&mut connection.stream).await?,
                n => connection.stream.write_all(&[n + 1]).await?,
            }
        }
    }

    async fn refuse(self: Arc<Self>, mut connection: Connection) -> io::Result<()> {
        connection.stream.write_all(b"full").await
    }
}

async fn flood(stream: &mut Stream) -> io::Result<()> {
    let block = vec![0; 1 << 20];
    loop {
        stream.write_all(&block).await?;
    }
}

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<()>,
    counters: Arc<helios_net::Counters>,
}

fn start(limits: Limits) -> Running {
    start_listener(
        bind(
            "test",
            SocketAddr::from(([127, 0, 0, 1], 0)),
            limits,
            TlsMode::Off,
        )
        .unwrap(),
    )
}

fn start_listener(listener: Listener) -> Running {
    let (address, counters) = (listener.address(), listener.counters.clone());
    let shutdown = Shutdown::new();
    let task = tokio::spawn(serve(listener, Arc::new(Next), shutdown.clone()));
    Running {
        address,
        shutdown,
        task,
        counters,
    }
}

async fn ask(client: &mut TcpStream, byte: u8) -> io::Result<u8> {
    client.write_all(&[byte]).await?;
    client.read_u8().await
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let server = start(Limits::connections(10));
    let mut healthy = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask(&mut healthy, b'a').await.unwrap(), b'b');
    let mut broken = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut broken, PANIC).await.is_err());
    assert_eq!(ask(&mut healthy, b'c').await.unwrap(), b'd');
    assert_eq!(server.counters.panicked.load(Relaxed), 1);
    assert_eq!(server.counters.accepted.load(Relaxed), 2);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_refused_in_the_protocols_words_and_room_is_given_back() {
    let server = start(Limits::connections(1));
    let mut first = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask(&mut first, b'a').await.unwrap(), b'b');
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let mut words = Vec::new();
    second.read_to_end(&mut words).await.unwrap();
    assert_eq!(words, b"full");
    drop(first);
    // The place is free when the first task has seen the end of its connection.
    while server.counters.active.load(Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask(&mut third, b'a').await.unwrap(), b'b');
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_is_cut() {
    let mut limits = Limits::connections(1);
    limits.handshake_timeout = Some(Duration::from_millis(100));
    let server = start(limits);
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(server.counters.timed_out.load(Relaxed), 1);
}

#[tokio::test]
async fn a_client_that_is_idle_too_long_is_cut_and_one_whose_request_runs_is_not() {
    let mut limits = Limits::connections(2);
    limits.idle_timeout = Some(Duration::from_millis(100));
    let server = start(limits);
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(&[HANG]).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask(&mut idle, b'a').await.unwrap(), b'b');
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(server.counters.active.load(Relaxed), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut() {
    let mut limits = Limits::connections(1);
    limits.write_timeout = Some(Duration::from_millis(100));
    let server = start(limits);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(&[FLOOD]).await.unwrap();
    while server.counters.timed_out.load(Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn bytes_before_the_handshake_are_bounded() {
    let mut limits = Limits::connections(1);
    limits.unestablished_bytes_max = 0;
    let server = start(limits);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut client, b'a').await.is_err());
}

#[tokio::test]
async fn draining_ends_idle_connections_politely_and_cuts_the_rest_at_the_deadline() {
    let server = start(Limits::connections(10));
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask(&mut idle, b'a').await.unwrap(), b'b');
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask(&mut stuck, b'a').await.unwrap(), b'b');
    stuck.write_all(&[HANG]).await.unwrap();
    // The answer to another byte would show that HANG was taken; its silence cannot, so the
    // server's own count of bytes does.
    while server.counters.bytes_received.load(Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    let began = std::time::Instant::now();
    server.shutdown.trigger();
    assert_eq!(idle.read_u8().await.unwrap(), b'.');
    assert!(began.elapsed() < Duration::from_secs(2));
    server.task.await.unwrap();
    assert!(began.elapsed() >= helios_net::DRAIN_DEADLINE);
    assert!(TcpStream::connect(server.address).await.is_err());
    assert_eq!(stuck.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind("redis", address, Limits::connections(1), TlsMode::Off)
        .err()
        .unwrap();
    assert_eq!(
        error.message(),
        format!("could not listen on {address} for redis: the port is in use")
    );
    assert!(
        error
            .fields()
            .hint
            .as_deref()
            .unwrap()
            .contains("--redis-port")
    );
}

/// A certificate for localhost that openssl makes.
fn certificate(directory: &std::path::Path) -> TlsFiles {
    let files = TlsFiles {
        certificate: directory.join("server.crt"),
        key: directory.join("server.key"),
        client_auth: helios_net::ClientAuth::None,
        client_authorities: None,
    };
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&files.key)
        .arg("-out")
        .arg(&files.certificate)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    files
}

#[tokio::test]
async fn a_tls_listener_speaks_tls_and_closes_on_anything_else() {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let config = helios_net::server_config(&files, &[]).unwrap();
    let tls = TlsMode::Immediate(config.into());
    let server = start_listener(
        bind(
            "test",
            SocketAddr::from(([127, 0, 0, 1], 0)),
            Limits::connections(9),
            tls,
        )
        .unwrap(),
    );

    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&files.certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let mut stream = connector
        .connect(ServerName::try_from("localhost").unwrap(), tcp)
        .await
        .unwrap();
    stream.write_all(b"a").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'b');

    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.contains(&b'H'), "no plain answer");
    while server.counters.tls_failed.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let files = TlsFiles {
        certificate: "/nonexistent/server.crt".into(),
        key: "/nonexistent/server.key".into(),
        client_auth: helios_net::ClientAuth::None,
        client_authorities: None,
    };
    let error = helios_net::server_config(&files, &[]).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("could not use certificate file \"/nonexistent/server.crt\""),
        "{error}"
    );
}
