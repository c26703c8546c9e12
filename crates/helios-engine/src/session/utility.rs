//! Utility statements: transaction control, settings, DDL, cursors, EXPLAIN.

use super::transaction::parse_isolation;
use super::{Session, TransactionMode, TransactionStatus};
use crate::explain::ExplainFormat;
use crate::prepared::{Completion, CompletionTag};
use helios_planner::catalog::Relation;
use helios_planner::template::OutputColumn;
use helios_planner::utility::{
    DiscardTarget, ExecuteArguments, Explain, Mode, ObjectKind, SetValue, TableLock, Utility,
};
use helios_storage::{LockKey, LockMode, Prefix, Wait};
use helios_types::value::{RowSink, Rows};
use helios_types::{BranchId, Error, ErrorKind, ObjectId, Result, Type, Value, bail};
use std::sync::Arc;

/// Result columns of a utility statement.
pub(crate) fn output(utility: &Utility, session: &Session) -> Vec<OutputColumn> {
    let text = |name: &str| OutputColumn {
        name: name.to_string(),
        ty: Type::TEXT,
        origin: None,
    };
    match utility {
        Utility::Show { name } => vec![text(crate::settings::shown_name(name))],
        Utility::ShowAll => vec![text("name"), text("setting"), text("description")],
        Utility::Explain(_) => vec![text("QUERY PLAN")],
        Utility::Execute { name, .. } => session
            .prepared
            .get(name)
            .map(|p| p.output.clone())
            .unwrap_or_default(),
        Utility::Fetch {
            cursor,
            move_only: false,
            ..
        } => session
            .cursors
            .get(cursor)
            .map(|c| c.output().to_vec())
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn mode(mode: &Mode) -> Result<TransactionMode> {
    if mode.deferrable == Some(true) {
        return Err(Error::unsupported("DEFERRABLE transactions"));
    }
    Ok(TransactionMode {
        isolation: mode.isolation.map(parse_isolation),
        read_only: mode.read_only,
    })
}

/// Whether the statement may run in a failed transaction.
fn ends_transaction(utility: &Utility) -> bool {
    matches!(
        utility,
        Utility::Commit { .. } | Utility::Rollback { .. } | Utility::RollbackTo(_)
    )
}

impl Session {
    pub(crate) async fn run_utility(
        &mut self,
        prepared: &crate::Prepared,
        utility: &Utility,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        if self.transaction_status() == TransactionStatus::Failed && !ends_transaction(utility) {
            return Err(super::transaction::failed_transaction());
        }
        match utility {
            Utility::Begin(m) => {
                self.begin(mode(m)?)?;
                Ok(Completion::utility("BEGIN"))
            }
            Utility::StartTransaction(m) => {
                self.begin(mode(m)?)?;
                Ok(Completion::utility("START TRANSACTION"))
            }
            Utility::Commit { chain } => {
                let committed = self.commit().await?;
                self.chain(*chain)?;
                Ok(Completion::utility(if committed {
                    "COMMIT"
                } else {
                    "ROLLBACK"
                }))
            }
            Utility::Rollback { chain } => {
                self.rollback();
                self.chain(*chain)?;
                Ok(Completion::utility("ROLLBACK"))
            }
            Utility::Savepoint(name) => self
                .savepoint(name)
                .map(|()| Completion::utility("SAVEPOINT")),
            Utility::Release(name) => self.release(name).map(|()| Completion::utility("RELEASE")),
            Utility::RollbackTo(name) => self
                .rollback_to(name)
                .map(|()| Completion::utility("ROLLBACK")),
            Utility::SetTransaction(m) => {
                self.set_mode(mode(m)?)?;
                Ok(Completion::utility("SET"))
            }
            Utility::SetSessionTransaction(m) => {
                if let Some(level) = m.isolation {
                    self.state
                        .settings
                        .set("default_transaction_isolation", level, false)?;
                }
                if let Some(read_only) = m.read_only {
                    let text = if read_only { "on" } else { "off" };
                    self.state
                        .settings
                        .set("default_transaction_read_only", text, false)?;
                }
                Ok(Completion::utility("SET"))
            }
            Utility::SetConstraints { names, deferred } => {
                self.set_constraints(names, *deferred).await
            }
            Utility::Prepare { name, params, text } => self.sql_prepare(name, params, text),
            Utility::Execute { name, args } => self.sql_execute(name, args, sink).await,
            Utility::Deallocate(name) => self.deallocate(name.as_deref()),
            Utility::Explain(explain) => self.run_explain(explain, params, sink).await,
            Utility::DeclareCursor(spec) => {
                if !self.in_explicit_transaction() && !spec.with_hold {
                    bail!(
                        NoActiveTransaction,
                        "DECLARE CURSOR can only be used in transaction blocks"
                    );
                }
                self.declare_cursor(spec).await
            }
            Utility::Fetch {
                cursor,
                direction,
                move_only,
            } => self.sql_fetch(cursor, *direction, *move_only, sink).await,
            Utility::Close(name) => self.close_cursor(name.as_deref()),
            Utility::Copy(_) => Err(Error::new(
                ErrorKind::ProtocolViolation,
                "COPY needs a client that sends or takes its data",
            )),
            Utility::Set { .. }
            | Utility::Show { .. }
            | Utility::ShowAll
            | Utility::Reset { .. }
            | Utility::ResetAll
            | Utility::Discard(_)
            | Utility::SetRole { .. }
            | Utility::SetSessionAuthorization { .. } => self.run_setting(utility, sink),
            Utility::Nothing { tag, notice } => {
                if let Some(notice) = notice {
                    self.state.notice("NOTICE", b"00000", notice.clone());
                }
                Ok(Completion::utility(tag))
            }
            Utility::Listen(_) | Utility::Unlisten(_) | Utility::Notify { .. } => {
                Err(Error::unsupported("LISTEN and NOTIFY"))
            }
            Utility::Checkpoint => {
                self.state.require_superuser("do CHECKPOINT")?;
                self.engine.store.flush(true)?;
                Ok(Completion::utility("CHECKPOINT"))
            }
            // Superseded versions are dropped with the commit that supersedes them, so there is
            // nothing left for VACUUM to do.
            Utility::Vacuum { tables, analyze } => {
                if self.in_explicit_transaction() {
                    bail!(
                        ActiveTransaction,
                        "VACUUM cannot run inside a transaction block"
                    );
                }
                if *analyze {
                    return self.analyze(tables, "VACUUM").await;
                }
                Ok(Completion::utility("VACUUM"))
            }
            Utility::Analyze { tables } => self.analyze(tables, "ANALYZE").await,
            Utility::Lock {
                tables,
                mode,
                nowait,
            } => {
                self.interruptible(async |session| {
                    session.lock_tables(tables, *mode, *nowait).await
                })
                .await
            }
            _ => {
                self.start_statement()?;
                let completion = self
                    .interruptible(async |session| {
                        let fresh = session.lock_catalog(prepared).await?;
                        let utility = fresh.as_ref().and_then(|p| p.utility()).unwrap_or(utility);
                        session.run_ddl(utility, sink).await
                    })
                    .await?;
                self.finish_statement().await?;
                Ok(completion)
            }
        }
    }

    fn chain(&mut self, chain: bool) -> Result<()> {
        if chain {
            self.begin(TransactionMode::default())
        } else {
            Ok(())
        }
    }

    async fn set_constraints(&mut self, names: &[String], deferred: bool) -> Result<Completion> {
        if !names.is_empty() {
            return Err(Error::unsupported("SET CONSTRAINTS with names"));
        }
        if !self.in_explicit_transaction() {
            let message = "SET CONSTRAINTS can only be used in transaction blocks".into();
            self.state.notice("WARNING", b"25P01", message);
            return Ok(Completion::utility("SET CONSTRAINTS"));
        }
        self.start_statement()?;
        let t = self.transaction_mut()?;
        t.checks.defer_all = Some(deferred);
        if !deferred {
            t.checks.make_deferred_due();
            self.with_writer(async |writer| writer.run_checks().await)
                .await?;
        }
        Ok(Completion::utility("SET CONSTRAINTS"))
    }

    fn sql_prepare(
        &mut self,
        name: &str,
        params: &[Option<Type>],
        text: &str,
    ) -> Result<Completion> {
        if self.prepared.contains_key(name) {
            bail!(
                DuplicateStatement,
                "prepared statement \"{name}\" already exists"
            );
        }
        let prepared = self.prepare(text, params)?;
        self.prepared.insert(name.to_string(), prepared);
        Ok(Completion::utility("PREPARE"))
    }

    async fn sql_execute(
        &mut self,
        name: &str,
        args: &ExecuteArguments,
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        let computed;
        let args = match args {
            ExecuteArguments::Constants(args) => args.as_slice(),
            ExecuteArguments::Query(query) => {
                computed = self.compute_arguments(query).await?;
                &computed
            }
        };
        let Some(prepared) = self.prepared.get(name).cloned() else {
            bail!(
                UndefinedStatement,
                "prepared statement \"{name}\" does not exist"
            );
        };
        if prepared.params.len() != args.len() {
            return Err(Error::new(
                ErrorKind::SyntaxError,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!(
                "Expected {} parameters but got {}.",
                prepared.params.len(),
                args.len()
            )));
        }
        let context = helios_types::text::TextContext::default();
        let mut params = Vec::with_capacity(args.len());
        for ((value, ty), wanted) in args.iter().zip(&prepared.params) {
            params.push(if value.is_null() || ty.oid == wanted.oid {
                value.clone()
            } else {
                let text = helios_types::text::to_text(*ty, value, &context);
                helios_types::text::parse_text(*wanted, &text, &context)?
            });
        }
        Box::pin(self.execute_nested(&prepared, &params, sink)).await
    }

    /// The one row of a query, with its types.
    async fn compute_arguments(&mut self, query: &str) -> Result<Vec<(Value, Type)>> {
        let prepared = self.prepare(query, &[])?;
        let mut rows = Rows::default();
        Box::pin(self.execute_nested(&prepared, &[], &mut rows)).await?;
        let row = rows.0.into_iter().next().unwrap_or_default();
        Ok(row
            .into_iter()
            .zip(prepared.output.iter().map(|c| c.ty))
            .collect())
    }

    /// Forgets prepared statements of PREPARE.
    fn deallocate(&mut self, name: Option<&str>) -> Result<Completion> {
        match name {
            Some(name) if self.prepared.remove(name).is_none() => {
                bail!(
                    UndefinedStatement,
                    "prepared statement \"{name}\" does not exist"
                )
            }
            Some(_) => Ok(Completion::utility("DEALLOCATE")),
            None => {
                self.prepared.clear();
                Ok(Completion::utility("DEALLOCATE ALL"))
            }
        }
    }

    async fn run_explain(
        &mut self,
        explain: &Explain,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        if explain.verbose {
            return Err(Error::unsupported("EXPLAIN VERBOSE"));
        }
        // Literals become parameters as when the statement runs, so the plan shown is the one used.
        let (prepared, own) = match self.prepare_simple(&explain.statement)? {
            super::prepare::SimpleQuery::Template { prepared, params } => (prepared, params),
            super::prepare::SimpleQuery::Text(_) => {
                (self.prepare(&explain.statement, &[])?, params.to_vec())
            }
        };
        let format = if explain.json {
            ExplainFormat::Json
        } else {
            ExplainFormat::Text
        };
        let mut text = self.explain(&prepared, format)?;
        if explain.analyze {
            if explain.json {
                return Err(Error::unsupported("EXPLAIN ANALYZE in JSON"));
            }
            let start = std::time::Instant::now();
            let mut rows = Rows::default();
            let done = Box::pin(self.execute_nested(&prepared, &own, &mut rows)).await?;
            let ms = start.elapsed().as_secs_f64() * 1000.0;
            text.push_str(&format!(
                "Rows: {}\nExecution Time: {ms:.3} ms\n",
                done.rows
            ));
        }
        let lines: Vec<&str> = if explain.json {
            vec![&text]
        } else {
            text.lines().collect()
        };
        for line in &lines {
            sink.row(&[helios_types::ValueRef::Text(line)])?;
        }
        Ok(Completion {
            tag: CompletionTag::Utility("EXPLAIN"),
            rows: 0,
        })
    }

    async fn lock_tables(
        &mut self,
        tables: &[ObjectId],
        mode: TableLock,
        nowait: bool,
    ) -> Result<Completion> {
        if !self.in_explicit_transaction() {
            bail!(
                NoActiveTransaction,
                "LOCK TABLE can only be used in transaction blocks"
            );
        }
        self.start_statement()?;
        let wait = if nowait {
            Wait::NoWait
        } else {
            self.lock_wait()
        };
        for id in tables {
            let Some(table) = self.state.catalog.table(*id).cloned() else {
                bail!(WrongObjectType, "only tables can be locked");
            };
            let prefix = Prefix::new(table.database, BranchId::MAIN, table.id);
            let t = self.transaction_mut()?;
            t.txn
                .lock(&LockKey::Object(prefix), table_lock(mode), wait)
                .await?;
        }
        Ok(Completion::utility("LOCK TABLE"))
    }

    fn run_setting(&mut self, utility: &Utility, sink: &mut dyn RowSink) -> Result<Completion> {
        let tag = match utility {
            Utility::Set { name, value, local } => {
                match value {
                    SetValue::Text(text) if name == "transaction_isolation" => {
                        let isolation = Some(parse_isolation(text));
                        self.set_mode(TransactionMode {
                            isolation,
                            read_only: None,
                        })?;
                    }
                    SetValue::Text(text) => drop(self.state.settings.set(name, text, *local)?),
                    SetValue::Default => self.state.settings.reset(name)?,
                    SetValue::Current => {}
                }
                "SET"
            }
            Utility::Show { name } => {
                let text = self.state.settings.show(name)?.to_string();
                sink.row(&[helios_types::ValueRef::Text(&text)])?;
                "SHOW"
            }
            Utility::ShowAll => {
                for setting in crate::settings::SETTINGS {
                    let value = self.state.settings.get(setting.name).unwrap_or_default();
                    let row = [setting.name, value, setting.description];
                    sink.row(&row.map(helios_types::ValueRef::Text))?;
                }
                "SHOW"
            }
            Utility::Reset { name } => {
                match name.as_str() {
                    "role" | "session_authorization" => self.set_role(None)?,
                    name => self.state.settings.reset(name)?,
                }
                "RESET"
            }
            Utility::ResetAll => {
                self.state.settings.reset_all();
                "RESET"
            }
            Utility::Discard(target) => self.discard(*target)?,
            Utility::SetRole { role, local } => {
                if *local {
                    return Err(Error::unsupported("SET LOCAL ROLE"));
                }
                self.set_role(role.as_deref())?;
                "SET"
            }
            Utility::SetSessionAuthorization { role, local } => {
                if *local {
                    return Err(Error::unsupported("SET LOCAL SESSION AUTHORIZATION"));
                }
                self.state.require_superuser("set session authorization")?;
                self.set_role(role.as_deref())?;
                "SET"
            }
            _ => return Err(Error::internal("not a setting")),
        };
        self.settings_made();
        Ok(Completion::utility(tag))
    }

    fn set_role(&mut self, name: Option<&str>) -> Result<()> {
        let catalog = self.catalog();
        let role = match name {
            None => self.state.session_role,
            Some(name) => {
                let Some(role) = catalog.role_named(name) else {
                    bail!(UndefinedObject, "role \"{name}\" does not exist");
                };
                let me = self.state.session_role;
                if !crate::authorize::is_superuser(&catalog, me)
                    && !crate::authorize::is_member(&catalog, me, role.id)
                {
                    bail!(
                        InsufficientPrivilege,
                        "permission denied to set role \"{name}\""
                    );
                }
                role.id
            }
        };
        self.state.role = role;
        if let Some(role) = catalog.roles.get(&role) {
            self.state.role_name = role.name.as_str().into();
            self.state
                .settings
                .force("is_superuser", if role.superuser { "on" } else { "off" });
        }
        Ok(())
    }

    fn discard(&mut self, target: DiscardTarget) -> Result<&'static str> {
        Ok(match target {
            DiscardTarget::All => {
                if self.in_explicit_transaction() {
                    bail!(
                        ActiveTransaction,
                        "DISCARD ALL cannot run inside a transaction block"
                    );
                }
                self.prepared.clear();
                self.cursors.clear();
                self.state.settings.reset_all();
                self.set_role(None)?;
                self.state.sequences.clear();
                self.state.last_sequence = None;
                self.state.locks.unlock_all();
                "DISCARD ALL"
            }
            DiscardTarget::Plans => "DISCARD PLANS",
            DiscardTarget::Sequences => {
                self.state.sequences.clear();
                self.state.last_sequence = None;
                "DISCARD SEQUENCES"
            }
            DiscardTarget::Temporary => "DISCARD TEMP",
        })
    }

    async fn run_ddl(&mut self, utility: &Utility, sink: &mut dyn RowSink) -> Result<Completion> {
        let _ = sink;
        if let Utility::CreateTableAs(spec) = utility {
            return self.create_table_as(spec).await;
        }
        let mut ddl = self.ddl().await?;
        let tag = match utility {
            Utility::CreateDatabase { name, owner } => {
                ddl.create_database(name, *owner)?;
                "CREATE DATABASE"
            }
            Utility::DropDatabase { name, if_exists } => {
                ddl.drop_database(name, *if_exists).await?;
                "DROP DATABASE"
            }
            Utility::AlterDatabase { database, change } => {
                ddl.alter_database(*database, change)?;
                "ALTER DATABASE"
            }
            Utility::CreateSchema {
                name,
                if_not_exists,
                owner,
                elements,
            } => {
                if !elements.is_empty() {
                    return Err(Error::unsupported("CREATE SCHEMA with elements"));
                }
                ddl.create_schema(name, *if_not_exists, *owner)?;
                "CREATE SCHEMA"
            }
            Utility::AlterSchema { schema, change } => {
                ddl.alter_schema(*schema, change)?;
                "ALTER SCHEMA"
            }
            Utility::CreateRole(options) => {
                ddl.create_role(options)?;
                "CREATE ROLE"
            }
            Utility::AlterRole(options) => {
                ddl.alter_role(options)?;
                "ALTER ROLE"
            }
            Utility::RenameRole { role, name } => {
                ddl.rename_role(*role, name)?;
                "ALTER ROLE"
            }
            Utility::DropRole { names, if_exists } => {
                ddl.drop_roles(names, *if_exists)?;
                "DROP ROLE"
            }
            Utility::GrantRole {
                roles,
                members,
                grant,
            } => {
                ddl.grant_role(roles, members, *grant)?;
                if *grant { "GRANT ROLE" } else { "REVOKE ROLE" }
            }
            Utility::Grant(spec) => {
                ddl.grant(spec)?;
                if spec.grant { "GRANT" } else { "REVOKE" }
            }
            Utility::CreateTable(spec) => {
                ddl.create_table(spec).await?;
                "CREATE TABLE"
            }
            Utility::AlterTable { table, changes } => {
                ddl.alter_table(*table, changes).await?;
                "ALTER TABLE"
            }
            Utility::CreateIndex(spec) => {
                ddl.create_index(spec).await?;
                "CREATE INDEX"
            }
            Utility::CreateView(spec) => {
                ddl.create_view(spec)?;
                "CREATE VIEW"
            }
            Utility::CreateSequence(spec) => {
                ddl.create_sequence(spec)?;
                "CREATE SEQUENCE"
            }
            Utility::AlterSequence { sequence, options } => {
                ddl.alter_sequence(*sequence, options)?;
                "ALTER SEQUENCE"
            }
            Utility::AlterRelation { relation, change } => {
                let tag = match ddl.catalog.relations.get(relation) {
                    Some(Relation::View(_)) => "ALTER VIEW",
                    Some(Relation::Sequence(_)) => "ALTER SEQUENCE",
                    Some(Relation::Index { .. }) => "ALTER INDEX",
                    _ => "ALTER TABLE",
                };
                ddl.alter_relation(*relation, change).await?;
                tag
            }
            Utility::Drop(spec) => {
                ddl.drop_objects(spec).await?;
                match spec.kind {
                    ObjectKind::Table => "DROP TABLE",
                    ObjectKind::View => "DROP VIEW",
                    ObjectKind::Sequence => "DROP SEQUENCE",
                    ObjectKind::Index => "DROP INDEX",
                    ObjectKind::Schema => "DROP SCHEMA",
                }
            }
            Utility::Truncate {
                tables,
                restart_identity,
                cascade,
            } => {
                ddl.truncate(tables, *restart_identity, *cascade).await?;
                "TRUNCATE TABLE"
            }
            Utility::Comment { target, text } => {
                ddl.comment(target, text.as_deref()).await?;
                "COMMENT"
            }
            _ => return Err(Error::internal("a utility statement that nobody runs")),
        };
        ddl.finish()?;
        Ok(Completion::utility(tag))
    }

    async fn create_table_as(
        &mut self,
        spec: &helios_planner::utility::CreateTableAs,
    ) -> Result<Completion> {
        let mut ddl = self.ddl().await?;
        let Some(table) = ddl.create_table_as(spec).await? else {
            return Ok(Completion::utility("CREATE TABLE AS"));
        };
        ddl.finish()?;
        if !spec.with_data {
            return Ok(Completion::utility("CREATE TABLE AS"));
        }
        let catalog = self.catalog();
        let Some(table) = catalog.table(table).cloned() else {
            return Err(Error::internal("the new table is not there"));
        };
        let prepared = self.prepare(&spec.query, &[])?;
        let mut rows = Rows::default();
        Box::pin(self.execute_nested(&prepared, &[], &mut rows)).await?;
        let rt = self.engine.runtimes.get(&table, &catalog)?;
        let n = rows.0.len() as u64;
        self.state.catalog = catalog;
        self.with_writer(async |writer| {
            for row in rows.0 {
                let values = row.into_iter().map(Some).collect();
                writer
                    .insert(&rt, values, None, crate::kernel::write::Arbiters::None)
                    .await?;
            }
            Ok(())
        })
        .await?;
        Ok(Completion {
            tag: CompletionTag::Command(helios_planner::template::Command::Select),
            rows: n,
        })
    }

    /// Runs a statement as part of the one that is running.
    pub(crate) async fn execute_nested(
        &mut self,
        prepared: &Arc<crate::Prepared>,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        let was_implicit = self.implicit_flag();
        let own = !self.shares_transaction();
        self.set_implicit_flag(true);
        let result = Box::pin(self.execute(prepared, params, sink)).await;
        self.set_implicit_flag(was_implicit);
        if own {
            match &result {
                Ok(_) => self.finish_statement().await?,
                // It has failed as a part of a transaction, which here it was alone in.
                Err(_) => self.abort(),
            }
        }
        result
    }
}

fn table_lock(mode: TableLock) -> LockMode {
    match mode {
        TableLock::AccessShare => LockMode::AccessShare,
        TableLock::RowShare => LockMode::RowShare,
        TableLock::RowExclusive => LockMode::RowExclusive,
        TableLock::ShareUpdateExclusive => LockMode::ShareUpdateExclusive,
        TableLock::Share => LockMode::Share,
        TableLock::ShareRowExclusive => LockMode::ShareRowExclusive,
        TableLock::Exclusive => LockMode::Exclusive,
        TableLock::AccessExclusive => LockMode::AccessExclusive,
    }
}
