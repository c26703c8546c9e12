//! Who may connect: everybody on loopback while no role has a password, else SCRAM-SHA-256.
//!
//! A role that does not exist or has no password goes through the same exchange with made-up
//! keys, so that names cannot be guessed from the answers.

use super::{Client, FrontEnd};
use crate::codec::{self, Frontend, HEADER_BYTES, Reader};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Buf;
use helios_types::{Error, Result, error};
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::OnceLock;

const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Longest message of the exchange, in bytes.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// What roles without a password seem to have.
const ITERATIONS: usize = 4096;

/// The outer error is of the connection, the inner one is for the client.
pub async fn authenticate(
    client: &mut Client,
    front_end: &FrontEnd,
    user: &str,
) -> io::Result<Result<()>> {
    if !front_end.engine.has_credentials() {
        return Ok(
            if client.connection.peer.ip().to_canonical().is_loopback() {
                Ok(())
            } else {
                Err(error!(
                    Unauthenticated,
                    "connections from other machines need a password"
                )
                .with_hint(format!(
                    "Connect on this machine and run ALTER ROLE {user} PASSWORD '...'."
                )))
            },
        );
    }
    let verifier = front_end.engine.password_verifier(user);
    let secret = verifier.as_deref().and_then(parse_verifier);
    let known = secret.is_some();
    match exchange(client, front_end, secret.unwrap_or_else(|| made_up(user))).await {
        Ok(()) if known => Ok(Ok(())),
        Ok(()) => Ok(Err(failed(user))),
        Err(Failure::Connection(e)) => Err(e),
        Err(Failure::Protocol(e)) => Ok(Err(e)),
        Err(Failure::Proof) => Ok(Err(failed(user))),
    }
}

fn failed(user: &str) -> Error {
    error!(
        InvalidPassword,
        "password authentication failed for user \"{user}\""
    )
}

enum Failure {
    Connection(io::Error),
    Protocol(Error),
    Proof,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Connection(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Protocol(error)
    }
}

async fn exchange(
    client: &mut Client,
    front_end: &FrontEnd,
    secret: ScramSecret,
) -> Result<(), Failure> {
    let mut scram = ScramServerAuth::new();
    let certificate = &front_end.config.certificate_pem;
    let mut mechanisms = vec![PLAIN];
    if client.connection.stream.is_encrypted()
        && let Some(certificate) = certificate
    {
        scram
            .configure_certificate(certificate)
            .map_err(Error::internal)?;
        mechanisms.insert(0, PLUS);
    }
    client.output.authentication_sasl(&mechanisms);
    client.flush().await?;

    let first = response(client).await?;
    let (mechanism, data) = initial_response(&first)?;
    if !mechanisms.contains(&mechanism) {
        return Err(error!(
            ProtocolViolation,
            "client selected an invalid SASL authentication mechanism"
        )
        .into());
    }
    // With a certificate configured the plain mechanism must not be bound to the channel.
    let scram = if mechanism == PLAIN && !data.starts_with(b"y") {
        ScramServerAuth::new()
    } else {
        scram
    };
    let (answer, waiting) = scram
        .on_client_first_message_with_secret(data, secret)
        .map_err(|e| malformed(&e))?;
    client
        .output
        .authentication_sasl_continue(answer.as_bytes());
    client.flush().await?;

    let last = response(client).await?;
    match waiting.on_client_final_message(&last) {
        Ok(answer) => {
            client.output.authentication_sasl_final(answer.as_bytes());
            Ok(())
        }
        Err(pgwire::error::PgWireError::InvalidPassword(_)) => Err(Failure::Proof),
        Err(e) => Err(malformed(&e).into()),
    }
}

fn malformed(error: &pgwire::error::PgWireError) -> Error {
    error!(ProtocolViolation, "malformed SCRAM message").with_detail(error.to_string())
}

/// Mechanism and data of SASLInitialResponse.
fn initial_response(body: &[u8]) -> Result<(&str, &[u8])> {
    let mut reader = Reader::new(body);
    let mechanism = reader.text()?;
    let data = reader.value()?.unwrap_or_default();
    reader.end()?;
    Ok((mechanism, data))
}

/// The body of the next password message.
async fn response(client: &mut Client) -> Result<Vec<u8>, Failure> {
    loop {
        let Some(header) = codec::decode_header(&client.input, RESPONSE_BYTES_MAX)? else {
            more(client).await?;
            continue;
        };
        let length = HEADER_BYTES + header.body_bytes;
        let Some(body) = client.input.get(HEADER_BYTES..length) else {
            more(client).await?;
            continue;
        };
        let body = match codec::decode_message(header, body)? {
            Frontend::Password(data) => data.to_vec(),
            Frontend::Terminate => {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
            }
            _ => {
                return Err(error!(
                    ProtocolViolation,
                    "expected SASL response, got message type {}", header.tag
                )
                .into());
            }
        };
        client.input.advance(length);
        return Ok(body);
    }
}

async fn more(client: &mut Client) -> Result<(), Failure> {
    if client.read().await? {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }
}

/// `SCRAM-SHA-256$iterations:salt$stored key:server key`
fn parse_verifier(text: &str) -> Option<ScramSecret> {
    let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    Some(ScramSecret::Verifier {
        salt: STANDARD.decode(salt).ok()?,
        iterations: iterations.parse().ok()?,
        stored_key: STANDARD.decode(stored_key).ok()?,
        server_key: STANDARD.decode(server_key).ok()?,
    })
}

/// Keys that no password fits, under a salt that is the same every time the name is tried.
fn made_up(user: &str) -> ScramSecret {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    let seed = SEED.get_or_init(RandomState::new);
    let halves = [seed.hash_one((user, 0)), seed.hash_one((user, 1))];
    let stored_key: [u8; 32] = rand::random();
    let server_key: [u8; 32] = rand::random();
    ScramSecret::Verifier {
        salt: halves.iter().flat_map(|half| half.to_be_bytes()).collect(),
        iterations: ITERATIONS,
        stored_key: stored_key.to_vec(),
        server_key: server_key.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ScramSecret, initial_response, parse_verifier};

    #[test]
    fn a_verifier_is_read_from_postgresql_s_text() {
        let text = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy";
        let Some(ScramSecret::Verifier {
            salt,
            iterations,
            stored_key,
            server_key,
        }) = parse_verifier(text)
        else {
            panic!("not read");
        };
        assert_eq!((salt.as_slice(), iterations), (&b"salt"[..], 4096));
        assert_eq!(
            (stored_key.as_slice(), server_key.as_slice()),
            (&b"stored"[..], &b"server"[..])
        );
        assert!(parse_verifier("md5abc").is_none());
    }

    #[test]
    fn an_initial_response_names_its_mechanism() {
        let body = b"SCRAM-SHA-256\0\0\0\0\x03n,,";
        assert_eq!(
            initial_response(body).unwrap(),
            ("SCRAM-SHA-256", &b"n,,"[..])
        );
        assert!(initial_response(b"SCRAM-SHA-256\0\0\0\0\xffn,,").is_err());
    }
}
