//! Running prepared statements.

use super::Session;
use crate::apply::{ExecOptions, Execution};
use crate::kernel::reader::ViewReader;
use crate::kv::{KvPlan, Source};
use crate::prepared::{Body, Completion, CompletionTag, Prepared};
use helios_planner::scalar::ValueEnv;
use helios_planner::template::{Command, Executor, PlanTemplate};
use helios_storage::{LockKey, LockMode, Prefix};
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
        self.shared
            .statement_starts(&prepared.text, self.shares_transaction());
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
                Box::pin(self.run_utility(&utility, params, sink)).await
            }
            Body::Plan(_) => {
                let prepared = self.current(prepared)?;
                let Body::Plan(template) = &prepared.body else {
                    return Err(Error::internal("a plan became something else"));
                };
                self.authorize(template)?;
                let rows = match self.point_read(&prepared, template, params, sink)? {
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

    /// A look-up of one row outside a transaction: no snapshot, no transaction, no wait.
    fn point_read(
        &mut self,
        prepared: &Prepared,
        template: &PlanTemplate,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<Option<u64>> {
        if self.transaction.is_some() || !matches!(template.executor, Executor::Kv(_)) {
            return Ok(None);
        }
        let isolation = self.state.settings.get("default_transaction_isolation");
        let plan = self.kv_plan(prepared, template)?;
        if !plan.is_point_read() || isolation != Some("read committed") {
            return Ok(None);
        }
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
        if template.writes {
            if template.command != Command::Select {
                self.require_read_write(command_name(template.command))?;
            }
            for need in template
                .privileges
                .iter()
                .filter(|p| matches!(p.privilege, 'a' | 'w' | 'd'))
            {
                if let Some(table) = self.state.catalog.table(need.relation).cloned() {
                    self.lock_for_write(&table).await?;
                }
            }
            // Whoever held a table's lock may have changed what the plan was made for.
            self.state.catalog = self.catalog();
            if self.state.catalog.version != template.catalog_version && !prepared.text.is_empty() {
                let fresh = self.current(prepared)?;
                if let Body::Plan(template) = &fresh.body {
                    let template = template.clone();
                    let rows = self.run_template(&fresh, &template, params, sink).await?;
                    self.finish_statement().await?;
                    return Ok(rows);
                }
            }
        }
        let rows = match self.timeout() {
            None => self.run_template(prepared, template, params, sink).await?,
            Some(limit) => {
                let flag = self.shared.cancel_flag().clone();
                let timer = tokio::spawn(async move {
                    tokio::time::sleep(limit).await;
                    flag.time_out();
                });
                let result = self.run_template(prepared, template, params, sink).await;
                timer.abort();
                result?
            }
        };
        self.finish_statement().await?;
        Ok(rows)
    }

    /// Keeps DDL off a table that is about to be written to.
    pub(crate) async fn lock_for_write(
        &mut self,
        table: &helios_planner::catalog::Table,
    ) -> Result<()> {
        let wait = self.lock_wait();
        let prefix = Prefix::new(table.database, BranchId::MAIN, table.id);
        let t = self.transaction_mut()?;
        t.txn
            .lock(&LockKey::Object(prefix), LockMode::RowExclusive, wait)
            .await?;
        Ok(())
    }

    fn timeout(&self) -> Option<std::time::Duration> {
        self.state
            .settings
            .milliseconds("statement_timeout")
            .map(std::time::Duration::from_millis)
    }

    async fn run_template(
        &mut self,
        prepared: &Arc<Prepared>,
        template: &Arc<PlanTemplate>,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<u64> {
        let shared = self.shared.clone();
        tokio::select! {
            biased;
            result = self.run_executor(prepared, template, params, sink) => result,
            // Only a wait for a lock gives this branch its turn.
            error = shared.cancelled() => Err(error),
        }
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
                let now_ms = (self.state.statement_time_us / 1000) as u64;
                let mut env = ValueEnv {
                    params,
                    functions: &mut self.state,
                };
                plan.read(
                    &Source::View(&view),
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
            Executor::Apply | Executor::Vector => {
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
        if matches!(template.executor, Executor::Vector) {
            return crate::vector::start(template, options, &mut self.state)
                .map(super::cursor::RowSource::Vector);
        }
        let program = prepared.program(|| {
            crate::apply::compile(&template.plan, &crate::apply::CompileOptions::default())
        })?;
        Execution::start(&program, options, &mut self.state).map(super::cursor::RowSource::Apply)
    }

    fn pipeline(
        &self,
        prepared: &Prepared,
        template: &PlanTemplate,
    ) -> Result<Arc<crate::modify::Pipeline>> {
        prepared.pipeline(|| {
            crate::modify::Pipeline::compile(
                &template.plan,
                &self.catalog(),
                &self.engine.runtimes,
                &crate::apply::CompileOptions::default(),
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
            now_ms: (self.state.statement_time_us / 1000) as u64,
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

fn command_name(command: Command) -> &'static str {
    match command {
        Command::Select => "SELECT",
        Command::Insert => "INSERT",
        Command::Update => "UPDATE",
        Command::Delete => "DELETE",
        Command::Merge => "MERGE",
    }
}
