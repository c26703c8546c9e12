//! The rows of tables as hashes, read and written through the shared plan: in database 16, and in
//! the others under the prefixes that tables have.
//!
//! A field is a column, and absent where the row has NULL. HSET inserts the row or changes it; HDEL
//! sets NULL and never removes a row; DEL does. Every command is a transaction of the engine with
//! its rules: privileges, defaults, constraints, triggers of expiry and indexes. Documents are read
//! so: a field is one of the document's own, with what is inside of it as JSON.

use super::serve::{Connection, Transport};
use super::{Run, Session};
use crate::backend::Identity;
use crate::codec::{Args, ReplyWriter};
use crate::command::option::{fail, integer};
use crate::command::{Command, commands, wrong_arity};
use crate::translate::{self, RowKey, column, key_columns};
use helios_engine::keyspace::expirer::now_ms;
use helios_engine::keyspace::prefixes::KeyOwner;
use helios_engine::keyspace::{Access, Use, number};
use helios_engine::{ExplainFormat, Prepared, TransactionMode, TransactionStatus};
use helios_planner::catalog::Column;
use helios_types::conversion::{from_redis_text, to_redis_text};
use helios_types::json::JsonbRef;
use helios_types::value::Rows;
use helios_types::{Error, ErrorKind, Result, Type, Value};
use std::sync::Arc;

/// Fields and values of a row, without those that are NULL.
type Fields = Vec<(String, Vec<u8>)>;

impl<S: Transport> Connection<S> {
    pub(super) async fn sql(&mut self, command: &'static Command, args: Args<'_>) -> Result<()> {
        let (session, out) = self.parts();
        session.sql_command(command, args, out).await
    }

    /// HELIOS.EXPLAIN: the plan of a command, without running it.
    pub(super) async fn explain(&mut self, args: Args<'_>) -> Result<()> {
        let (session, out) = self.parts();
        let request = args.from(1);
        let command = commands().resolve(request)?;
        if !session.is_sql() && !session.meets_table(command, request)? {
            let Run::Keys(_) = command.run else {
                return Err(Error::unsupported(format!(
                    "HELIOS.EXPLAIN of {}",
                    command.name
                )));
            };
            let mut text = format!("Executor: Keyspace\n{}", command.name.to_ascii_uppercase());
            text.push_str(&format!(": db={}", session.database));
            for (_, key, how) in super::locks_of(command, request, session.database)? {
                let key = String::from_utf8_lossy(key).into_owned();
                text.push_str(&format!(", {how:?} key={key:?}"));
            }
            text.push('\n');
            out.verbatim(&text);
            return Ok(());
        }
        let Some(row) = session.row(request.get(1))? else {
            return fail("no table with a primary key has this key");
        };
        let (text, types) = match command.name {
            "hget" => row.select(&[&String::from_utf8_lossy(request.get(2))], false),
            "del" | "unlink" => row.delete(),
            _ if !command.flags.write => row.select(&[], false),
            _ => {
                return Err(Error::unsupported(format!(
                    "HELIOS.EXPLAIN of {}",
                    command.name
                )));
            }
        };
        let engine = session.engine()?;
        let prepared = engine.prepare(&text, &types)?;
        let plan = engine.explain(&prepared, ExplainFormat::Text)?;
        out.verbatim(&plan);
        Ok(())
    }
}

/// What a key names.
enum Place {
    /// A value of the keyspace.
    Native,
    /// A row of a table; `None` when the key can name none.
    Row(Option<RowKey>),
}

impl Session {
    pub(super) fn not_on_tables(&self, command: &Command) -> Error {
        let name = command.name.to_ascii_uppercase().replace('|', " ");
        let place = match self.is_sql() {
            true => "the database of SQL tables",
            false => "a key of a table",
        };
        Error::unsupported(format!("{name} on {place}"))
    }

    pub(super) fn engine(&mut self) -> Result<&mut helios_engine::Session> {
        match &mut self.identity {
            Some(identity) => Ok(identity.session()),
            None => Err(Error::new(
                ErrorKind::Unauthenticated,
                "Authentication required.",
            )),
        }
    }

    /// What a key names on this connection's database.
    fn place(&mut self, key: &[u8]) -> Result<Place> {
        let is_sql = self.is_sql();
        let server = self.server.clone();
        let engine = self.engine()?;
        let (catalog, database) = (engine.catalog(), engine.database_id());
        if is_sql {
            return translate::row_key(&catalog, database, key).map(Place::Row);
        }
        match server.keyspace().prefixes().owner(database, key) {
            KeyOwner::Table(table) => match catalog.table(table) {
                Some(table) => translate::prefixed_row(&catalog, table, key).map(Place::Row),
                None => Ok(Place::Row(None)),
            },
            KeyOwner::Keyspace | KeyOwner::Reserved => Ok(Place::Native),
        }
    }

    /// WATCH of a key: false when it is the keyspace's.
    pub(super) fn watch_row(&mut self, key: &[u8]) -> Result<bool> {
        match self.place(key)? {
            Place::Native => return Ok(false),
            // No row can have this key.
            Place::Row(None) => {}
            Place::Row(Some(row)) if row.is_document() => {
                return Err(Error::unsupported("WATCH on a document"));
            }
            Place::Row(Some(row)) => {
                let watched = self.engine()?.watch_row(&row.table, &row.key)?;
                self.watched_rows.push(watched);
            }
        }
        Ok(true)
    }

    fn row(&mut self, key: &[u8]) -> Result<Option<RowKey>> {
        match self.place(key)? {
            Place::Row(row) => Ok(row),
            Place::Native => Ok(None),
        }
    }

    pub(super) async fn run_text(
        &mut self,
        (text, types): (String, Vec<Option<Type>>),
        params: &[Value],
    ) -> Result<(Arc<Prepared>, Vec<Vec<Value>>, u64)> {
        let engine = self.engine()?;
        let prepared = engine.prepare(&text, &types)?;
        let mut rows = Rows::default();
        let done = engine.execute(&prepared, params, &mut rows).await?;
        Ok((prepared, rows.0, done.rows))
    }

    /// The fields of a row; `None` when there is no such row.
    async fn fields(&mut self, row: &RowKey, names: &[&str], lock: bool) -> Result<Option<Fields>> {
        if row.is_document() {
            return self.document_fields(row, names).await;
        }
        let (prepared, rows, _) = self.run_text(row.select(names, lock), &row.key).await?;
        let Some(values) = rows.first() else {
            return Ok(None);
        };
        let mut fields = Fields::new();
        for (column, value) in prepared.output.iter().zip(values) {
            if let Some(bytes) = to_redis_text(column.ty, value)? {
                fields.push((column.name.to_string(), bytes));
            }
        }
        Ok(Some(fields))
    }

    /// The fields of a document; `None` when there is no such document.
    async fn document_fields(&mut self, row: &RowKey, names: &[&str]) -> Result<Option<Fields>> {
        let (_, rows, _) = self.run_text(row.select(&["doc"], false), &row.key).await?;
        if rows.len() > 1 {
            return fail("several documents have this _id as text");
        }
        let Some([Value::Jsonb(document)]) = rows.first().map(Vec::as_slice) else {
            return Ok(None);
        };
        let mut fields = Fields::new();
        for entry in document.as_ref().entries() {
            let (name, value) = entry?;
            if !names.is_empty() && !names.contains(&name) {
                continue;
            }
            if let Some(bytes) = element_text(value)? {
                fields.push((name.to_string(), bytes));
            }
        }
        Ok(Some(fields))
    }

    async fn all_fields(&mut self, key: &[u8]) -> Result<Fields> {
        match self.row(key)? {
            Some(row) => Ok(self.fields(&row, &[], false).await?.unwrap_or_default()),
            None => Ok(Fields::new()),
        }
    }

    async fn field(&mut self, key: &[u8], name: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(row) = self.row(key)? else {
            return Ok(None);
        };
        let column = match column(&row.table, name)? {
            _ if row.is_document() => String::from_utf8_lossy(name).into_owned(),
            Some(column) => column.name.clone(),
            None => return Ok(None),
        };
        let fields = self
            .fields(&row, &[&column], false)
            .await?
            .unwrap_or_default();
        Ok(fields.into_iter().next().map(|(_, value)| value))
    }

    async fn row_exists(&mut self, key: &[u8]) -> Result<bool> {
        let row = match self.place(key)? {
            Place::Row(Some(row)) => row,
            Place::Row(None) => return Ok(false),
            Place::Native => return self.native_exists(key),
        };
        let names: Vec<String> = key_columns(&row.table)
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(self.fields(&row, &names, false).await?.is_some())
    }

    /// Whether a key of the keyspace exists, named beside keys of tables.
    fn native_exists(&mut self, key: &[u8]) -> Result<bool> {
        self.require_keyspace()?;
        let server = self.server.clone();
        let number = self.database;
        let idle = self.engine()?.transaction_status() == TransactionStatus::Idle;
        let Some((engine, databases)) = self.identity.as_mut().map(Identity::parts) else {
            return Ok(false);
        };
        let Some(database) = databases.get(number) else {
            return Ok(false);
        };
        if idle {
            return Access::newest(server.keyspace(), database, now_ms()).exists(key);
        }
        engine.keyspace_access(database, now_ms())?.exists(key)
    }

    /// Deletes a key of the keyspace that is named beside keys of tables, in the open transaction.
    async fn native_delete(&mut self, key: &[u8]) -> Result<bool> {
        self.require_keyspace()?;
        let number = self.database;
        let Some((engine, databases)) = self.identity.as_mut().map(Identity::parts) else {
            return Ok(false);
        };
        let Some(database) = databases.get(number) else {
            return Ok(false);
        };
        engine.lock_key(database, key, Use::Write).await?;
        engine.keyspace_access(database, now_ms())?.delete(key)
    }

    pub(super) async fn sql_command(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        out: &mut ReplyWriter,
    ) -> Result<()> {
        let key = args.get(1);
        match command.name {
            "hget" => {
                let value = self.field(key, args.get(2)).await?;
                out.optional_bulk(value.as_deref());
            }
            "hmget" => {
                let fields = self.all_fields(key).await?;
                out.array(args.len() - 2);
                for name in args.from(2).iter() {
                    let found = fields.iter().find(|(field, _)| field.as_bytes() == name);
                    out.optional_bulk(found.map(|(_, value)| value.as_slice()));
                }
            }
            "hgetall" => {
                let fields = self.all_fields(key).await?;
                out.map(fields.len());
                for (field, value) in &fields {
                    out.bulk(field.as_bytes());
                    out.bulk(value);
                }
            }
            "hkeys" | "hvals" => {
                let fields = self.all_fields(key).await?;
                out.array(fields.len());
                for (field, value) in &fields {
                    out.bulk(if command.name == "hkeys" {
                        field.as_bytes()
                    } else {
                        value
                    });
                }
            }
            "hscan" => {
                let fields = self.all_fields(key).await?;
                out.array(2);
                out.bulk(b"0");
                out.array(fields.len() * 2);
                for (field, value) in &fields {
                    out.bulk(field.as_bytes());
                    out.bulk(value);
                }
            }
            "hlen" => out.integer(self.all_fields(key).await?.len() as i64),
            "hexists" => out.flag(self.field(key, args.get(2)).await?.is_some()),
            "hstrlen" => {
                let value = self.field(key, args.get(2)).await?;
                out.integer(value.map_or(0, |value| value.len() as i64));
            }
            "type" => out.status(if self.row_exists(key).await? {
                "hash"
            } else {
                "none"
            }),
            "ttl" | "pttl" => out.integer(if self.row_exists(key).await? { -1 } else { -2 }),
            "exists" | "touch" => {
                let mut found = 0;
                for key in args.from(1).iter() {
                    found += i64::from(self.row_exists(key).await?);
                }
                out.integer(found);
            }
            "keys" => self.list_keys(args, out).await?,
            "scan" => self.scan_tables(args, out).await?,
            "hset" | "hmset" | "hsetnx" | "hdel" | "hincrby" | "hincrbyfloat" | "del"
            | "unlink" => self.sql_write(command, args, out).await?,
            _ => return Err(self.not_on_tables(command)),
        }
        Ok(())
    }

    /// A command that writes, in the transaction that is open or in one of its own.
    async fn sql_write(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        out: &mut ReplyWriter,
    ) -> Result<()> {
        let own = self.engine()?.transaction_status() == TransactionStatus::Idle;
        if !own {
            return self.sql_change(command, args, out).await;
        }
        self.engine()?.begin(TransactionMode::default())?;
        match self.sql_change(command, args, out).await {
            Ok(()) => self.engine()?.commit().await.map(drop),
            Err(error) => {
                self.engine()?.rollback();
                Err(error)
            }
        }
    }

    async fn sql_change(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        out: &mut ReplyWriter,
    ) -> Result<()> {
        let row = self.row(args.get(1))?;
        if let Some(row) = &row {
            require_columns(row, command)?;
        }
        let no_table = || Error::new(ErrorKind::UndefinedTable, "no table has this key");
        match command.name {
            "del" | "unlink" => {
                let mut removed = 0;
                for key in args.from(1).iter() {
                    removed += match self.place(key)? {
                        Place::Native => u64::from(self.native_delete(key).await?),
                        Place::Row(None) => 0,
                        Place::Row(Some(row)) => {
                            require_columns(&row, command)?;
                            self.run_text(row.delete(), &row.key).await?.2
                        }
                    };
                }
                out.integer(removed as i64);
            }
            "hset" | "hmset" => {
                if !args.len().is_multiple_of(2) {
                    return Err(wrong_arity(command.name));
                }
                let row = row.ok_or_else(no_table)?;
                let pairs: Vec<(&[u8], &[u8])> = (2..args.len())
                    .step_by(2)
                    .map(|at| (args.get(at), args.get(at + 1)))
                    .collect();
                let added = self.set_fields(&row, &pairs).await?;
                if command.name == "hmset" {
                    out.ok();
                } else {
                    out.integer(added as i64);
                }
            }
            "hsetnx" => {
                let row = row.ok_or_else(no_table)?;
                let name = String::from_utf8_lossy(args.get(2)).into_owned();
                known_column(&row, args.get(2))?;
                let old = self.fields(&row, &[&name], true).await?.unwrap_or_default();
                if old.is_empty() {
                    self.set_fields(&row, &[(args.get(2), args.get(3))]).await?;
                }
                out.flag(old.is_empty());
            }
            "hdel" => {
                let removed = match row {
                    Some(row) => self.clear_fields(&row, args.from(2)).await?,
                    None => 0,
                };
                out.integer(removed as i64);
            }
            _ => {
                let row = row.ok_or_else(no_table)?;
                let new = self.increment_field(&row, command, args).await?;
                if command.name == "hincrby" {
                    out.integer(number::parse_i64(&new).unwrap_or_default());
                } else {
                    out.bulk(&new);
                }
            }
        }
        Ok(())
    }

    /// Inserts or changes a row: how many of the fields it did not have before.
    async fn set_fields(&mut self, row: &RowKey, pairs: &[(&[u8], &[u8])]) -> Result<usize> {
        let keys = key_columns(&row.table);
        let mut columns: Vec<&Column> = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        for (name, bytes) in pairs {
            let column = known_column(row, name)?;
            let value = from_redis_text(column.ty, bytes)?;
            if let Some(at) = keys.iter().position(|key| key.name == column.name) {
                if to_redis_text(column.ty, &row.key[at])?.as_deref() != Some(*bytes) {
                    return fail("the fields of the primary key cannot be changed");
                }
                continue;
            }
            match columns.iter().position(|other| other.name == column.name) {
                Some(at) => values[at] = value,
                None => {
                    columns.push(column);
                    values.push(value);
                }
            }
        }
        let names: Vec<&str> = keys
            .iter()
            .chain(&columns)
            .map(|c| c.name.as_str())
            .collect();
        match self.fields(row, &names, true).await? {
            Some(old) => {
                if !columns.is_empty() {
                    let mut params = values;
                    params.extend(row.key.iter().cloned());
                    self.run_text(row.update(&columns), &params).await?;
                }
                let had = |column: &&&Column| old.iter().any(|(name, _)| *name == column.name);
                Ok(columns.len() - columns.iter().filter(had).count())
            }
            None => {
                let mut params = row.key.clone();
                params.extend(values);
                self.run_text(row.insert(&columns), &params).await?;
                Ok(pairs.len())
            }
        }
    }

    /// Sets fields to NULL: how many had a value.
    async fn clear_fields(&mut self, row: &RowKey, names: Args<'_>) -> Result<usize> {
        let mut columns: Vec<&Column> = Vec::new();
        for name in names.iter() {
            let Some(column) = column(&row.table, name)? else {
                continue;
            };
            if key_columns(&row.table)
                .iter()
                .any(|key| key.name == column.name)
            {
                return fail("a field of the primary key cannot be removed");
            }
            columns.push(column);
        }
        if columns.is_empty() {
            return Ok(0);
        }
        let list: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let old = self.fields(row, &list, true).await?.unwrap_or_default();
        if old.is_empty() {
            return Ok(0);
        }
        let mut params = vec![Value::Null; columns.len()];
        params.extend(row.key.iter().cloned());
        self.run_text(row.update(&columns), &params).await?;
        Ok(old.len())
    }

    async fn increment_field(
        &mut self,
        row: &RowKey,
        command: &Command,
        args: Args<'_>,
    ) -> Result<Vec<u8>> {
        let (name, by) = (args.get(2), args.get(3));
        let column = known_column(row, name)?;
        let decimal = command.name == "hincrbyfloat";
        if !decimal {
            integer(by)?;
        } else if !number::is_decimal(by) {
            return fail("value is not a valid float");
        }
        let old = self
            .fields(row, &[column.name.as_str()], true)
            .await?
            .unwrap_or_default();
        let old = old
            .into_iter()
            .next()
            .map_or_else(|| b"0".to_vec(), |(_, value)| value);
        let new = if decimal {
            number::add_decimal(&old, by)?
        } else {
            let Some(old) = number::parse_i64(&old) else {
                return fail("hash value is not an integer");
            };
            let Some(sum) = old.checked_add(integer(by)?) else {
                return fail("increment or decrement would overflow");
            };
            sum.to_string().into_bytes()
        };
        if from_redis_text(column.ty, &new).is_err() {
            return fail("increment or decrement would overflow");
        }
        self.set_fields(row, &[(name, &new)]).await?;
        Ok(new)
    }
}

/// A field of a document as Redis shows it: the text of a scalar, JSON of what is inside others.
fn element_text(value: JsonbRef<'_>) -> Result<Option<Vec<u8>>> {
    if !value.is_scalar() {
        return to_redis_text(Type::JSONB, &Value::Jsonb(value.to_jsonb()));
    }
    if let Some(value) = value.as_bool() {
        return to_redis_text(Type::BOOL, &Value::Bool(value));
    }
    Ok(value.to_text().map(|text| text.as_bytes().to_vec()))
}

/// Refuses a change of a document.
fn require_columns(row: &RowKey, command: &Command) -> Result<()> {
    if row.is_document() {
        let name = command.name.to_ascii_uppercase();
        return Err(Error::unsupported(format!("{name} on a document")));
    }
    Ok(())
}

fn known_column<'r>(row: &'r RowKey, name: &[u8]) -> Result<&'r Column> {
    column(&row.table, name)?.ok_or_else(|| {
        Error::new(
            ErrorKind::UndefinedColumn,
            format!(
                "column \"{}\" of table \"{}\" does not exist",
                String::from_utf8_lossy(name),
                row.table.name
            ),
        )
    })
}
