//! One connection: its state, and how a request is run.
//!
//! ```text
//! bytes -> parse -> Session::run ──> done: the reply is in the output buffer
//!                        └─────────> something has to be waited for: serve::Connection
//! ```
//!
//! [`Session::run`] never waits. Quick commands take part in the transaction of all connections
//! ([`helios_engine::keyspace::round`]); the writes of others that arrived together share one of
//! this connection. Both are committed before the replies are sent. A key that somebody else has
//! locked, a blocking command with nothing to take, EXEC, and whatever needs the shared plan, go to
//! [`serve`], which ends the open transactions first.

pub mod acl;
pub mod client;
pub mod config;
pub mod connection;
pub mod help;
pub mod pubsub;
pub mod serve;
pub mod server;
pub mod shared;
pub mod sql;
pub mod sql_scan;
pub mod transaction;

use crate::backend::Identity;
use crate::channels::Message;
use crate::clients::Client;
use crate::codec::{Args, ReplyWriter};
use crate::command::keyspec::{Place, positions};
use crate::command::{Blocking, Command, KeyCall, Run, commands, option};
use crate::error;
use crate::server::Server;
use helios_engine::keyspace::expirer::now_ms;
use helios_engine::keyspace::{Access, Batch, Database, Membership, Use};
use helios_engine::{Durability, WatchedRow};
use helios_types::{Error, ErrorKind, Result};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::sync::mpsc;
use transaction::{Queue, Watched};

/// Commands that only their subcommands fill.
pub const CONTAINERS: &[(&str, Run)] = &[
    ("acl", Run::Container),
    ("client", Run::Container),
    ("config", Run::Container),
    ("memory", Run::Container),
    ("module", Run::Container),
    ("object", Run::Container),
    ("pubsub", Run::Container),
    ("exec", Run::Exec),
    ("discard", Run::Discard),
    ("watch", Run::Watch),
    ("flushall", Run::Flush),
    ("flushdb", Run::Flush),
    ("helios.explain", Run::Explain),
];

/// What is left to do after [`Session::run`].
pub enum Next {
    Done,
    /// A key of the command is locked by somebody else.
    Locked(&'static Command),
    /// There was nothing to take.
    Block(&'static Command, &'static Blocking),
    Exec,
    Watch,
    Flush(&'static Command),
    Explain,
    /// The command is about a table of SQL: on database 16, or on a key under a table's prefix.
    Sql(&'static Command),
}

/// Whether replies are sent: CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// Not the reply of the next command.
    SkipNext,
    Skip,
}

/// The state of a connection.
pub struct Session {
    pub server: Arc<Server>,
    pub client: Arc<Client>,
    /// `None` until the connection has authenticated.
    pub identity: Option<Identity>,
    pub database: usize,
    pub queue: Option<Queue>,
    pub watched: Vec<Watched>,
    pub watched_rows: Vec<WatchedRow>,
    pub reply_mode: ReplyMode,
    pub subscriptions: pubsub::Subscriptions,
    pub messages: mpsc::Sender<Message>,
    /// The connection ends when what is in the output buffer has been sent.
    pub closing: bool,
    batch: Option<Batch>,
    membership: Membership,
    /// Where the replies begin that stand or fall with a commit, and how many there are.
    batch_start: usize,
    batch_replies: usize,
}

pub type Locks<'a> = SmallVec<[(usize, &'a [u8], Use); 4]>;

impl Session {
    pub fn new(
        server: Arc<Server>,
        client: Arc<Client>,
        identity: Option<Identity>,
        messages: mpsc::Sender<Message>,
    ) -> Self {
        if let Some(identity) = &identity {
            client.shown.lock().user = identity.user().to_owned();
        }
        Session {
            server,
            client,
            identity,
            database: 0,
            queue: None,
            watched: Vec::new(),
            watched_rows: Vec::new(),
            reply_mode: ReplyMode::On,
            subscriptions: pubsub::Subscriptions::default(),
            messages,
            closing: false,
            batch: None,
            membership: Membership::default(),
            batch_start: 0,
            batch_replies: 0,
        }
    }

    pub fn databases(&self) -> &[Database] {
        self.identity
            .as_ref()
            .map(Identity::databases)
            .unwrap_or_default()
    }

    fn is_sql(&self) -> bool {
        self.database >= self.databases().len()
    }

    /// Runs one request as far as it goes without waiting; see the module's documentation.
    pub fn run(&mut self, args: Args<'_>, out: &mut ReplyWriter) -> Next {
        let start = out.len();
        let command = match self.admit(args) {
            Ok(command) => command,
            Err(error) => {
                if let Some(queue) = &mut self.queue {
                    queue.failed = true;
                }
                self.server.counters.errors.fetch_add(1, Relaxed);
                error::write(out, &error);
                self.replied(start, out);
                return Next::Done;
            }
        };
        let time = now_ms();
        self.client.last_ms.store(time, Relaxed);
        self.client
            .last_command
            .store(command.index as u16, Relaxed);
        if self.queues(command) {
            self.enqueue(command, args);
            out.status("QUEUED");
            self.replied(start, out);
            return Next::Done;
        }
        let clock = Instant::now();
        let done = self.start(command, args, time, out);
        let next = match done {
            Ok(next) => next,
            Err(error) => {
                self.failed(command, out, start, &error);
                Next::Done
            }
        };
        if matches!(next, Next::Done) {
            self.count(command, clock);
            self.replied(start, out);
        }
        next
    }

    /// Notes a call in the statistics.
    pub fn count(&self, command: &Command, clock: Instant) {
        let counters = &self.server.counters;
        counters.commands.fetch_add(1, Relaxed);
        let own = &counters.by_command[command.index];
        own.calls.fetch_add(1, Relaxed);
        own.microseconds
            .fetch_add(clock.elapsed().as_micros() as u64, Relaxed);
    }

    /// Writes an error in the place of whatever the command has written.
    pub fn failed(&self, command: &Command, out: &mut ReplyWriter, start: usize, error: &Error) {
        let counters = &self.server.counters;
        counters.errors.fetch_add(1, Relaxed);
        counters.by_command[command.index]
            .failed
            .fetch_add(1, Relaxed);
        out.truncate(start);
        error::write(out, error);
    }

    /// Accounts for a reply that begins at `start`, and drops it when none are wanted.
    pub fn replied(&mut self, start: usize, out: &mut ReplyWriter) {
        match self.reply_mode {
            ReplyMode::On => {}
            ReplyMode::Off => return out.truncate(start),
            ReplyMode::Skip => {
                self.reply_mode = ReplyMode::On;
                return out.truncate(start);
            }
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::Skip;
                return out.truncate(start);
            }
        }
        if self.awaits_commit() {
            self.batch_replies += 1;
        }
    }

    /// The command of a request, if it may run now.
    fn admit(&self, args: Args<'_>) -> Result<&'static Command> {
        let command = commands().resolve(args)?;
        if self.identity.is_none() && !command.flags.no_auth {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "Authentication required.",
            ));
        }
        let keyspace = matches!(
            command.run,
            Run::Keys(_) | Run::Blocking(_) | Run::Flush | Run::Watch
        );
        if keyspace
            && !self.is_sql()
            && let Err(error) = self.require_keyspace()
            && !self.only_tables(command, args)
        {
            return Err(error);
        }
        if self.queue.is_some() && command.flags.no_multi {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "Command not allowed inside a transaction",
            ));
        }
        if self
            .subscriptions
            .restrict(self.client.shown.lock().protocol)
            && !pubsub::allowed_while_subscribed(command)
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                     RESET are allowed in this context",
                    command.name
                ),
            ));
        }
        Ok(command)
    }

    fn queues(&self, command: &Command) -> bool {
        self.queue.is_some()
            && !matches!(command.run, Run::Exec | Run::Discard | Run::Watch)
            && !matches!(command.name, "multi" | "quit" | "reset")
    }

    fn start(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        time: u64,
        out: &mut ReplyWriter,
    ) -> Result<Next> {
        match command.run {
            Run::Keys(_) | Run::Blocking(_) if self.is_sql() => Ok(Next::Sql(command)),
            Run::Keys(handler) if self.takes_part(command) => {
                let ran = self.run_in_round(command, handler, args, time, out)?;
                Ok(ran.map_or_else(|next| next, |()| Next::Done))
            }
            Run::Blocking(blocking) if self.takes_part(command) => {
                blocking_timeout(blocking, args)?;
                let ran = self.run_in_round(command, blocking.attempt, args, time, out)?;
                Ok(match ran {
                    Ok(true) => Next::Done,
                    Ok(false) => Next::Block(command, blocking),
                    Err(next) => next,
                })
            }
            Run::Keys(handler) => {
                if !self.prepare(command, args, out.len())? {
                    return Ok(Next::Locked(command));
                }
                if self.prefixes_exist() && self.meets_table(command, args)? {
                    return Ok(Next::Sql(command));
                }
                self.run_keys(handler, args, time, out)?;
                Ok(Next::Done)
            }
            Run::Blocking(blocking) => {
                blocking_timeout(blocking, args)?;
                if !self.prepare(command, args, out.len())? {
                    return Ok(Next::Locked(command));
                }
                if self.prefixes_exist() && self.meets_table(command, args)? {
                    return Ok(Next::Sql(command));
                }
                if self.run_keys(blocking.attempt, args, time, out)? {
                    return Ok(Next::Done);
                }
                Ok(Next::Block(command, blocking))
            }
            Run::Session(handler) => {
                handler(self, args, out)?;
                Ok(Next::Done)
            }
            Run::Discard => {
                transaction::discard(self, out)?;
                Ok(Next::Done)
            }
            Run::Exec => Ok(Next::Exec),
            Run::Watch if self.queue.is_some() => option::fail("WATCH inside MULTI is not allowed"),
            Run::Watch => Ok(Next::Watch),
            Run::Flush => Ok(Next::Flush(command)),
            Run::Explain => Ok(Next::Explain),
            Run::Container => Err(crate::command::wrong_arity(command.name)),
        }
    }

    /// Whether replies in the output depend on a commit.
    fn awaits_commit(&self) -> bool {
        self.batch.is_some() || !self.membership.is_empty()
    }

    /// Whether a command runs in the round of all connections: one that writes, or one that must
    /// see what this connection has written there.
    fn takes_part(&self, command: &Command) -> bool {
        if self.batch.is_some() || !command.flags.quick || command.keys.is_empty() {
            return false;
        }
        match command.flags.write {
            // Who waits for the device does so with others in the log, not here.
            true => self.server.parameters.durability() != Durability::On,
            false => self.membership.is_open(),
        }
    }

    /// Runs a handler in the round of all connections; the error says what is to be done instead.
    fn run_in_round<T>(
        &mut self,
        command: &'static Command,
        handler: fn(&mut KeyCall<'_, '_>) -> Result<T>,
        args: Args<'_>,
        time: u64,
        out: &mut ReplyWriter,
    ) -> Result<std::result::Result<T, Next>> {
        let mut membership = std::mem::take(&mut self.membership);
        let start = out.len();
        let was_waiting = self.awaits_commit() || !membership.is_empty();
        let server = &*self.server;
        let keyspace = server.keyspace();
        let durability = server.parameters.durability();
        let mut instead = Next::Locked(command);
        let ran = keyspace.in_round(durability, &mut membership, |round| {
            let databases = self.databases();
            let Some(database) = databases.get(self.database) else {
                return Err(Error::internal("a keyspace command on the database of SQL"));
            };
            for (number, key, how) in locks_of(command, args, self.database)? {
                if let Some(database) = databases.get(number)
                    && !round.lock(database, key, how)?
                {
                    return Ok(None);
                }
            }
            if self.prefixes_exist() && self.meets_table(command, args)? {
                instead = Next::Sql(command);
                return Ok(None);
            }
            let keys = Access::writing(keyspace, database, time, round.batch);
            handler(&mut KeyCall {
                args,
                out,
                keys,
                databases,
                server,
            })
            .map(Some)
        });
        if !was_waiting && !membership.is_empty() {
            self.batch_start = start;
            self.batch_replies = 0;
        }
        self.membership = membership;
        Ok(ran?.ok_or(instead))
    }

    /// Opens the batch if the command needs one and locks its keys: whether that was possible at
    /// once. A command that only reads needs no locks unless the batch has writes that it may see.
    fn prepare(&mut self, command: &Command, args: Args<'_>, start: usize) -> Result<bool> {
        if !command.flags.write {
            return match &self.batch {
                // What the connection has written in a round is committed first.
                None => Ok(!self.membership.is_open()),
                // It may read more than one value, which only locked keys show at one moment.
                Some(_) if command.keys.is_empty() => Ok(false),
                Some(_) => self.try_locks(command, args),
            };
        }
        self.open_batch(start);
        self.try_locks(command, args)
    }

    /// Opens the batch if there is none; its first reply begins at `start` of the output.
    pub fn open_batch(&mut self, start: usize) {
        if self.batch.is_none() {
            let durability = self.server.parameters.durability();
            if !self.awaits_commit() {
                self.batch_start = start;
                self.batch_replies = 0;
            }
            self.batch = Some(Batch::begin(self.server.keyspace(), durability));
        }
    }

    fn try_locks(&mut self, command: &Command, args: Args<'_>) -> Result<bool> {
        let locks = locks_of(command, args, self.database)?;
        let databases = self
            .identity
            .as_ref()
            .map(Identity::databases)
            .unwrap_or_default();
        let Some(batch) = &mut self.batch else {
            return Ok(true);
        };
        for (database, key, how) in locks {
            if let Some(database) = databases.get(database)
                && !batch.try_lock(database, key, how)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs a handler on the keyspace: in the open batch, or on the newest state.
    pub fn run_keys<T>(
        &mut self,
        handler: fn(&mut KeyCall<'_, '_>) -> Result<T>,
        args: Args<'_>,
        time: u64,
        out: &mut ReplyWriter,
    ) -> Result<T> {
        let server = &*self.server;
        let databases = self
            .identity
            .as_ref()
            .map(Identity::databases)
            .unwrap_or_default();
        let Some(database) = databases.get(self.database) else {
            return Err(Error::internal("a keyspace command on the database of SQL"));
        };
        let keyspace = server.keyspace();
        let Some(batch) = &mut self.batch else {
            let keys = Access::newest(keyspace, database, time);
            return handler(&mut KeyCall {
                args,
                out,
                keys,
                databases,
                server,
            });
        };
        let savepoint = batch.savepoint();
        let keys = Access::writing(keyspace, database, time, batch);
        let result = handler(&mut KeyCall {
            args,
            out,
            keys,
            databases,
            server,
        });
        if result.is_err() {
            batch.rollback_to(savepoint);
        }
        result
    }

    /// Commits what is open: the replies of its commands may be sent when this has returned. If the
    /// commit fails, all of them become its error.
    pub async fn finish_batch(&mut self, out: &mut ReplyWriter) {
        if !self.awaits_commit() {
            return;
        }
        let rounds = match self.membership.is_empty() {
            true => Ok(()),
            false => {
                let durability = self.server.parameters.durability();
                std::mem::take(&mut self.membership).committed(durability)
            }
        };
        if let Err(error) = self.commit_batch().await.and(rounds) {
            out.truncate(self.batch_start);
            for _ in 0..self.batch_replies.max(1) {
                error::write(out, &error);
            }
        }
    }

    /// Commits what is open.
    pub async fn commit_batch(&mut self) -> Result<()> {
        match self.batch.take() {
            Some(batch) if !batch.is_empty() => batch.commit_grouped(self.server.keyspace()).await,
            _ => Ok(()),
        }
    }

    /// All replies from `start` on stand or fall with the open batch, as one.
    pub fn batch_is_one_reply(&mut self, start: usize) {
        self.batch_start = start;
        self.batch_replies = 0;
    }

    pub fn batch_mut(&mut self) -> Option<&mut Batch> {
        self.batch.as_mut()
    }

    /// Waits for the locks of a command in a batch of its own.
    pub async fn lock_all(&mut self, locks: &Locks<'_>) -> Result<()> {
        let databases = self
            .identity
            .as_ref()
            .map(Identity::databases)
            .unwrap_or_default();
        let Some(batch) = &mut self.batch else {
            return Ok(());
        };
        for (database, key, how) in locks {
            if let Some(database) = databases.get(*database) {
                batch.lock(database, key, *how).await?;
            }
        }
        Ok(())
    }
}

/// The keys that a command locks, in the order in which all commands lock them.
pub fn locks_of<'a>(command: &Command, args: Args<'a>, database: usize) -> Result<Locks<'a>> {
    let mut locks = Locks::new();
    for spec in &command.keys {
        let how = if spec.writes() { Use::Write } else { Use::Read };
        // The common case: one key, always at the same place.
        if let Place::Range { first, last: 0, .. } = spec.place {
            locks.push((database, args.get(first), how));
            continue;
        }
        for at in positions(spec, args) {
            locks.push((database, args.get(at), how));
        }
    }
    if command.name == "move" {
        let other = crate::command::key::database_number(args.get(2))?;
        locks.push((other, args.get(1), Use::Write));
    } else if command.name == "copy" {
        let options = args.from(3);
        for at in 0..options.len().saturating_sub(1) {
            if option::is(options.get(at), "db") {
                let other = crate::command::key::database_number(options.get(at + 1))?;
                locks.push((other, args.get(2), Use::Write));
            }
        }
    }
    if locks.len() > 1 {
        locks.sort_unstable_by_key(|(db, key, how)| (*db, *key, Reverse(*how == Use::Write)));
        locks.dedup_by(|b, a| a.0 == b.0 && a.1 == b.1);
    }
    Ok(locks)
}

/// When a blocking command gives up: `None` for never.
pub fn blocking_timeout(blocking: &Blocking, args: Args<'_>) -> Result<Option<Instant>> {
    let at = if blocking.timeout_first {
        1
    } else {
        args.len() - 1
    };
    let seconds = option::float_or(args.get(at), "timeout is not a float or out of range")?;
    if seconds < 0.0 {
        return option::fail("timeout is negative");
    }
    if seconds == 0.0 {
        return Ok(None);
    }
    match std::time::Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| duration.as_secs() < i64::MAX as u64 / 1000)
        .and_then(|duration| Instant::now().checked_add(duration))
    {
        Some(deadline) => Ok(Some(deadline)),
        None => option::fail("timeout is out of range"),
    }
}
