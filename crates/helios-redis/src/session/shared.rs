//! Where keys of the keyspace and rows of tables meet: which commands are about tables, and EXEC of
//! requests that touch both.
//!
//! Such an EXEC is one transaction of the engine. The keys of all requests are locked before the
//! first runs, as in any EXEC; rows of tables are locked by the statements that change them. A
//! request that fails is undone alone. Requests that only read see one moment; in an EXEC that
//! writes, rows are read as they are when their request runs.

use super::serve::{Connection, Transport, flush_mode};
use super::transaction::Watched;
use super::{Locks, Session, locks_of};
use crate::backend::Identity;
use crate::codec::{Args, ReplyWriter};
use crate::command::option::{integer, is};
use crate::command::{Command, KeyCall, Run};
use helios_engine::keyspace::expirer::now_ms;
use helios_engine::keyspace::prefixes::KeyOwner;
use helios_engine::keyspace::{Access, Database, glob};
use helios_engine::{Isolation, TransactionMode, WatchedRow};
use helios_types::{DatabaseId, Error, ErrorKind, Result};
use std::time::Instant;

impl Session {
    /// Whether any table has a prefix: the one thing that commands on other keys ask.
    #[inline]
    pub(super) fn prefixes_exist(&self) -> bool {
        self.server.keyspace().prefixes().any()
    }

    fn sql_database(&self) -> Option<DatabaseId> {
        let first = self.databases().first()?;
        Some(first.object().database)
    }

    /// Whether a command is about a table: one of its keys stands under a table's prefix, or it
    /// lists keys.
    pub(super) fn meets_table(&self, command: &Command, args: Args<'_>) -> Result<bool> {
        let Some(database) = self.sql_database() else {
            return Ok(false);
        };
        let prefixes = self.server.keyspace().prefixes();
        if matches!(command.name, "keys" | "scan") {
            return Ok(prefixes.any_in(database));
        }
        // What is wrong with the arguments is the command's own error, later.
        for (_, key, _) in locks_of(command, args, self.database).unwrap_or_default() {
            match prefixes.owner(database, key) {
                KeyOwner::Keyspace => {}
                KeyOwner::Table(_) => return Ok(true),
                KeyOwner::Reserved if command.flags.write => {
                    return Err(Error::new(
                        ErrorKind::LockNotAvailable,
                        "the prefix of the key is being given to a table",
                    ));
                }
                KeyOwner::Reserved => {}
            }
        }
        // SORT reads the keys that its patterns lead to.
        let patterns = (2..args.len().saturating_sub(1))
            .filter(|at| is(args.get(*at), "by") || is(args.get(*at), "get"))
            .map(|at| glob::literal_prefix(args.get(at + 1)));
        let sorts = matches!(command.name, "sort" | "sort_ro");
        Ok(sorts
            && patterns
                .into_iter()
                .any(|prefix| prefixes.owner(database, &prefix) != KeyOwner::Keyspace))
    }

    /// Whether all keys of a command belong to tables, so that it does not need the keyspace.
    pub(super) fn only_tables(&self, command: &Command, args: Args<'_>) -> bool {
        let Some(database) = self.sql_database().filter(|_| self.prefixes_exist()) else {
            return false;
        };
        let prefixes = self.server.keyspace().prefixes();
        let keys = locks_of(command, args, self.database).unwrap_or_default();
        let of_table = |key: &[u8]| matches!(prefixes.owner(database, key), KeyOwner::Table(_));
        !keys.is_empty() && keys.iter().all(|(_, key, _)| of_table(key))
    }

    /// Refuses the keyspace to who may not use it.
    pub(super) fn require_keyspace(&self) -> Result<()> {
        match &self.identity {
            Some(identity) if !identity.may_use_keyspace() => Err(Error::new(
                ErrorKind::InsufficientPrivilege,
                "permission denied for the keyspace",
            )),
            _ => Ok(()),
        }
    }

    /// Whether any of the queued requests is about a table.
    pub(super) fn meets_tables(&self, requests: &[(&'static Command, Args<'_>)]) -> bool {
        let mut is_sql = self.is_sql();
        requests.iter().any(|(command, args)| {
            if command.name == "select"
                && let Ok(number) = integer(args.get(1))
            {
                is_sql = number == self.databases().len() as i64;
            }
            let on_keys = matches!(command.run, Run::Keys(_) | Run::Blocking(_));
            // A reserved prefix is an error of the command, in whatever transaction it runs.
            on_keys
                && (is_sql
                    || self.prefixes_exist() && self.meets_table(command, *args).unwrap_or(true))
        })
    }

    /// Runs a handler on the keyspace in the engine's open transaction.
    fn run_keys_within<T>(
        &mut self,
        handler: fn(&mut KeyCall<'_, '_>) -> Result<T>,
        args: Args<'_>,
        out: &mut ReplyWriter,
    ) -> Result<T> {
        self.require_keyspace()?;
        let server = self.server.clone();
        let number = self.database;
        let identity = self.identity.as_mut().map(Identity::parts);
        let Some((engine, databases)) = identity else {
            return Err(Error::internal("a request without an identity"));
        };
        let Some(database) = databases.get(number) else {
            return Err(Error::internal("a keyspace command on the database of SQL"));
        };
        let keys = engine.keyspace_access(database, now_ms())?;
        handler(&mut KeyCall {
            args,
            out,
            keys,
            databases,
            server: &server,
        })
    }

    /// FLUSHDB and FLUSHALL in the engine's open transaction; tables are none of theirs.
    fn flush_within(
        &mut self,
        command: &Command,
        args: Args<'_>,
        out: &mut ReplyWriter,
    ) -> Result<()> {
        flush_mode(args)?;
        self.require_keyspace()?;
        let here = self.database;
        let Some((engine, databases)) = self.identity.as_mut().map(Identity::parts) else {
            return Ok(());
        };
        for (number, database) in databases.iter().enumerate() {
            if command.name == "flushall" || number == here {
                engine.keyspace_access(database, now_ms())?.flush()?;
            }
        }
        out.ok();
        Ok(())
    }

    async fn run_shared(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        out: &mut ReplyWriter,
    ) -> Result<()> {
        let on_table = self.is_sql() || self.meets_table(command, args)?;
        match command.run {
            Run::Session(handler) => handler(self, args, out),
            Run::Keys(_) if on_table => self.sql_command(command, args, out).await,
            Run::Keys(handler) => self.run_keys_within(handler, args, out),
            Run::Blocking(_) if on_table => Err(self.not_on_tables(command)),
            Run::Blocking(blocking) => {
                super::blocking_timeout(blocking, args)?;
                if !self.run_keys_within(blocking.attempt, args, out)? {
                    (blocking.empty)(out);
                }
                Ok(())
            }
            Run::Flush => self.flush_within(command, args, out),
            _ => Err(self.not_on_tables(command)),
        }
    }

    /// Locks the keys of all requests; false when a watched key has changed.
    async fn lock_shared(
        &mut self,
        locks: &Locks<'_>,
        (watched, rows): (&[Watched], &[WatchedRow]),
    ) -> Result<bool> {
        let server = self.server.clone();
        let Some((engine, databases)) = self.identity.as_mut().map(Identity::parts) else {
            return Ok(false);
        };
        for (number, key, how) in locks {
            if let Some(database) = databases.get(*number) {
                engine.lock_key(database, key, *how).await?;
            }
        }
        for watched in watched {
            let database: &Database = &watched.database;
            let mut access = Access::newest(server.keyspace(), database, now_ms());
            if access.slot(&watched.key)?.stamp() != watched.stamp {
                return Ok(false);
            }
        }
        for row in rows {
            if !engine.row_is_unchanged(row).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs the requests in the open transaction; false when nothing is to be done.
    async fn run_all_shared(
        &mut self,
        requests: &[(&'static Command, Args<'_>)],
        (locks, watched): (&Locks<'_>, (&[Watched], &[WatchedRow])),
        out: &mut ReplyWriter,
    ) -> Result<bool> {
        if !self.lock_shared(locks, watched).await? {
            return Ok(false);
        }
        out.array(requests.len());
        for (command, args) in requests {
            let place = out.len();
            let clock = Instant::now();
            self.engine()?.savepoint("redis")?;
            match self.run_shared(command, *args, out).await {
                Ok(()) => self.engine()?.release("redis")?,
                Err(error) => {
                    self.engine()?.rollback_to("redis")?;
                    self.failed(command, out, place, &error);
                }
            }
            self.count(command, clock);
        }
        Ok(true)
    }
}

impl<S: Transport> Connection<S> {
    /// EXEC of requests of which some are about tables: one transaction of the engine.
    pub(super) async fn exec_shared(
        &mut self,
        requests: &[(&'static Command, Args<'_>)],
        watched: (&[Watched], &[WatchedRow]),
    ) -> Result<()> {
        let flushed = self.keys_to_flush(requests)?;
        let locks = self.exec_locks(requests, watched.0, &flushed)?;
        let (session, out) = self.parts();
        let start = out.len();
        // Reads of several rows belong to one moment; changes are made of the newest values.
        let writes = requests.iter().any(|(command, _)| command.flags.write);
        session.engine()?.begin(TransactionMode {
            isolation: (!writes).then_some(Isolation::RepeatableRead),
            read_only: None,
        })?;
        let result = match session
            .run_all_shared(requests, (&locks, watched), out)
            .await
        {
            Ok(true) => session.engine()?.commit().await.map(drop),
            Ok(false) => {
                session.engine()?.rollback();
                out.null_array();
                return Ok(());
            }
            Err(error) => {
                session.engine()?.rollback();
                Err(error)
            }
        };
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}
