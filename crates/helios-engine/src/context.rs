//! What SQL functions ask of the session that runs them.

use crate::session::State;
use helios_planner::catalog::{Catalog, Relation, Sequence};
use helios_planner::function::FunctionContext;
use helios_storage::{Prefix, SequenceParams};
use helios_types::{BranchId, Error, ErrorKind, ObjectId, Result, Value, bail};
use std::sync::Arc;

impl FunctionContext for State {
    fn checkpoint(&mut self) -> Result<()> {
        self.pace.tick();
        self.cancel.check()
    }

    fn transaction_time(&self) -> i64 {
        self.transaction_time_us
    }

    fn statement_time(&self) -> i64 {
        self.statement_time_us
    }

    fn time_zone(&self) -> &str {
        &self.time_zone
    }

    fn current_user(&self) -> &str {
        &self.role_name
    }

    fn session_user(&self) -> &str {
        &self.session_role_name
    }

    fn current_database(&self) -> &str {
        &self.database_name
    }

    fn search_path(&self, implicit: bool) -> Vec<String> {
        let mut names = State::search_path(self);
        names.retain(|name| self.catalog.schema_named(self.database, name).is_some());
        if implicit && !names.iter().any(|n| n == "pg_catalog") {
            names.insert(0, "pg_catalog".into());
        }
        names
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).map(str::to_string)
    }

    fn set_setting(&mut self, name: &str, value: &str, local: bool) -> Result<String> {
        let text = self.settings.set(name, value, local)?;
        self.search_path_text = Arc::from(self.settings.get("search_path").unwrap_or_default());
        self.time_zone = Arc::from(self.settings.get("timezone").unwrap_or_default());
        Ok(text)
    }

    fn backend_pid(&self) -> i32 {
        self.pid
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    fn sequence_next(&mut self, sequence: ObjectId) -> Result<i64> {
        let sequence = self.sequence(sequence)?;
        let value = self
            .engine
            .store
            .sequence_next(prefix(&sequence), &params(&sequence))
            .map_err(|e| name_sequence(e, &sequence))?;
        self.sequences.insert(sequence.id, value);
        self.last_sequence = Some(sequence.id);
        Ok(value)
    }

    fn sequence_last(&mut self, sequence: ObjectId) -> Result<i64> {
        let name = self.sequence(sequence)?.name.clone();
        self.sequences.get(&sequence).copied().ok_or_else(|| {
            Error::new(
                ErrorKind::ObjectNotInPrerequisiteState,
                format!("currval of sequence \"{name}\" is not yet defined in this session"),
            )
        })
    }

    fn sequence_set(&mut self, sequence: ObjectId, value: i64, called: bool) -> Result<()> {
        let sequence = self.sequence(sequence)?;
        if value < sequence.min || value > sequence.max {
            bail!(
                NumericOutOfRange,
                "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                sequence.name,
                sequence.min,
                sequence.max
            );
        }
        self.engine
            .store
            .sequence_set(prefix(&sequence), value, called)?;
        if called {
            self.sequences.insert(sequence.id, value);
        }
        Ok(())
    }

    fn last_sequence_value(&self) -> Result<i64> {
        self.last_sequence
            .and_then(|id| self.sequences.get(&id).copied())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::ObjectNotInPrerequisiteState,
                    "lastval is not yet defined in this session",
                )
            })
    }

    fn transaction_id(&mut self) -> Result<u64> {
        // The commit timestamp is the transaction's id once it has one; until then its start is.
        Ok(*self
            .transaction_id
            .get_or_insert_with(|| self.engine.store.last_ts().0 + 1))
    }

    fn system(&mut self, function: &'static str, args: &[Value]) -> Result<Value> {
        crate::system::call(self, function, args)
    }
}

impl State {
    /// How values are read from and printed as text in this session.
    pub(crate) fn text_context(&self) -> helios_types::text::TextContext {
        let mut context = helios_types::text::TextContext::default();
        context.dates.zone = helios_types::datetime::TimeZone::named(&self.time_zone)
            .unwrap_or(helios_types::datetime::TimeZone::UTC);
        context.dates.now = crate::session::now_us();
        context.bytea_escape = self.settings.get("bytea_output") == Some("escape");
        context
    }

    fn sequence(&self, id: ObjectId) -> Result<Arc<Sequence>> {
        match self.catalog.relations.get(&id) {
            Some(Relation::Sequence(sequence)) => Ok(sequence.clone()),
            _ => bail!(UndefinedTable, "sequence with OID {} does not exist", id.0),
        }
    }
}

pub(crate) fn prefix(sequence: &Sequence) -> Prefix {
    Prefix::new(sequence.database, BranchId::MAIN, sequence.storage)
}

pub(crate) fn params(sequence: &Sequence) -> SequenceParams {
    SequenceParams {
        start: sequence.start,
        increment: sequence.increment,
        min: sequence.min,
        max: sequence.max,
        cycle: sequence.cycle,
    }
}

/// PostgreSQL names the sequence in the message of its limit.
fn name_sequence(error: Error, sequence: &Sequence) -> Error {
    if error.kind() != ErrorKind::SequenceLimitExceeded {
        return error;
    }
    let (word, bound) = if sequence.increment > 0 {
        ("maximum", sequence.max)
    } else {
        ("minimum", sequence.min)
    };
    helios_types::error!(
        SequenceLimitExceeded,
        "nextval: reached {word} value of sequence \"{}\" ({bound})",
        sequence.name
    )
}
