//! SCRAM-SHA-256 (RFC 5802, RFC 7677) over saslStart and saslContinue.
//!
//! The verifier is the role's in the engine, shared with PostgreSQL. A user that does not exist
//! gets a made-up challenge, so that names cannot be told apart by the course of the exchange.

use super::Context;
use crate::error::{MongoError, Result, fail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use helios_engine::scram::ScramVerifier;
use helios_planner::document::error::code;
use helios_planner::document::raw::*;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// An exchange between its first and its last message.
#[derive(Debug)]
pub(crate) struct Exchange {
    user: String,
    verifier: Option<ScramVerifier>,
    nonce: String,
    /// The first client message without its header, and the first server message.
    messages: String,
    /// Proven; the empty last message of the client is still to come.
    proven: bool,
    skip_empty: bool,
}

const CONVERSATION: i32 = 1;

fn hmac(key: &[u8], data: &[u8]) -> Option<[u8; 32]> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    mac.update(data);
    Some(mac.finalize().into_bytes().into())
}

fn failed() -> MongoError {
    MongoError::new(code::AUTHENTICATION_FAILED, "Authentication failed.")
}

fn payload<'a>(body: Bson<'a>) -> Result<&'a str> {
    let bytes = match body.get("payload").as_binary() {
        Some((_, bytes)) => bytes,
        None => body.get("payload").as_str().unwrap_or("").as_bytes(),
    };
    std::str::from_utf8(bytes).map_err(|_| failed())
}

/// Names the mechanisms of a user when a hello asks for them.
pub(crate) fn mechanisms(context: &mut Context<'_>) -> Result<()> {
    let asked = context.get("saslSupportedMechs");
    if asked.is_missing() {
        return Ok(());
    }
    crate::error::string("hello", "saslSupportedMechs", asked)?;
    context
        .out
        .start_array("saslSupportedMechs")
        .put_str("0", "SCRAM-SHA-256")
        .end();
    Ok(())
}

/// An exchange begun inside hello; a failure leaves it out of the reply.
pub(crate) fn speculative(context: &mut Context<'_>) {
    let first = context.get("speculativeAuthenticate");
    if !first.is_document() || first.get("mechanism").as_str() != Some("SCRAM-SHA-256") {
        return;
    }
    if let Ok((exchange, reply)) = begin(context, first) {
        context.client.scram = Some(exchange);
        context.out.start_document("speculativeAuthenticate");
        write(&mut context.out, &reply, false);
        context.out.end();
    }
}

fn write(out: &mut Writer, payload: &str, done: bool) {
    out.put_i32("conversationId", CONVERSATION)
        .put_bool("done", done);
    out.put("payload", BsonBuf::binary(0, payload.as_bytes()).as_bson());
}

pub(crate) fn start(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["mechanism", "payload", "options", "autoAuthorize", "db"])?;
    match context.get("mechanism").as_str() {
        Some("SCRAM-SHA-256") => {}
        Some(other) => fail!(
            334,
            "Received authentication for mechanism {other} which is not enabled"
        ),
        None => fail!(
            code::BAD_VALUE,
            "BSON field 'saslStart.mechanism' is missing but a required field"
        ),
    }
    let (exchange, reply) = begin(context, context.body())?;
    context.client.scram = Some(exchange);
    write(&mut context.out, &reply, false);
    Ok(())
}

fn begin(context: &Context<'_>, body: Bson<'_>) -> Result<(Exchange, String)> {
    let text = payload(body)?;
    // Channel binding is not offered here; "y" says that the client could do it.
    let bare = text
        .strip_prefix("n,,")
        .or_else(|| text.strip_prefix("y,,"))
        .ok_or_else(failed)?;
    let mut fields = bare.split(',');
    let user = fields
        .next()
        .and_then(|f| f.strip_prefix("n="))
        .ok_or_else(failed)?;
    let client_nonce = fields
        .next()
        .and_then(|f| f.strip_prefix("r="))
        .ok_or_else(failed)?;
    if client_nonce.is_empty() || client_nonce.len() > 1024 {
        return Err(failed());
    }
    let user = user.replace("=2C", ",").replace("=3D", "=");
    let verifier = context
        .client
        .server
        .engine
        .password_verifier(&user)
        .and_then(|text| ScramVerifier::parse(&text));
    let random: [u8; 24] = rand::random();
    let nonce = format!("{client_nonce}{}", BASE64_STANDARD.encode(random));
    let (salt, iterations) = match &verifier {
        Some(v) => (v.salt.clone(), v.iterations),
        None => {
            let made_up =
                hmac(&context.client.server.process_id, user.as_bytes()).ok_or_else(failed)?;
            (made_up[..16].to_vec(), 4096)
        }
    };
    let reply = format!(
        "r={nonce},s={},i={iterations}",
        BASE64_STANDARD.encode(salt)
    );
    let skip_empty = body.get("options").get("skipEmptyExchange").truthy();
    let messages = format!("{bare},{reply}");
    Ok((
        Exchange {
            user,
            verifier,
            nonce,
            messages,
            proven: false,
            skip_empty,
        },
        reply,
    ))
}

pub(crate) fn proceed(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["conversationId", "payload"])?;
    let Some(mut exchange) = context.client.scram.take() else {
        fail!(code::PROTOCOL_ERROR, "No SASL session state found");
    };
    if exchange.proven {
        accept(context, exchange);
        write(&mut context.out, "", true);
        return Ok(());
    }
    let signature = prove(&exchange, payload(context.body())?).ok_or_else(failed)?;
    let reply = format!("v={}", BASE64_STANDARD.encode(signature));
    if exchange.skip_empty {
        accept(context, exchange);
        write(&mut context.out, &reply, true);
    } else {
        exchange.proven = true;
        context.client.scram = Some(exchange);
        write(&mut context.out, &reply, false);
    }
    Ok(())
}

fn accept(context: &mut Context<'_>, exchange: Exchange) {
    context.client.forget_sessions();
    context.client.user = Some(exchange.user);
}

/// The server's signature, if the client's proof is right.
fn prove(exchange: &Exchange, text: &str) -> Option<[u8; 32]> {
    let (without_proof, proof) = text.rsplit_once(",p=")?;
    let mut fields = without_proof.split(',');
    let binding = fields.next()?.strip_prefix("c=")?;
    if !matches!(
        BASE64_STANDARD.decode(binding).ok()?.as_slice(),
        b"n,," | b"y,,"
    ) {
        return None;
    }
    if fields.next()?.strip_prefix("r=")? != exchange.nonce {
        return None;
    }
    let verifier = exchange.verifier.as_ref()?;
    let message = format!("{},{without_proof}", exchange.messages);
    let signature = hmac(&verifier.stored_key, message.as_bytes())?;
    let proof: [u8; 32] = BASE64_STANDARD.decode(proof).ok()?.try_into().ok()?;
    let mut client_key = proof;
    for (byte, mask) in client_key.iter_mut().zip(signature) {
        *byte ^= mask;
    }
    let stored: [u8; 32] = Sha256::digest(client_key).into();
    bool::from(stored.ct_eq(&verifier.stored_key)).then_some(())?;
    hmac(&verifier.server_key, message.as_bytes())
}

pub(crate) fn logout(context: &mut Context<'_>) -> Result<()> {
    context.client.user = None;
    context.client.scram = None;
    context.client.forget_sessions();
    Ok(())
}
