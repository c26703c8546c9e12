//! SCRAM-SHA-256 verifiers: what is stored of a password (RFC 5802, RFC 7677).
//!
//! One verifier serves PostgreSQL and MongoDB, which both speak SCRAM-SHA-256, and Redis AUTH,
//! REST and gRPC, where the password itself arrives and is hashed again. Text form as PostgreSQL's:
//! `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, binary parts in base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// PostgreSQL's default, and MongoDB's least.
const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;

/// The parts of a verifier.
#[derive(Clone, Debug)]
pub struct ScramVerifier {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; 32],
    pub server_key: [u8; 32],
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn derive(password: &str, salt: &[u8], iterations: u32) -> ([u8; 32], [u8; 32]) {
    // A password that SASLprep refuses is used as it is, as PostgreSQL does.
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, &mut salted);
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
    (stored_key, hmac(&salted, b"Server Key"))
}

/// The verifier of a password; text that is a verifier already is kept.
pub fn verifier(password: &str) -> String {
    if ScramVerifier::parse(password).is_some() {
        return password.to_string();
    }
    let salt: [u8; SALT_BYTES] = rand::random();
    let (stored_key, server_key) = derive(password, &salt, ITERATIONS);
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        BASE64_STANDARD.encode(salt),
        BASE64_STANDARD.encode(stored_key),
        BASE64_STANDARD.encode(server_key)
    )
}

impl ScramVerifier {
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (cost, keys) = rest.split_once('$')?;
        let (iterations, salt) = cost.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text| <[u8; 32]>::try_from(BASE64_STANDARD.decode(text).ok()?).ok();
        Some(ScramVerifier {
            iterations: iterations.parse().ok()?,
            salt: BASE64_STANDARD.decode(salt).ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }

    /// Whether this is the verifier of `password`; takes the same time whichever way.
    pub fn accepts(&self, password: &str) -> bool {
        let (stored_key, _) = derive(password, &self.salt, self.iterations);
        stored_key.ct_eq(&self.stored_key).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_accepts_its_password_and_no_other() {
        let parsed = ScramVerifier::parse(&verifier("pencil")).expect("own output parses");
        assert!(parsed.accepts("pencil"));
        assert!(!parsed.accepts("Pencil"));
    }

    #[test]
    fn a_verifier_given_as_password_is_kept() {
        let text = verifier("pencil");
        assert_eq!(verifier(&text), text);
    }
}
