//! Running prepared statements.

use super::Session;
use crate::apply::{CompileOptions, ExecOptions, Execution};
use crate::kernel::reader::ViewReader;
use crate::kv::{KvPlan, Source};
use crate::prepared::{Body, Completion, CompletionTag, Prepared};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Extension, LogicalPlan};
use helios_planner::catalog::{ReferentialAction, Shape, Table};
use helios_planner::node::ModifyTable;
use helios_planner::relation::RelationSource;
use helios_planner::scalar::ValueEnv;
use helios_planner::template::{Command, Executor, PlanTemplate};
use helios_storage::{Isolation, LockKey, LockMode, Prefix};
use helios_types::value::RowSink;
use helios_types::{BranchId, Error, Result, Value, ValueRef};
use std::sync::Arc;

impl Session {
    /// Runs a statement to its end; rows go to `sink` as they come.
    ///
    /// Outside a transaction the statement is its own. After an error the transaction, if one is
    /// open, is failed.
    pub async fn execute(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        self.statement_starts(prepared);
        let started = std::time::Instant::now();
        let result = self.execute_inner(prepared, params, sink).await;
        self.engine
            .metrics
            .observe(started.elapsed(), result.is_ok());
        if result.is_err() {
            self.statement_failed();
        }
        let failed = self.transaction_status() == super::TransactionStatus::Failed;
        self.shared
            .statement_ends(self.shares_transaction(), failed);
        result
    }

    async fn execute_inner(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        match &prepared.body {
            Body::Empty => Ok(Completion {
                tag: CompletionTag::Empty,
                rows: 0,
            }),
            Body::Utility(utility) => {
                let utility = utility.clone();
                Box::pin(self.run_utility(prepared, &utility, params, sink)).await
            }
            Body::Plan(_) => {
                let prepared = self.current(prepared)?;
                let Body::Plan(template) = &prepared.body else {
                    return Err(Error::internal("a plan became something else"));
                };
                self.authorize(template)?;
                let read = match self.point_read(&prepared, template, params, sink) {
                    // The table was changed under the read, which holds no lock.
                    Err(_) if template.catalog_version != self.catalog().version => None,
                    read => read?,
                };
                let rows = match read {
                    Some(rows) => rows,
                    None => {
                        self.run_in_transaction(&prepared, template, params, sink)
                            .await?
                    }
                };
                Ok(Completion {
                    tag: CompletionTag::Command(template.command),
                    rows,
                })
            }
        }
    }

    /// Shows others what the session does. Of a simple query they see the client's own text, not
    /// the one whose literals are masked.
    pub(super) fn statement_starts(&self, prepared: &Prepared) {
        let shown = self.masked.as_ref();
        let shown = shown.is_some_and(|text| Arc::ptr_eq(text, &prepared.text));
        let text = (!shown).then_some(&*prepared.text);
        self.shared
            .statement_starts(text, self.shares_transaction());
    }

    /// For a front-end that describes the rows of a statement before it runs it: takes the
    /// statement's locks, and gives it bound anew if its tables were changed while it waited.
    pub async fn settle(&mut self, prepared: &Arc<Prepared>) -> Result<Arc<Prepared>> {
        let Some(template) = prepared.template() else {
            return Ok(prepared.clone());
        };
        let fresh = template.catalog_version == self.catalog().version;
        if template.output.is_empty() || fresh && self.reads_a_point(prepared, template)? {
            return Ok(prepared.clone());
        }
        self.statement_starts(prepared);
        let locked = self.settle_inner(prepared, template).await;
        if locked.is_err() {
            self.statement_failed();
        }
        let failed = self.transaction_status() == super::TransactionStatus::Failed;
        self.shared
            .statement_ends(self.shares_transaction(), failed);
        Ok(locked?.unwrap_or_else(|| prepared.clone()))
    }

    async fn settle_inner(
        &mut self,
        prepared: &Arc<Prepared>,
        template: &PlanTemplate,
    ) -> Result<Option<Arc<Prepared>>> {
        self.authorize(template)?;
        self.start_statement()?;
        self.interruptible(async |session| session.lock_relations(prepared, Columns::NotTold).await)
            .await
    }

    /// Whether the statement looks up one row outside of a transaction.
    fn reads_a_point(&self, prepared: &Prepared, template: &PlanTemplate) -> Result<bool> {
        if self.transaction.is_some() || !matches!(template.executor, Executor::Kv(_)) {
            return Ok(false);
        }
        let isolation = self.state.settings.every_statement().isolation;
        Ok(isolation == Isolation::ReadCommitted
            && self.kv_plan(prepared, template)?.is_point_read())
    }

    /// A look-up of one row outside a transaction: no snapshot, no transaction, no wait.
    fn point_read(
        &mut self,
        prepared: &Prepared,
        template: &PlanTemplate,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Option<u64>> {
        if !self.reads_a_point(prepared, template)? {
            return Ok(None);
        }
        let plan = self.kv_plan(prepared, template)?;
        let now = super::now_us();
        self.state.transaction_time_us = now;
        self.state.statement_time_us = now;
        let engine = self.engine.clone();
        let mut env = ValueEnv {
            params,
            functions: &mut self.state,
        };
        let source = Source::Latest(&engine.store);
        let now_ms = (now / 1000) as u64;
        plan.read(&source, &mut env, now_ms, &mut self.key_buffer, sink)
            .map(Some)
    }

    pub(crate) fn kv_plan(
        &self,
        prepared: &Prepared,
        template: &PlanTemplate,
    ) -> Result<Arc<KvPlan>> {
        prepared.kv_plan(|| match &template.executor {
            Executor::Kv(program) => {
                KvPlan::compile(program, &self.catalog(), &self.engine.runtimes)
            }
            _ => Err(Error::internal("not a key-value plan")),
        })
    }

    async fn run_in_transaction(
        &mut self,
        prepared: &Arc<Prepared>,
        template: &Arc<PlanTemplate>,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<u64> {
        self.start_statement()?;
        if template.writes && template.command != Command::Select {
            self.require_read_write(command_name(template.command))?;
        }
        let rows = self
            .interruptible(async |session| {
                let fresh = session.lock_relations(prepared, Columns::Told).await?;
                let (prepared, template) = match &fresh {
                    Some(fresh) => (fresh, plan_of(fresh)?),
                    None => (prepared, template),
                };
                session.run_executor(prepared, template, params, sink).await
            })
            .await?;
        self.finish_statement().await?;
        Ok(rows)
    }

    /// Keeps DDL off the tables of a statement until its transaction ends, and gives the statement
    /// bound anew when DDL came before the locks.
    ///
    /// Reads take a lock too: what a transaction has read is not truncated or dropped under it.
    pub(super) async fn lock_relations(
        &mut self,
        prepared: &Arc<Prepared>,
        columns: Columns,
    ) -> Result<Option<Arc<Prepared>>> {
        let mut fresh: Option<Arc<Prepared>> = None;
        loop {
            let current = fresh.as_ref().unwrap_or(prepared).clone();
            let template = plan_of(&current)?;
            for need in &template.privileges {
                let Some(table) = self.state.catalog.table(need.relation).cloned() else {
                    continue;
                };
                match relation_lock(need.privilege, template.command) {
                    LockMode::RowExclusive => self.lock_for_write(&table).await?,
                    mode => self.lock_relation(&table, mode).await?,
                }
            }
            self.state.catalog = self.catalog();
            self.require_rows_of_snapshot(template)?;
            if self.state.catalog.version == template.catalog_version {
                return Ok(fresh);
            }
            if prepared.text.is_empty() {
                self.require_same_tables(template)?;
                return Ok(fresh);
            }
            fresh = Some(match columns {
                Columns::Told => self.current(&current)?,
                Columns::NotTold => self.rebound(&current)?,
            });
        }
    }

    /// Refuses to read a table whose rows were written anew after the transaction's snapshot: it
    /// would be empty.
    fn require_rows_of_snapshot(&self, template: &PlanTemplate) -> Result<()> {
        let catalog = &self.state.catalog;
        let kept = self.transaction.as_ref().and_then(|t| t.kept_snapshot());
        let Some(snapshot) = kept.filter(|ts| !catalog.is_whole_at(*ts)) else {
            return Ok(());
        };
        let mut tables = template.privileges.iter();
        let lost = tables.any(|need| {
            let table = catalog.table(need.relation);
            table.is_some_and(|table| catalog.is_rewritten_after(table, snapshot))
        });
        if lost { Err(changed_table()) } else { Ok(()) }
    }

    async fn lock_relation(&mut self, table: &Table, mode: LockMode) -> Result<()> {
        let wait = self.lock_wait();
        let prefix = Prefix::new(table.database, BranchId::MAIN, table.id);
        let t = self.transaction_mut()?;
        t.txn.lock(&LockKey::Object(prefix), mode, wait).await?;
        Ok(())
    }

    /// Keeps DDL off a table that is about to be written to, and off those that its foreign keys
    /// make the statement look at or change.
    pub(crate) async fn lock_for_write(&mut self, table: &Arc<Table>) -> Result<()> {
        self.lock_relation(table, LockMode::RowExclusive).await?;
        let catalog = self.state.catalog.clone();
        let rt = self.engine.runtimes.get(table, &catalog)?;
        if table.foreign_keys.is_empty() && rt.referencing.is_empty() {
            return Ok(());
        }
        let mut seen = vec![table.id];
        let mut changed = vec![table.clone()];
        while let Some(table) = changed.pop() {
            for key in &table.foreign_keys {
                if let Some(parent) = catalog.table(key.referenced) {
                    self.lock_relation(parent, LockMode::RowShare).await?;
                }
            }
            let rt = self.engine.runtimes.get(&table, &catalog)?;
            for (child, key) in &rt.referencing {
                let Some(child) = catalog.table(*child) else {
                    continue;
                };
                let checks_only = |action| {
                    matches!(
                        action,
                        ReferentialAction::NoAction | ReferentialAction::Restrict
                    )
                };
                if checks_only(key.on_delete) && checks_only(key.on_update) {
                    self.lock_relation(child, LockMode::RowShare).await?;
                } else {
                    self.lock_relation(child, LockMode::RowExclusive).await?;
                    if !seen.contains(&child.id) {
                        seen.push(child.id);
                        changed.push(child.clone());
                    }
                }
            }
        }
        Ok(())
    }

    /// A plan that a front-end built cannot be bound again here: it must be of the tables as they
    /// are.
    fn require_same_tables(&self, template: &PlanTemplate) -> Result<()> {
        let catalog = &self.state.catalog;
        let same = |table: &Arc<Table>| {
            catalog
                .table(table.id)
                .is_some_and(|now| Arc::ptr_eq(now, table))
        };
        if tables_of(template).iter().all(same) {
            return Ok(());
        }
        Err(changed_table())
    }

    /// Runs a part of a statement to its end, or until the session is cancelled or the statement's
    /// time is over.
    pub(super) async fn interruptible<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.state.pace.restart();
        let shared = self.shared.clone();
        let limit = self.state.settings.every_statement().statement_timeout;
        let timer = limit.map(|limit| {
            let shared = shared.clone();
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(limit)).await;
                shared.time_out();
            })
        });
        let result = tokio::select! {
            biased;
            result = work(self) => result,
            // Only a wait for a lock gives this branch its turn.
            error = shared.cancelled() => Err(error),
        };
        if let Some(timer) = timer {
            timer.abort();
        }
        result
    }

    async fn run_executor(
        &mut self,
        prepared: &Arc<Prepared>,
        template: &Arc<PlanTemplate>,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<u64> {
        match &template.executor {
            Executor::Kv(_) => {
                let plan = self.kv_plan(prepared, template)?;
                if template.writes {
                    return self
                        .with_writer(async |writer| {
                            let rows = plan.write(writer, params, sink).await?;
                            writer.run_checks().await?;
                            Ok(rows)
                        })
                        .await;
                }
                let view = self.transaction_mut()?.txn.view();
                let engine = self.engine.clone();
                let now_ms = (self.state.statement_time_us / 1000) as u64;
                let mut env = ValueEnv {
                    params,
                    functions: &mut self.state,
                };
                plan.read(
                    &Source::View(&view, &engine.store),
                    &mut env,
                    now_ms,
                    &mut self.key_buffer,
                    sink,
                )
            }
            Executor::Apply if crate::modify::has_steps(&template.plan) => {
                let pipeline = self.pipeline(prepared, template)?;
                self.run_pipeline(&pipeline, params, sink).await
            }
            Executor::Apply | Executor::Vector(_) => {
                let mut cursor = self.open_rows(prepared, template, params)?;
                let mut n = 0;
                while let Some(row) = cursor.next(&mut self.state).await? {
                    n += 1;
                    let values: Vec<ValueRef<'_>> = row.iter().map(Value::as_ref).collect();
                    sink.row(&values)?;
                    if n % 1024 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Ok(n)
            }
        }
    }

    /// Starts a plan that neither writes nor locks.
    pub(crate) fn open_rows(
        &mut self,
        prepared: &Prepared,
        template: &Arc<PlanTemplate>,
        params: &[Value],
    ) -> Result<super::cursor::RowSource> {
        let params: Arc<[Value]> = Arc::from(params);
        let reader = Arc::new(self.view_reader()?);
        let options = self.exec_options(reader, params);
        if let Executor::Vector(vector) = &template.executor {
            if let Some(rows) = crate::vector::start(vector, &options, &mut self.state)? {
                return Ok(super::cursor::RowSource::Vector(rows));
            }
            if &*self.state.executor_text == "vector" {
                helios_types::bail!(
                    Unsupported,
                    "the vectorised executor cannot run this statement: these parameters"
                );
            }
        }
        let store = &self.engine.store;
        let row_count = |table: &Table| Some(crate::table_size::rows(store, table));
        let row_count = &row_count;
        let program = prepared
            .program(|| crate::apply::compile(&template.plan, &CompileOptions { row_count }))?;
        Execution::start(&program, options, &mut self.state).map(super::cursor::RowSource::Apply)
    }

    fn pipeline(
        &self,
        prepared: &Prepared,
        template: &PlanTemplate,
    ) -> Result<Arc<crate::modify::Pipeline>> {
        let store = &self.engine.store;
        let row_count = |table: &Table| Some(crate::table_size::rows(store, table));
        let row_count = &row_count;
        prepared.pipeline(|| {
            crate::modify::Pipeline::compile(
                &template.plan,
                &self.catalog(),
                &self.engine.runtimes,
                &CompileOptions { row_count },
            )
        })
    }

    /// Tables at the running statement's snapshot.
    pub(crate) fn view_reader(&mut self) -> Result<ViewReader> {
        let view = self.transaction_mut()?.txn.view();
        Ok(ViewReader {
            engine: self.engine.clone(),
            catalog: self.state.catalog.clone(),
            view,
            now_ms: self.read_time_ms(),
        })
    }

    pub(crate) fn exec_options(
        &self,
        reader: Arc<ViewReader>,
        params: Arc<[Value]>,
    ) -> ExecOptions {
        ExecOptions {
            virtual_tables: Arc::new(crate::virtual_tables::Tables::new(reader.clone())),
            reader,
            params,
            catalog: self.state.catalog.clone(),
            cancel: self.shared.cancel_flag().clone(),
            memory_limit: self.engine.options.statement_memory_bytes,
        }
    }

    /// Runs a utility statement that a front-end made itself, such as an index over the paths of
    /// a document table, which SQL has no words for.
    pub async fn utility(
        &mut self,
        utility: helios_planner::utility::Utility,
    ) -> Result<Completion> {
        let body = Body::Utility(Arc::new(utility));
        let prepared = Arc::new(Prepared::new(Arc::from(""), Vec::new(), Vec::new(), body));
        self.execute(&prepared, &[], &mut helios_types::value::Rows::default())
            .await
    }

    /// Runs one statement of SQL text to its end; for internal statements and simple clients.
    pub async fn run(
        &mut self,
        sql: &str,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        let prepared = self.prepare(sql, &[])?;
        self.execute(&prepared, params, sink).await
    }
}

/// Whether a client knows already which columns a statement gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    Told,
    NotTold,
}

pub(super) fn plan_of(prepared: &Prepared) -> Result<&Arc<PlanTemplate>> {
    match &prepared.body {
        Body::Plan(template) => Ok(template),
        _ => Err(Error::internal("a plan became something else")),
    }
}

fn changed_table() -> Error {
    helios_types::error!(
        SerializationFailure,
        "could not serialize access due to a concurrent change of the table's definition"
    )
}

/// PostgreSQL's lock on a relation for what a statement does with it.
fn relation_lock(privilege: char, command: Command) -> LockMode {
    match (privilege, command) {
        // FOR UPDATE and the like.
        ('w', Command::Select) => LockMode::RowShare,
        ('a' | 'w' | 'd', _) => LockMode::RowExclusive,
        _ => LockMode::AccessShare,
    }
}

/// The tables that a plan reads or writes, as they were when it was made.
fn tables_of(template: &PlanTemplate) -> Vec<Arc<Table>> {
    let mut tables: Vec<Arc<Table>> = Vec::new();
    let _ = template.plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => tables.extend(
                scan.source
                    .downcast_ref::<RelationSource>()
                    .and_then(RelationSource::as_table)
                    .cloned(),
            ),
            LogicalPlan::Extension(Extension { node }) => tables.extend(
                node.as_any()
                    .downcast_ref::<ModifyTable>()
                    .map(|modify| modify.table.clone()),
            ),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    // The tables of keys are always the same.
    tables.retain(|table| table.shape != Shape::Keyspace);
    tables
}

fn command_name(command: Command) -> &'static str {
    match command {
        Command::Select => "SELECT",
        Command::Insert => "INSERT",
        Command::Update => "UPDATE",
        Command::Delete => "DELETE",
        Command::Merge => "MERGE",
    }
}
