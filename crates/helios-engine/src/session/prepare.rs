//! Statements made ready: text to template, through the shared cache.

use super::Session;
use crate::explain::ExplainFormat;
use crate::prepared::{Body, Prepared};
use crate::template_cache::Key;
use helios_planner::lower::LowerOptions;
use helios_planner::sql::{BindContext, Bound, BoundPlan, Statement};
use helios_planner::template::PlanTemplate;
use helios_types::{Error, Result, Type, Value, bail};
use std::sync::Arc;

impl Session {
    /// The statements of a query string, in order.
    pub fn parse(&mut self, sql: &str) -> Result<Vec<Statement>> {
        helios_planner::sql::parse(sql)
    }

    /// One statement with `$n` parameters; `params` are the types that the client declared.
    pub fn prepare(&mut self, sql: &str, params: &[Option<Type>]) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.known(sql, params) {
            return Ok(prepared);
        }
        let mut statements = helios_planner::sql::parse(sql)?;
        let prepared = match (statements.pop(), statements.is_empty()) {
            (None, _) => empty(sql),
            (Some(statement), true) => self.bind(sql, &statement, params)?,
            (Some(_), false) => {
                bail!(
                    SyntaxError,
                    "cannot insert multiple commands into a prepared statement"
                )
            }
        };
        Ok(self.remember(sql, params, prepared))
    }

    /// A statement of a simple query. Its literals become parameters where that does not change
    /// its meaning, so that the next one of the same form finds the template.
    pub fn prepare_simple(&mut self, sql: &str) -> Result<SimpleQuery> {
        if let Some(normalised) = helios_planner::sql::normalise(sql)? {
            // A string literal takes the type that its place gives it.
            let types: Vec<Option<Type>> = normalised
                .literals
                .iter()
                .map(|(_, ty)| (ty.oid != Type::UNKNOWN.oid).then_some(*ty))
                .collect();
            let prepared = match self.known(&normalised.text, &types) {
                Some(prepared) => Some(prepared),
                None => self
                    .bind_normalised(&normalised.text, &types)
                    .map(|prepared| self.remember(&normalised.text, &types, prepared)),
            };
            // A literal that its type does not take is reported with its position, by the text.
            if let Some(prepared) = prepared
                && let Ok(params) = self.literal_values(&prepared, normalised.literals)
            {
                self.shared.show_statement(sql);
                self.masked = Some(prepared.text.clone());
                return Ok(SimpleQuery::Template { prepared, params });
            }
        }
        Ok(SimpleQuery::Text(self.parse(sql)?))
    }

    /// The masked statement as a plan, if it binds and keeps the types of its literals.
    fn bind_normalised(&mut self, text: &str, types: &[Option<Type>]) -> Option<Prepared> {
        let statements = helios_planner::sql::parse(text).ok()?;
        let [statement] = statements.as_slice() else {
            return None;
        };
        let prepared = self.bind(text, statement, types).ok()?;
        let kept = prepared.params.len() == types.len()
            && prepared
                .params
                .iter()
                .zip(types)
                .all(|(a, b)| b.is_none_or(|b| b == *a));
        (prepared.template().is_some() && kept).then_some(prepared)
    }

    fn literal_values(
        &self,
        prepared: &Prepared,
        literals: Vec<(Value, Type)>,
    ) -> Result<Vec<Value>> {
        let context = self.state.text_context();
        literals
            .into_iter()
            .zip(&prepared.params)
            .map(|((value, ty), wanted)| match &value {
                Value::Text(text) if ty.oid == Type::UNKNOWN.oid => {
                    helios_types::text::parse_text(*wanted, text, &context)
                }
                _ => Ok(value),
            })
            .collect()
    }

    /// One of the statements that [`Session::parse`] gave, bound in the catalog of this moment.
    pub fn prepare_statement(&mut self, statement: &Statement) -> Result<Arc<Prepared>> {
        self.bind(statement.text(), statement, &[]).map(Arc::new)
    }

    /// A plan that a front-end built itself, found again by `name` (which must say everything the
    /// plan depends on beyond the catalog).
    pub fn template(
        &mut self,
        name: &str,
        build: impl FnOnce(&BindContext<'_>) -> Result<BoundPlan>,
    ) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.known(name, &[]) {
            return Ok(prepared);
        }
        let search_path = self.state.search_path();
        let context = self.bind_context(&search_path, &[]);
        let version = context.catalog.version;
        let plan = build(&context)?;
        let prepared = self.lower("", plan, version)?;
        Ok(self.remember(name, &[], prepared))
    }

    /// The plan as text; the same for every protocol that asks.
    pub fn explain(&self, prepared: &Prepared, format: ExplainFormat) -> Result<String> {
        match prepared.template() {
            Some(template) => {
                self.authorize(template)?;
                let store = &self.engine.store;
                crate::explain::explain(template, format, &|table| {
                    let rows = store.row_count(crate::table_size::stored(table, table.storage));
                    rows.unsigned_abs()
                })
            }
            None => Err(Error::unsupported("EXPLAIN of a statement without a plan")),
        }
    }

    /// The same statement bound again if the catalog has changed since it was prepared. Its columns
    /// must be the same, because the client may know them already.
    pub(crate) fn current(&mut self, prepared: &Arc<Prepared>) -> Result<Arc<Prepared>> {
        let fresh = self.rebound(prepared)?;
        let same = fresh.output.len() == prepared.output.len()
            && fresh
                .output
                .iter()
                .zip(&prepared.output)
                .all(|(a, b)| a.ty.oid == b.ty.oid);
        if !same {
            bail!(Unsupported, "cached plan must not change result type");
        }
        Ok(fresh)
    }

    /// The same statement bound again if the catalog has changed since it was prepared.
    pub(super) fn rebound(&mut self, prepared: &Arc<Prepared>) -> Result<Arc<Prepared>> {
        let Some(template) = prepared.template() else {
            return Ok(prepared.clone());
        };
        if template.catalog_version == self.catalog().version || prepared.text.is_empty() {
            return Ok(prepared.clone());
        }
        let params: Vec<Option<Type>> = prepared.params.iter().map(|ty| Some(*ty)).collect();
        let text = prepared.text.clone();
        self.prepare(&text, &params)
    }

    /// The template that was made for a text before.
    fn known(&self, text: &str, params: &[Option<Type>]) -> Option<Arc<Prepared>> {
        let version = self.catalog_version();
        self.engine
            .templates
            .get(&self.cache_key(text, params, version)?)
    }

    /// Keeps what was made of a text for the next one that asks, under the catalog that it was
    /// bound in.
    fn remember(&self, text: &str, params: &[Option<Type>], prepared: Prepared) -> Arc<Prepared> {
        let prepared = Arc::new(prepared);
        if let Some(template) = prepared.template()
            && let Some(key) = self.cache_key(text, params, template.catalog_version)
        {
            self.engine.templates.put(key, prepared.clone());
        }
        prepared
    }

    /// `None` while the transaction has a catalog of its own, which nobody else may see.
    fn cache_key<'a>(
        &'a self,
        text: &'a str,
        params: &'a [Option<Type>],
        catalog_version: u64,
    ) -> Option<Key<'a>> {
        if self
            .transaction
            .as_ref()
            .is_some_and(|t| t.catalog.is_some())
        {
            return None;
        }
        Some(Key {
            text,
            params,
            database: self.state.database,
            role: self.state.role,
            search_path: &self.state.search_path_text,
            executor: &self.state.executor_text,
            catalog_version,
        })
    }

    fn bind_context<'a>(
        &self,
        search_path: &'a [String],
        params: &'a [Option<Type>],
    ) -> BindContext<'a> {
        let mut context = BindContext::new(
            self.catalog(),
            self.state.database,
            search_path,
            self.state.role,
        );
        context.param_types = params;
        context
    }

    fn bind(
        &mut self,
        sql: &str,
        statement: &Statement,
        params: &[Option<Type>],
    ) -> Result<Prepared> {
        let search_path = self.state.search_path();
        let context = self.bind_context(&search_path, params);
        // Of the catalog that it is bound in, which need not be the newest any more.
        let version = context.catalog.version;
        match helios_planner::sql::bind(statement, &context)? {
            Bound::Plan(plan) => self.lower(sql, plan, version),
            Bound::Utility(utility) => {
                let output = super::utility::output(&utility, self);
                Ok(Prepared::new(
                    Arc::from(sql),
                    Vec::new(),
                    output,
                    Body::Utility(Arc::new(utility)),
                )
                .bound_under(version))
            }
        }
    }

    fn lower(&self, sql: &str, plan: BoundPlan, catalog_version: u64) -> Result<Prepared> {
        let force = match &*self.state.executor_text {
            "auto" => None,
            name => Some(name),
        };
        let store = &self.engine.store;
        let options = LowerOptions {
            force,
            row_count: &|table: &helios_planner::catalog::Table| {
                let prefix = helios_storage::Prefix::new(
                    table.database,
                    helios_types::BranchId::MAIN,
                    table.storage,
                );
                store.row_count(prefix).max(0) as u64
            },
        };
        let optimised = helios_planner::optimise::optimise(plan.plan)?;
        let executor = helios_planner::lower::executor(&optimised, &options)?;
        let template = PlanTemplate {
            plan: optimised,
            params: plan.params,
            output: plan.output,
            command: plan.command,
            catalog_version,
            executor,
            writes: plan.writes,
            privileges: plan.privileges,
        };
        Ok(Prepared::plan(Arc::from(sql), template))
    }
}

/// A simple query made ready.
#[derive(Debug)]
pub enum SimpleQuery {
    /// One statement whose template was found or made.
    Template {
        prepared: Arc<Prepared>,
        params: Vec<Value>,
    },
    /// To be bound one after the other, each after the one before has run.
    Text(Vec<Statement>),
}

fn empty(sql: &str) -> Prepared {
    Prepared::new(Arc::from(sql), Vec::new(), Vec::new(), Body::Empty)
}
