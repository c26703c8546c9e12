//! The loop of a connection: read, run what has arrived, commit, write once; and everything that a
//! request may have to wait for.

use super::{Locks, Next, Session, blocking_timeout, locks_of};
use crate::channels::{self, Message};
use crate::clients::Unblock;
use crate::codec::{Args, Limits, Parsed, ReplyWriter, RequestParser};
use crate::command::option::{fail, is, syntax_error};
use crate::command::{Blocking, Command, Run, commands};
use crate::error;
use crate::server::Server;
use bytes::{Buf, BytesMut};
use helios_engine::keyspace::expirer::now_ms;
use helios_engine::keyspace::waiters::Waiting;
use helios_engine::keyspace::{Access, Use};
use helios_types::{Error, ErrorKind, Result};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Replies are sent before the end of a pipeline when this many bytes wait.
const SEND_BYTES: usize = 256 * 1024;
/// Room made for each read.
const READ_BYTES: usize = 16 * 1024;
/// How often a command tries to take part in a round before it waits for its keys by itself.
const ROUND_TRIES: usize = 16;
/// Keys that FLUSHDB removes in one transaction.
const FLUSH_STEP: usize = 10_000;

/// The byte stream of a client.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// The client has authenticated, or need not.
    fn established(&self) {}

    /// Pending once between a read and the next write, while the tasks that are ready have a turn.
    fn poll_others(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Transport for tokio::net::TcpStream {}

/// A connection with its stream.
pub struct Connection<S> {
    stream: S,
    buffer: BytesMut,
    out: ReplyWriter,
    session: Session,
    messages: mpsc::Receiver<Message>,
}

/// What ended a wait.
enum Event {
    Read(usize),
    Message(Message),
    Signal,
}

impl<S: Transport> Connection<S> {
    /// Serves a connection to its end.
    pub async fn serve(
        server: Arc<Server>,
        stream: S,
        (id, peer, local): (u64, String, String),
    ) -> io::Result<()> {
        let client = server.clients.add(id, peer, local, now_ms());
        server.counters.connections.fetch_add(1, Relaxed);
        let guard = Registered {
            server: server.clone(),
            id,
        };
        let (sender, messages) = mpsc::channel(channels::QUEUE);
        let identity = server
            .backend
            .trusted(&client.peer)
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "could not open a session");
                None
            });
        if identity.is_some() {
            stream.established();
        }
        let session = Session::new(server, client, identity, sender);
        let mut connection = Connection {
            stream,
            buffer: BytesMut::with_capacity(READ_BYTES),
            out: ReplyWriter::default(),
            session,
            messages,
        };
        let result = connection.serve_requests().await;
        connection.session.end_subscriptions();
        drop(guard);
        result
    }

    async fn serve_requests(&mut self) -> io::Result<()> {
        let mut parser = RequestParser::default();
        let mut announced = self.session.identity.is_some();
        loop {
            let mut consumed = 0;
            // The buffer is moved out while requests are run, so that their arguments can be
            // borrowed from it; a blocking command reads on into `self.buffer`.
            let mut input = std::mem::take(&mut self.buffer);
            loop {
                let limits = self.limits();
                match parser.parse(&input[consumed..], limits) {
                    Ok(Parsed::Incomplete) => break,
                    Ok(Parsed::Empty) => {}
                    Ok(Parsed::Request) => {
                        let args = parser.args(&input[consumed..]);
                        let next = self.session.run(args, &mut self.out);
                        if !matches!(next, Next::Done) {
                            self.run_waiting(next, args).await?;
                        }
                    }
                    Err(error) => {
                        self.session.finish_batch(&mut self.out).await;
                        self.out.error(&format!("ERR {error}"));
                        self.session.closing = true;
                    }
                }
                if self.session.closing {
                    break;
                }
                consumed += parser.consumed();
                parser.reset();
                if self.out.len() > SEND_BYTES {
                    self.send().await?;
                }
            }
            input.advance(consumed);
            if !self.buffer.is_empty() {
                input.extend_from_slice(&self.buffer);
            }
            self.buffer = input;
            self.send().await?;
            if self.session.closing {
                return self.stream.shutdown().await;
            }
            if !announced && self.session.identity.is_some() {
                self.stream.established();
                announced = true;
            }
            let missing = parser.missing(self.buffer.len()).clamp(READ_BYTES, 1 << 20);
            self.buffer.reserve(missing);
            if !self.wait_for_input().await? {
                return Ok(());
            }
        }
    }

    /// The state and the output, to be used at the same time.
    pub(super) fn parts(&mut self) -> (&mut Session, &mut ReplyWriter) {
        (&mut self.session, &mut self.out)
    }

    fn limits(&self) -> Limits {
        let parameters = &self.session.server.parameters;
        Limits {
            bulk_bytes: parameters.bulk_bytes(),
            request_bytes: parameters.request_bytes(),
            unauthenticated: self.session.identity.is_none(),
        }
    }

    /// Commits what is open and sends all replies with one write.
    async fn send(&mut self) -> io::Result<()> {
        if self.session.awaits_commit() {
            // What the others do meanwhile is committed with it.
            poll_fn(|context| self.stream.poll_others(context)).await;
        }
        self.session.finish_batch(&mut self.out).await;
        if self.out.is_empty() {
            return Ok(());
        }
        self.stream.write_all(self.out.bytes()).await?;
        self.stream.flush().await?;
        self.out.clear();
        Ok(())
    }

    /// Until bytes have arrived; writes messages meanwhile. False: the connection is over.
    async fn wait_for_input(&mut self) -> io::Result<bool> {
        loop {
            match self.event().await? {
                Event::Read(bytes) => return Ok(bytes > 0),
                Event::Message(message) => self.write_messages(message).await?,
                Event::Signal if self.session.client.is_killed() => return Ok(false),
                Event::Signal => {}
            }
        }
    }

    async fn event(&mut self) -> io::Result<Event> {
        tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.buffer) => Ok(Event::Read(read?)),
            Some(message) = self.messages.recv() => Ok(Event::Message(message)),
            () = self.session.client.signal.notified() => Ok(Event::Signal),
        }
    }

    async fn write_messages(&mut self, first: Message) -> io::Result<()> {
        super::pubsub::write_message(&mut self.out, &first);
        while self.out.len() < SEND_BYTES
            && let Ok(message) = self.messages.try_recv()
        {
            super::pubsub::write_message(&mut self.out, &message);
        }
        self.send().await
    }

    /// What [`Session::run`] could not do without waiting.
    async fn run_waiting(&mut self, next: Next, args: Args<'_>) -> io::Result<()> {
        self.session.finish_batch(&mut self.out).await;
        let start = self.out.len();
        let clock = Instant::now();
        // The commands that follow in the pipeline may share the commit of one that only had to
        // wait for its keys.
        let goes_on = matches!(next, Next::Locked(_));
        let (command, result) = match next {
            Next::Done => return Ok(()),
            Next::Locked(command) => {
                let result = match self.retry(command, args).await {
                    Ok(Next::Done) => Ok(()),
                    Ok(Next::Block(_, blocking)) => self.block(command, blocking, args).await?,
                    Ok(Next::Sql(_)) => self.sql(command, args).await,
                    Ok(_) => self.run_locked(command, args).await?,
                    Err(error) => Err(error),
                };
                (command, result)
            }
            Next::Block(command, blocking) => (command, self.block(command, blocking, args).await?),
            Next::Exec => (by_name("exec"), self.exec().await),
            Next::Watch => (by_name("watch"), self.watch(args)),
            Next::Flush(command) => (command, self.flush(command, args).await),
            Next::Explain => (by_name("helios.explain"), self.explain(args).await),
            Next::Sql(command) => (command, self.sql(command, args).await),
        };
        if let Err(error) = result {
            self.session.failed(command, &mut self.out, start, &error);
        }
        self.session.count(command, clock);
        self.session.replied(start, &mut self.out);
        if !goes_on {
            self.session.finish_batch(&mut self.out).await;
        }
        Ok(())
    }

    /// Tries again whether a command can take part in the round of all connections. A queue for a
    /// key keeps every round from it, so that whoever joined the queue at once would keep it alive.
    async fn retry(&mut self, command: &'static Command, args: Args<'_>) -> Result<Next> {
        for _ in 0..ROUND_TRIES {
            if !self.session.takes_part(command) {
                break;
            }
            tokio::task::yield_now().await;
            let next = self.session.start(command, args, now_ms(), &mut self.out)?;
            if !matches!(next, Next::Locked(_)) {
                return Ok(next);
            }
        }
        Ok(Next::Locked(command))
    }

    /// A command whose keys were locked by somebody else: waits for them in a batch of its own.
    async fn run_locked(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
    ) -> io::Result<Result<()>> {
        if self.session.prefixes_exist() {
            match self.session.meets_table(command, args) {
                Ok(false) => {}
                Ok(true) => return Ok(self.sql(command, args).await),
                Err(error) => return Ok(Err(error)),
            }
        }
        if !command.flags.write {
            // The batch in the way has been committed, so the newest state is what it shall see.
            return Ok(match command.run {
                Run::Keys(handler) => self
                    .session
                    .run_keys(handler, args, now_ms(), &mut self.out),
                _ => Err(Error::internal("a reading command that waits")),
            });
        }
        match self.attempt(command, args).await {
            Ok(true) => Ok(Ok(())),
            Ok(false) => match command.run {
                Run::Blocking(blocking) => self.block(command, blocking, args).await,
                _ => Ok(Ok(())),
            },
            Err(error) => Ok(Err(error)),
        }
    }

    /// Locks the keys of a command, waiting for them, and runs it: whether it has answered.
    async fn attempt(&mut self, command: &'static Command, args: Args<'_>) -> Result<bool> {
        let locks = locks_of(command, args, self.session.database)?;
        self.session.open_batch(self.out.len());
        self.session.lock_all(&locks).await?;
        // The prefix may have been given to a table while the locks were waited for.
        if self.session.prefixes_exist() && self.session.meets_table(command, args)? {
            self.session.commit_batch().await?;
            self.sql(command, args).await?;
            return Ok(true);
        }
        match command.run {
            Run::Keys(handler) => {
                self.session
                    .run_keys(handler, args, now_ms(), &mut self.out)?;
                Ok(true)
            }
            Run::Blocking(blocking) => {
                self.session
                    .run_keys(blocking.attempt, args, now_ms(), &mut self.out)
            }
            _ => Ok(false),
        }
    }

    /// Waits for a key of a blocking command.
    async fn block(
        &mut self,
        command: &'static Command,
        blocking: &'static Blocking,
        args: Args<'_>,
    ) -> io::Result<Result<()>> {
        let deadline = match blocking_timeout(blocking, args) {
            Ok(deadline) => deadline,
            Err(error) => return Ok(Err(error)),
        };
        self.send().await?;
        let server = self.session.server.clone();
        let keys: Vec<Box<[u8]>> = match locks_of(command, args, self.session.database) {
            Ok(locks) => locks
                .iter()
                .filter(|(_, _, how)| *how == Use::Write)
                .filter_map(|(database, key, _)| {
                    let database = self.session.databases().get(*database)?;
                    Some(database.entry_key(key).as_slice().into())
                })
                .collect(),
            Err(error) => return Ok(Err(error)),
        };
        let waiting = Waiting::enter(server.keyspace().waiters(), keys);
        self.session.client.shown.lock().blocked = true;
        let result = self
            .wait_turns(command, blocking, args, deadline, &waiting)
            .await;
        self.session.client.shown.lock().blocked = false;
        result
    }

    async fn wait_turns(
        &mut self,
        command: &'static Command,
        blocking: &'static Blocking,
        args: Args<'_>,
        deadline: Option<Instant>,
        waiting: &Waiting<'_>,
    ) -> io::Result<Result<()>> {
        loop {
            let start = self.out.len();
            match self.attempt(command, args).await {
                Ok(true) => {
                    // Made visible before the turn passes on.
                    self.session.finish_batch(&mut self.out).await;
                    return Ok(Ok(()));
                }
                Ok(false) => {}
                // A key of another kind is not what this client waits for, as in Redis.
                Err(error) if error.kind() == ErrorKind::WrongObjectType => {
                    self.out.truncate(start);
                }
                Err(error) => return Ok(Err(error)),
            }
            self.session.finish_batch(&mut self.out).await;
            waiting.pass_on();
            let timeout = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = waiting.turn() => {}
                () = timeout => {
                    (blocking.empty)(&mut self.out);
                    return Ok(Ok(()));
                }
                event = self.event() => match event? {
                    Event::Read(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Event::Read(_) => {}
                    Event::Message(message) => self.write_messages(message).await?,
                    Event::Signal if self.session.client.is_killed() => {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    Event::Signal => match self.session.client.take_unblock() {
                        Some(Unblock::Timeout) => {
                            (blocking.empty)(&mut self.out);
                            return Ok(Ok(()));
                        }
                        Some(Unblock::Error) => {
                            self.out.error(
                                "UNBLOCKED client unblocked via CLIENT UNBLOCK",
                            );
                            return Ok(Ok(()));
                        }
                        None => {}
                    },
                },
            }
        }
    }

    fn watch(&mut self, args: Args<'_>) -> Result<()> {
        let session = &mut self.session;
        let server = session.server.clone();
        let tables = session.is_sql() || session.prefixes_exist();
        for key in args.from(1).iter() {
            if tables && session.watch_row(key)? {
                continue;
            }
            let Some(database) = session.databases().get(session.database).cloned() else {
                return Err(Error::internal("no logical database"));
            };
            let mut access = Access::newest(server.keyspace(), &database, now_ms());
            let stamp = access.slot(key)?.stamp();
            let watched = super::Watched {
                database: database.clone(),
                key: key.to_vec(),
                stamp,
            };
            session.watched.push(watched);
        }
        let watched = session.watched.len() + session.watched_rows.len();
        session.client.shown.lock().watched = watched;
        self.out.ok();
        Ok(())
    }

    /// EXEC.
    async fn exec(&mut self) -> Result<()> {
        if self.session.queue.is_none() {
            return fail("EXEC without MULTI");
        }
        let watched = std::mem::take(&mut self.session.watched);
        let rows = std::mem::take(&mut self.session.watched_rows);
        let Some(queue) = self.session.leave_transaction() else {
            return Ok(());
        };
        if queue.failed {
            return Err(Error::new(
                ErrorKind::FailedTransaction,
                "Transaction discarded because of previous errors.",
            ));
        }
        let requests: Vec<(&'static Command, Args<'_>)> = queue
            .requests
            .iter()
            .map(|(command, args)| (*command, args.args()))
            .collect();
        if !rows.is_empty() || self.session.meets_tables(&requests) {
            return self.exec_shared(&requests, (&watched, &rows)).await;
        }
        let flushed = self.keys_to_flush(&requests)?;
        let locks = self.exec_locks(&requests, &watched, &flushed)?;
        self.session.open_batch(self.out.len());
        self.session.lock_all(&locks).await?;
        if self.session.prefixes_exist() && self.session.meets_tables(&requests) {
            self.session.commit_batch().await?;
            return self.exec_shared(&requests, (&watched, &rows)).await;
        }
        let time = now_ms();
        let server = self.session.server.clone();
        for watched in &watched {
            let mut access = Access::newest(server.keyspace(), &watched.database, time);
            if access.slot(&watched.key)?.stamp() != watched.stamp {
                self.out.null_array();
                return Ok(());
            }
        }
        let start = self.out.len();
        self.out.array(requests.len());
        for (command, args) in requests {
            self.exec_one(command, args, time).await;
        }
        self.session.batch_is_one_reply(start);
        Ok(())
    }

    async fn exec_one(&mut self, command: &'static Command, args: Args<'_>, time: u64) {
        let start = self.out.len();
        let clock = Instant::now();
        let result = match command.run {
            Run::Keys(_) | Run::Blocking(_) | Run::Flush
                if self.session.require_keyspace().is_err() =>
            {
                self.session.require_keyspace()
            }
            Run::Keys(handler) => self.session.run_keys(handler, args, time, &mut self.out),
            Run::Blocking(blocking) => blocking_timeout(blocking, args).and_then(|_| {
                let answered =
                    self.session
                        .run_keys(blocking.attempt, args, time, &mut self.out)?;
                if !answered {
                    (blocking.empty)(&mut self.out);
                }
                Ok(())
            }),
            Run::Session(handler) => handler(&mut self.session, args, &mut self.out),
            Run::Flush => self.exec_flush(command, args, time),
            Run::Explain => self.explain(args).await,
            Run::Container | Run::Exec | Run::Discard | Run::Watch => {
                Err(Error::unsupported(command.name))
            }
        };
        if let Err(error) = result {
            self.session.failed(command, &mut self.out, start, &error);
        }
        self.session.count(command, clock);
    }

    /// The locks of all queued commands, watched keys and keys that are flushed.
    pub(super) fn exec_locks<'a>(
        &self,
        requests: &[(&'static Command, Args<'a>)],
        watched: &'a [super::Watched],
        flushed: &'a [(usize, Vec<u8>)],
    ) -> Result<Locks<'a>> {
        let mut locks = Locks::new();
        let mut database = self.session.database;
        for (command, args) in requests {
            if command.name == "select"
                && let Ok(number) = crate::command::key::database_number(args.get(1))
            {
                database = number;
            }
            // A wrong database of MOVE or COPY is the command's own error, later.
            locks.extend(locks_of(command, *args, database).unwrap_or_default());
        }
        let number = |database| {
            self.session
                .databases()
                .iter()
                .position(|own| own == database)
        };
        for watched in watched {
            if let Some(number) = number(&watched.database) {
                locks.push((number, &watched.key, Use::Read));
            }
        }
        locks.extend(
            flushed
                .iter()
                .map(|(db, key)| (*db, key.as_slice(), Use::Write)),
        );
        locks.sort_unstable_by_key(|(db, key, how)| (*db, *key, *how != Use::Write));
        locks.dedup_by(|b, a| a.0 == b.0 && a.1 == b.1);
        Ok(locks)
    }

    /// The keys that FLUSHDB and FLUSHALL among the queued commands will remove.
    pub(super) fn keys_to_flush(
        &self,
        requests: &[(&'static Command, Args<'_>)],
    ) -> Result<Vec<(usize, Vec<u8>)>> {
        let mut found = Vec::new();
        if !requests
            .iter()
            .any(|(command, _)| matches!(command.run, Run::Flush))
        {
            return Ok(found);
        }
        for (number, database) in self.session.databases().iter().enumerate() {
            let keyspace = self.session.server.keyspace();
            let mut access = Access::newest(keyspace, database, now_ms());
            found.extend(access.all_keys()?.into_iter().map(|key| (number, key)));
        }
        Ok(found)
    }

    fn exec_flush(&mut self, command: &Command, args: Args<'_>, time: u64) -> Result<()> {
        flush_mode(args)?;
        let here = self.session.database;
        let server = self.session.server.clone();
        let databases = self.session.databases().to_vec();
        let Some(batch) = self.session.batch_mut() else {
            return Ok(());
        };
        for (number, database) in databases.iter().enumerate() {
            if command.name == "flushall" || number == here {
                Access::writing(server.keyspace(), database, time, batch).flush()?;
            }
        }
        self.out.ok();
        Ok(())
    }

    /// FLUSHDB and FLUSHALL: removes the keys that are there now, in transactions of a bounded size.
    async fn flush(&mut self, command: &Command, args: Args<'_>) -> Result<()> {
        flush_mode(args)?;
        let server = self.session.server.clone();
        let all = command.name == "flushall";
        let here = self.session.database;
        let numbers = 0..self.session.databases().len();
        for number in numbers.filter(|number| all || *number == here) {
            let database = self.session.databases()[number].clone();
            let keys = Access::newest(server.keyspace(), &database, now_ms()).all_keys()?;
            for step in keys.chunks(FLUSH_STEP) {
                self.session.open_batch(self.out.len());
                let locks: Locks<'_> = step
                    .iter()
                    .map(|key| (number, key.as_slice(), Use::Write))
                    .collect();
                self.session.lock_all(&locks).await?;
                if let Some(batch) = self.session.batch_mut() {
                    let mut access = Access::writing(server.keyspace(), &database, now_ms(), batch);
                    for key in step {
                        access.delete(key)?;
                    }
                }
                self.session.commit_batch().await?;
            }
        }
        self.out.ok();
        Ok(())
    }
}

pub(super) fn flush_mode(args: Args<'_>) -> Result<()> {
    match args.len() {
        1 => Ok(()),
        2 if is(args.get(1), "async") || is(args.get(1), "sync") => Ok(()),
        _ => syntax_error(),
    }
}

fn by_name(name: &str) -> &'static Command {
    commands()
        .find(name.as_bytes())
        .unwrap_or(&commands().all[0])
}

/// Takes the connection off the list, however it ends.
struct Registered {
    server: Arc<Server>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.server.clients.remove(self.id);
    }
}

/// Refuses a connection over the limit.
pub async fn refuse(mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut out = ReplyWriter::default();
    error::write(
        &mut out,
        &Error::new(
            ErrorKind::TooManyConnections,
            "max number of clients reached",
        ),
    );
    stream.write_all(out.bytes()).await
}
