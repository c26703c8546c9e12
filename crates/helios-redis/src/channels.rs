//! Channels: who has subscribed to what, and the messages on their way.
//!
//! A message is put into the queue of every subscriber; the subscriber's own task writes it in the
//! form of its protocol. A subscriber whose queue is full does not read what it asked for and is
//! disconnected, as Redis does when its output buffer passes the limit.

use crate::clients::Client;
use helios_engine::keyspace::glob;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Messages that may wait for one subscriber.
pub const QUEUE: usize = 16 * 1024;

/// What kind of name is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// A message for one subscriber.
#[derive(Clone, Debug)]
pub struct Message {
    pub kind: Kind,
    /// The pattern that matched; only with [`Kind::Pattern`].
    pub pattern: Option<Arc<[u8]>>,
    pub channel: Arc<[u8]>,
    pub payload: Arc<[u8]>,
}

/// Where a subscriber's messages go.
#[derive(Clone)]
pub struct Subscriber {
    pub client: Arc<Client>,
    pub queue: mpsc::Sender<Message>,
}

type Subscribers = BTreeMap<u64, Subscriber>;

#[derive(Default)]
struct Names {
    channels: HashMap<Arc<[u8]>, Subscribers>,
    patterns: HashMap<Arc<[u8]>, Subscribers>,
    shards: HashMap<Arc<[u8]>, Subscribers>,
}

impl Names {
    fn of(&self, kind: Kind) -> &HashMap<Arc<[u8]>, Subscribers> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut HashMap<Arc<[u8]>, Subscribers> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }
}

#[derive(Default)]
pub struct Channels {
    names: RwLock<Names>,
}

impl Channels {
    pub fn subscribe(&self, kind: Kind, name: &[u8], subscriber: &Subscriber) {
        let mut names = self.names.write();
        let subscribers = names.of_mut(kind).entry(name.into()).or_default();
        subscribers.insert(subscriber.client.id, subscriber.clone());
    }

    pub fn unsubscribe(&self, kind: Kind, name: &[u8], client: u64) {
        let mut names = self.names.write();
        let all = names.of_mut(kind);
        if let Some(subscribers) = all.get_mut(name) {
            subscribers.remove(&client);
            if subscribers.is_empty() {
                all.remove(name);
            }
        }
    }

    /// How many subscribers the message was sent to.
    pub fn publish(&self, kind: Kind, channel: &[u8], payload: &[u8]) -> usize {
        let names = self.names.read();
        let exact = names.of(kind).get(channel);
        let by_pattern = kind == Kind::Channel && !names.patterns.is_empty();
        if exact.is_none() && !by_pattern {
            return 0;
        }
        let channel: Arc<[u8]> = channel.into();
        let payload: Arc<[u8]> = payload.into();
        let mut sent = 0;
        let mut send = |subscriber: &Subscriber, kind: Kind, pattern: Option<Arc<[u8]>>| {
            sent += 1;
            let message = Message {
                kind,
                pattern,
                channel: channel.clone(),
                payload: payload.clone(),
            };
            if subscriber.queue.try_send(message).is_err() {
                subscriber.client.kill();
            }
        };
        for subscriber in exact.into_iter().flat_map(Subscribers::values) {
            send(subscriber, kind, None);
        }
        if by_pattern {
            for (pattern, subscribers) in &names.patterns {
                if glob::matches(pattern, &channel) {
                    for subscriber in subscribers.values() {
                        send(subscriber, Kind::Pattern, Some(pattern.clone()));
                    }
                }
            }
        }
        sent
    }

    /// The names that have subscribers, and match.
    pub fn active(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Arc<[u8]>> {
        let names = self.names.read();
        let matches =
            |name: &&Arc<[u8]>| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        names.of(kind).keys().filter(matches).cloned().collect()
    }

    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> usize {
        self.names
            .read()
            .of(kind)
            .get(name)
            .map_or(0, Subscribers::len)
    }

    pub fn pattern_count(&self) -> usize {
        self.names.read().patterns.len()
    }
}
