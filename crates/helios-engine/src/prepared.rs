//! A statement made ready to run, and what running it answers.

use crate::apply::Program;
use crate::kv::KvPlan;
use crate::modify::Pipeline;
use helios_planner::template::{Command, OutputColumn, PlanTemplate};
use helios_planner::utility::Utility;
use helios_types::{Result, Type};
use std::sync::{Arc, OnceLock};

/// A statement that was parsed and bound. Shared by sessions; bound anew by [`crate::Session`]
/// when the catalog has changed since.
pub struct Prepared {
    /// The text it was made from; empty for plans made by builders.
    pub text: Arc<str>,
    pub params: Vec<Type>,
    /// Result columns; empty when the statement returns no rows.
    pub output: Vec<OutputColumn>,
    pub(crate) body: Body,
    /// The catalog's version that it was bound under.
    pub(crate) catalog_version: u64,
    compiled: OnceLock<Compiled>,
}

/// What the executor of a template runs, made at first use.
enum Compiled {
    Kv(Arc<KvPlan>),
    Apply(Program),
    Pipeline(Arc<Pipeline>),
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("text", &self.text)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) enum Body {
    /// An empty statement.
    Empty,
    Plan(Arc<PlanTemplate>),
    Utility(Arc<Utility>),
}

impl Prepared {
    pub(crate) fn plan(text: Arc<str>, template: PlanTemplate) -> Self {
        let (params, output) = (template.params.clone(), template.output.clone());
        let catalog_version = template.catalog_version;
        let body = Body::Plan(Arc::new(template));
        Self::new(text, params, output, body).bound_under(catalog_version)
    }

    pub(crate) fn bound_under(self, catalog_version: u64) -> Self {
        Prepared {
            catalog_version,
            ..self
        }
    }

    pub(crate) fn new(
        text: Arc<str>,
        params: Vec<Type>,
        output: Vec<OutputColumn>,
        body: Body,
    ) -> Self {
        Prepared {
            text,
            params,
            output,
            body,
            catalog_version: 0,
            compiled: OnceLock::new(),
        }
    }

    pub(crate) fn kv_plan(&self, make: impl FnOnce() -> Result<KvPlan>) -> Result<Arc<KvPlan>> {
        if let Some(Compiled::Kv(plan)) = self.compiled.get() {
            return Ok(plan.clone());
        }
        let plan = Arc::new(make()?);
        let _ = self.compiled.set(Compiled::Kv(plan.clone()));
        Ok(plan)
    }

    pub(crate) fn program(&self, make: impl FnOnce() -> Result<Program>) -> Result<Program> {
        if let Some(Compiled::Apply(program)) = self.compiled.get() {
            return Ok(program.clone());
        }
        let program = make()?;
        let _ = self.compiled.set(Compiled::Apply(program.clone()));
        Ok(program)
    }

    pub(crate) fn pipeline(
        &self,
        make: impl FnOnce() -> Result<Pipeline>,
    ) -> Result<Arc<Pipeline>> {
        if let Some(Compiled::Pipeline(pipeline)) = self.compiled.get() {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(make()?);
        let _ = self.compiled.set(Compiled::Pipeline(pipeline.clone()));
        Ok(pipeline)
    }

    pub fn template(&self) -> Option<&Arc<PlanTemplate>> {
        match &self.body {
            Body::Plan(template) => Some(template),
            _ => None,
        }
    }

    pub fn utility(&self) -> Option<&Utility> {
        match &self.body {
            Body::Utility(utility) => Some(utility),
            _ => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.body, Body::Empty)
    }

    /// Whether the result may be large, so that it should be fetched in pieces.
    pub fn streams(&self) -> bool {
        self.template().is_some_and(|t| {
            !t.writes && !matches!(t.executor, helios_planner::template::Executor::Kv(_))
        })
    }
}

/// A statement that ran to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub tag: CompletionTag,
    /// Rows returned or changed.
    pub rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompletionTag {
    Empty,
    Command(Command),
    /// COPY, with the number of rows in `Completion::rows`.
    Copy,
    /// Anything else, as PostgreSQL writes it: `CREATE TABLE`.
    Utility(&'static str),
}

impl Completion {
    pub(crate) fn utility(tag: &'static str) -> Self {
        Completion {
            tag: CompletionTag::Utility(tag),
            rows: 0,
        }
    }
}
