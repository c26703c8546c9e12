//! Subscriptions of a connection, and messages in the form of its protocol.

use super::Session;
use crate::channels::{Kind, Message, Subscriber};
use crate::codec::{Args, Protocol, ReplyWriter};
use crate::command::{Command, Run};
use helios_types::Result;
use std::collections::BTreeSet;

pub const HANDLERS: &[(&str, Run)] = &[
    ("psubscribe", Run::Session(psubscribe)),
    ("publish", Run::Session(publish)),
    ("pubsub|channels", Run::Session(channels)),
    ("pubsub|numpat", Run::Session(numpat)),
    ("pubsub|numsub", Run::Session(numsub)),
    ("pubsub|shardchannels", Run::Session(shardchannels)),
    ("pubsub|shardnumsub", Run::Session(shardnumsub)),
    ("punsubscribe", Run::Session(punsubscribe)),
    ("spublish", Run::Session(spublish)),
    ("ssubscribe", Run::Session(ssubscribe)),
    ("subscribe", Run::Session(subscribe)),
    ("sunsubscribe", Run::Session(sunsubscribe)),
    ("unsubscribe", Run::Session(unsubscribe)),
];

/// The names that a connection has subscribed to.
#[derive(Default)]
pub struct Subscriptions {
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
    shards: BTreeSet<Vec<u8>>,
}

impl Subscriptions {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    /// The count in a confirmation: channels and patterns together, shard channels alone.
    fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.shards.len(),
            _ => self.channels.len() + self.patterns.len(),
        }
    }

    /// In RESP2 a subscriber can do little else, because messages cannot be told from replies.
    pub fn restrict(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Resp2
            && !(self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty())
    }
}

pub fn allowed_while_subscribed(command: &Command) -> bool {
    matches!(
        command.name,
        "subscribe"
            | "psubscribe"
            | "ssubscribe"
            | "unsubscribe"
            | "punsubscribe"
            | "sunsubscribe"
            | "ping"
            | "quit"
            | "reset"
    )
}

fn word(kind: Kind, subscribe: bool) -> &'static str {
    match (kind, subscribe) {
        (Kind::Channel, true) => "subscribe",
        (Kind::Pattern, true) => "psubscribe",
        (Kind::Shard, true) => "ssubscribe",
        (Kind::Channel, false) => "unsubscribe",
        (Kind::Pattern, false) => "punsubscribe",
        (Kind::Shard, false) => "sunsubscribe",
    }
}

pub fn write_message(out: &mut ReplyWriter, message: &Message) {
    let (word, count) = match message.kind {
        Kind::Channel => ("message", 3),
        Kind::Shard => ("smessage", 3),
        Kind::Pattern => ("pmessage", 4),
    };
    out.push(count);
    out.bulk(word.as_bytes());
    if let Some(pattern) = &message.pattern {
        out.bulk(pattern);
    }
    out.bulk(&message.channel);
    out.bulk(&message.payload);
}

impl Session {
    fn subscribe_to(&mut self, kind: Kind, names: Args<'_>, out: &mut ReplyWriter) {
        let subscriber = Subscriber {
            client: self.client.clone(),
            queue: self.messages.clone(),
        };
        for name in names.iter() {
            if self.subscriptions.of(kind).insert(name.to_vec()) {
                self.server.channels.subscribe(kind, name, &subscriber);
            }
            self.confirm(kind, true, Some(name), out);
        }
        self.show_subscriptions();
    }

    fn unsubscribe_from(&mut self, kind: Kind, names: Args<'_>, out: &mut ReplyWriter) {
        let names: Vec<Vec<u8>> = if names.is_empty() {
            self.subscriptions.of(kind).iter().cloned().collect()
        } else {
            names.iter().map(<[u8]>::to_vec).collect()
        };
        for name in &names {
            if self.subscriptions.of(kind).remove(name) {
                self.server.channels.unsubscribe(kind, name, self.client.id);
            }
            self.confirm(kind, false, Some(name), out);
        }
        if names.is_empty() {
            self.confirm(kind, false, None, out);
        }
        self.show_subscriptions();
    }

    fn confirm(&self, kind: Kind, subscribe: bool, name: Option<&[u8]>, out: &mut ReplyWriter) {
        out.push(3);
        out.bulk(word(kind, subscribe).as_bytes());
        out.optional_bulk(name);
        out.integer(self.subscriptions.count(kind) as i64);
    }

    fn show_subscriptions(&self) {
        let mut shown = self.client.shown.lock();
        shown.channels = self.subscriptions.channels.len();
        shown.patterns = self.subscriptions.patterns.len();
        shown.shard_channels = self.subscriptions.shards.len();
    }

    /// Ends all subscriptions without a word.
    pub fn end_subscriptions(&mut self) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in std::mem::take(self.subscriptions.of(kind)) {
                self.server
                    .channels
                    .unsubscribe(kind, &name, self.client.id);
            }
        }
        self.show_subscriptions();
    }
}

type Done = Result<()>;

fn subscribe(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    session.subscribe_to(Kind::Channel, args.from(1), out);
    Ok(())
}

fn psubscribe(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    session.subscribe_to(Kind::Pattern, args.from(1), out);
    Ok(())
}

fn ssubscribe(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    session.subscribe_to(Kind::Shard, args.from(1), out);
    Ok(())
}

fn unsubscribe(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    session.unsubscribe_from(Kind::Channel, args.from(1), out);
    Ok(())
}

fn punsubscribe(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    session.unsubscribe_from(Kind::Pattern, args.from(1), out);
    Ok(())
}

fn sunsubscribe(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    session.unsubscribe_from(Kind::Shard, args.from(1), out);
    Ok(())
}

fn publish(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    let sent = session
        .server
        .channels
        .publish(Kind::Channel, args.get(1), args.get(2));
    out.integer(sent as i64);
    Ok(())
}

fn spublish(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    let sent = session
        .server
        .channels
        .publish(Kind::Shard, args.get(1), args.get(2));
    out.integer(sent as i64);
    Ok(())
}

fn list(session: &Session, kind: Kind, args: Args<'_>, out: &mut ReplyWriter) {
    let pattern = Some(args.get(2)).filter(|_| args.len() > 2);
    let names = session.server.channels.active(kind, pattern);
    out.array(names.len());
    names.iter().for_each(|name| out.bulk(name));
}

fn channels(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    list(session, Kind::Channel, args, out);
    Ok(())
}

fn shardchannels(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    list(session, Kind::Shard, args, out);
    Ok(())
}

fn numbers(session: &Session, kind: Kind, args: Args<'_>, out: &mut ReplyWriter) {
    let names = args.from(2);
    out.array(names.len() * 2);
    for name in names.iter() {
        out.bulk(name);
        out.integer(session.server.channels.subscribers(kind, name) as i64);
    }
}

fn numsub(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    numbers(session, Kind::Channel, args, out);
    Ok(())
}

fn shardnumsub(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Done {
    numbers(session, Kind::Shard, args, out);
    Ok(())
}

fn numpat(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Done {
    out.integer(session.server.channels.pattern_count() as i64);
    Ok(())
}
