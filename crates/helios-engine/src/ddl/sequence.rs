//! Sequences, those of serial and identity columns included.

use super::Ddl;
use crate::catalog_store::{self, Kind};
use crate::context::prefix;
use helios_planner::catalog::{Relation, Sequence, Table};
use helios_planner::utility::{CreateSequence, SequenceOptions};
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result, Type, bail};
use std::sync::Arc;

impl Ddl<'_> {
    pub(crate) fn create_sequence(&mut self, spec: &CreateSequence) -> Result<()> {
        if spec.temporary {
            return Err(Error::unsupported("CREATE TEMPORARY SEQUENCE"));
        }
        self.session.state.require_create(spec.schema)?;
        if spec.if_not_exists
            && self
                .catalog
                .relation_named(spec.schema, &spec.name)
                .is_some()
        {
            self.notice(format!(
                "relation \"{}\" already exists, skipping",
                spec.name
            ));
            return Ok(());
        }
        self.require_free_name(spec.schema, &spec.name)?;
        let Some(database) = self.catalog.schemas.get(&spec.schema).map(|s| s.database) else {
            bail!(UndefinedSchema, "schema does not exist");
        };
        let id = self.next_id();
        let sequence = new_sequence(
            id,
            database,
            spec.schema,
            &spec.name,
            self.session.state.role,
            &spec.options,
        )?;
        self.new_count(&sequence)?;
        self.put_relation(Relation::Sequence(Arc::new(sequence)))
    }

    /// The sequence behind a serial or identity column.
    pub(crate) fn owned_sequence(
        &mut self,
        table: &Table,
        position: usize,
        column: &str,
        ty: Type,
        options: &SequenceOptions,
    ) -> Result<Arc<Sequence>> {
        let name = match &options.name {
            Some(name) => {
                self.require_free_name(table.schema, name)?;
                name.clone()
            }
            None => self.choose_name(table.schema, &table.name, column, "seq", &[]),
        };
        let options = SequenceOptions {
            ty: Some(options.ty.unwrap_or(ty)),
            ..options.clone()
        };
        let id = self.next_id();
        let mut sequence = new_sequence(
            id,
            table.database,
            table.schema,
            &name,
            table.owner,
            &options,
        )?;
        sequence.owned_by = Some((table.id, position));
        self.new_count(&sequence)?;
        let sequence = Arc::new(sequence);
        self.put_relation(Relation::Sequence(sequence.clone()))?;
        Ok(sequence)
    }

    pub(crate) fn alter_sequence(&mut self, id: ObjectId, options: &SequenceOptions) -> Result<()> {
        let Some(Relation::Sequence(old)) = self.catalog.relations.get(&id).cloned() else {
            bail!(WrongObjectType, "relation is not a sequence");
        };
        self.session
            .state
            .require_owner(old.owner, "sequence", &old.name)?;
        let merged = SequenceOptions {
            ty: options.ty.or(Some(old.ty)),
            start: options.start.or(Some(old.start)),
            increment: options.increment.or(Some(old.increment)),
            min: options.min.or(Some(Some(old.min))),
            max: options.max.or(Some(Some(old.max))),
            cache: options.cache.or(Some(old.cache)),
            cycle: options.cycle.or(Some(old.cycle)),
            ..options.clone()
        };
        let mut sequence =
            new_sequence(id, old.database, old.schema, &old.name, old.owner, &merged)?;
        sequence.grants = old.grants.clone();
        sequence.comment = old.comment.clone();
        sequence.owned_by = match options.owned_by {
            Some(owner) => owner,
            None => old.owned_by,
        };
        sequence.storage = old.storage;
        if let Some(restart) = options.restart {
            sequence = self.restarted(sequence, restart)?;
        }
        self.put_relation(Relation::Sequence(Arc::new(sequence)))
    }

    /// RESTART of TRUNCATE … RESTART IDENTITY.
    pub(crate) fn restart_sequence(&mut self, id: ObjectId) -> Result<()> {
        let Some(Relation::Sequence(sequence)) = self.catalog.relations.get(&id) else {
            return Ok(());
        };
        let restarted = self.restarted((**sequence).clone(), None)?;
        self.put_relation(Relation::Sequence(Arc::new(restarted)))
    }

    /// The sequence with a count of its own that begins anew. Numbers are taken outside of
    /// transactions, so that a rollback can only go back to the old count, not set it back.
    fn restarted(&mut self, mut sequence: Sequence, at: Option<i64>) -> Result<Sequence> {
        self.drop_storage(sequence.database, sequence.storage)?;
        sequence.storage = self.next_id();
        self.new_count(&sequence)?;
        if let Some(value) = at.filter(|value| *value != sequence.start) {
            let store = &self.session.engine.store;
            store.sequence_set(prefix(&sequence), value, false)?;
        }
        Ok(sequence)
    }

    /// Begins the count of a new sequence. After a crash there may be one under its number already,
    /// of a sequence whose transaction never committed.
    fn new_count(&mut self, sequence: &Sequence) -> Result<()> {
        let prefix = prefix(sequence);
        let store = &self.session.engine.store;
        if store.sequence_get(prefix)?.is_some() {
            store.drop_object(prefix)?;
        }
        self.transaction()?.created.push(prefix);
        Ok(())
    }

    pub(crate) fn remove_sequence(&mut self, id: ObjectId) -> Result<()> {
        let Some(Relation::Sequence(sequence)) = self.catalog.relations.get(&id).cloned() else {
            return Ok(());
        };
        catalog_store::delete(&mut self.transaction()?.txn, Kind::Sequence, id.0);
        catalog_store::remove_relation(&mut self.catalog, id);
        self.drop_storage(sequence.database, sequence.storage)
    }
}

/// PostgreSQL's defaults for what the options do not say, and its checks.
fn new_sequence(
    id: ObjectId,
    database: DatabaseId,
    schema: ObjectId,
    name: &str,
    owner: ObjectId,
    options: &SequenceOptions,
) -> Result<Sequence> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidParameterValue, message);
    let ty = options.ty.unwrap_or(Type::INT8);
    let (type_min, type_max) = match ty.oid {
        21 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        23 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        20 => (i64::MIN, i64::MAX),
        _ => {
            return Err(invalid(
                "sequence type must be smallint, integer, or bigint".into(),
            ));
        }
    };
    let increment = options.increment.unwrap_or(1);
    if increment == 0 {
        return Err(invalid("INCREMENT must not be zero".into()));
    }
    let ascending = increment > 0;
    let max = options
        .max
        .flatten()
        .unwrap_or(if ascending { type_max } else { -1 });
    let min = options
        .min
        .flatten()
        .unwrap_or(if ascending { 1 } else { type_min });
    if !(type_min..=type_max).contains(&max) {
        return Err(invalid(format!(
            "MAXVALUE ({max}) is out of range for sequence data type {}",
            helios_types::text::format_type(ty)
        )));
    }
    if !(type_min..=type_max).contains(&min) {
        return Err(invalid(format!(
            "MINVALUE ({min}) is out of range for sequence data type {}",
            helios_types::text::format_type(ty)
        )));
    }
    if min >= max {
        return Err(invalid(format!(
            "MINVALUE ({min}) must be less than MAXVALUE ({max})"
        )));
    }
    let start = options.start.unwrap_or(if ascending { min } else { max });
    if start < min {
        return Err(invalid(format!(
            "START value ({start}) cannot be less than MINVALUE ({min})"
        )));
    }
    if start > max {
        return Err(invalid(format!(
            "START value ({start}) cannot be greater than MAXVALUE ({max})"
        )));
    }
    let cache = options.cache.unwrap_or(1);
    if cache < 1 {
        return Err(invalid(format!(
            "CACHE ({cache}) must be greater than zero"
        )));
    }
    Ok(Sequence {
        id,
        storage: id,
        database,
        schema,
        name: name.to_string(),
        owner,
        ty,
        start,
        increment,
        min,
        max,
        cache,
        cycle: options.cycle.unwrap_or(false),
        owned_by: options.owned_by.flatten(),
        grants: Vec::new(),
        comment: None,
    })
}
