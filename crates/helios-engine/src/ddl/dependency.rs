//! What depends on an object: what DROP … CASCADE takes along, and what stands in the way of a
//! drop or of a new name.
//!
//! Foreign keys and views say themselves what they read. A default names its sequence in its
//! text, which is read anew here.

use super::Ddl;
use helios_planner::catalog::Relation;
use helios_planner::function::catalog::name::{qualified_relation_name, quote_identifier};
use helios_types::{Error, ErrorKind, ObjectId, Result};

/// Lines of a message that lists objects; PostgreSQL stops there too.
const LISTED_MAX: usize = 100;

/// One object and what it depends on, as messages name them.
struct Dependent {
    name: String,
    on: String,
}

impl Ddl<'_> {
    /// An object's kind and name: `table public.t` where the search path does not find it.
    fn object_name(&self, id: ObjectId) -> String {
        let state = &self.session.state;
        let name = qualified_relation_name(id, &self.catalog, state.database, &state.search_path());
        let name = name.unwrap_or_else(|| id.0.to_string());
        match self.catalog.relations.get(&id) {
            Some(Relation::View(_)) => format!("view {name}"),
            Some(Relation::Sequence(_)) => format!("sequence {name}"),
            Some(Relation::Index { .. }) => format!("index {name}"),
            _ => format!("table {name}"),
        }
    }

    /// Views that read a relation, oldest first.
    pub(super) fn views_on(&self, id: ObjectId) -> Vec<ObjectId> {
        let mut views: Vec<ObjectId> = self
            .catalog
            .relations
            .values()
            .filter_map(|r| match r {
                Relation::View(v) if v.depends_on.contains(&id) => Some(v.id),
                _ => None,
            })
            .collect();
        views.sort();
        views
    }

    /// Columns whose default calls `nextval` of a sequence.
    pub(super) fn sequence_users(&self, sequence: ObjectId) -> Vec<(ObjectId, usize)> {
        let path = self.session.state.search_path();
        let context = helios_planner::sql::BindContext::new(
            self.session.state.catalog.clone(),
            self.session.state.database,
            &path,
            self.session.state.role,
        );
        let mut users = Vec::new();
        for relation in self.catalog.relations.values() {
            let Relation::Table(table) = relation else {
                continue;
            };
            for (i, column) in table.columns.iter().enumerate() {
                let Some(default) = column.default.as_ref().filter(|d| d.contains("nextval"))
                else {
                    continue;
                };
                if helios_planner::sql::sequences_of(default, &context).contains(&sequence) {
                    users.push((table.id, i));
                }
            }
        }
        users.sort();
        users
    }

    /// Everything outside `roots` that goes with them.
    fn dependents(&self, roots: &[ObjectId]) -> Vec<Dependent> {
        let mut gone = roots.to_vec();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(&id) = gone.get(at) {
            at += 1;
            let on = self.object_name(id);
            let mut keys: Vec<_> = self
                .catalog
                .referencing(id)
                .filter(|(table, _)| !gone.contains(&table.id))
                .map(|(table, key)| (key.id, key.name.clone(), table.id))
                .collect();
            keys.sort();
            for (_, key, table) in keys {
                found.push(Dependent {
                    name: format!(
                        "constraint {} on {}",
                        quote_identifier(&key),
                        self.object_name(table)
                    ),
                    on: on.clone(),
                });
            }
            if matches!(self.catalog.relations.get(&id), Some(Relation::Sequence(_))) {
                for (table, column) in self.sequence_users(id) {
                    if gone.contains(&table) {
                        continue;
                    }
                    found.push(Dependent {
                        name: self.default_name(table, column),
                        on: on.clone(),
                    });
                }
            }
            for view in self.views_on(id) {
                if gone.contains(&view) {
                    continue;
                }
                found.push(Dependent {
                    name: self.object_name(view),
                    on: on.clone(),
                });
                gone.push(view);
            }
        }
        found
    }

    fn default_name(&self, table: ObjectId, column: usize) -> String {
        let name = self
            .catalog
            .table(table)
            .and_then(|t| t.columns.get(column))
            .map_or_else(String::new, |c| quote_identifier(&c.name));
        format!(
            "default value for column {name} of {}",
            self.object_name(table)
        )
    }

    /// Refuses a drop that others depend on, or says what goes too.
    pub(super) fn check_dependents(&mut self, roots: &[ObjectId], cascade: bool) -> Result<()> {
        let found = self.dependents(roots);
        if found.is_empty() {
            return Ok(());
        }
        if cascade {
            self.cascade_notice(found.into_iter().map(|d| d.name).collect());
            return Ok(());
        }
        let what = match roots {
            [only] => self.object_name(*only),
            _ => "desired object(s)".to_string(),
        };
        let they = if roots.len() == 1 { "it" } else { "them" };
        let lines = found
            .iter()
            .map(|d| format!("{} depends on {}", d.name, d.on));
        Err(depends(
            format!("cannot drop {what} because other objects depend on {they}"),
            listed(lines.collect()),
        ))
    }

    /// The contents of a schema, oldest first, that a drop of it takes or is stopped by.
    pub(super) fn check_schema_empty(
        &mut self,
        schema: &str,
        inside: &[ObjectId],
        cascade: bool,
    ) -> Result<()> {
        let mut names: Vec<String> = inside
            .iter()
            .filter(|id| !self.is_owned_sequence(**id))
            .map(|id| self.object_name(*id))
            .collect();
        if !cascade && !names.is_empty() {
            let lines = names
                .iter()
                .map(|name| format!("{name} depends on schema {schema}"));
            return Err(depends(
                format!("cannot drop schema {schema} because other objects depend on it"),
                listed(lines.collect()),
            ));
        }
        names.extend(self.dependents(inside).into_iter().map(|d| d.name));
        self.cascade_notice(names);
        Ok(())
    }

    fn is_owned_sequence(&self, id: ObjectId) -> bool {
        matches!(
            self.catalog.relations.get(&id),
            Some(Relation::Sequence(s)) if s.owned_by.is_some()
        )
    }

    fn cascade_notice(&mut self, names: Vec<String>) {
        match names.as_slice() {
            [] => {}
            [only] => self.notice(format!("drop cascades to {only}")),
            several => {
                let lines = several
                    .iter()
                    .map(|name| format!("drop cascades to {name}"));
                let (message, detail) = (
                    format!("drop cascades to {} other objects", several.len()),
                    listed(lines.collect()),
                );
                let state = &mut self.session.state;
                state.notice("NOTICE", b"00000", message);
                if let Some(notice) = state.notices.last_mut() {
                    notice.detail = Some(detail);
                }
            }
        }
    }

    /// Views and defaults are kept as text, in which a new name would not be found: what they
    /// name keeps its name while they are there.
    pub(super) fn require_unread(&self, id: ObjectId, what: &str) -> Result<()> {
        if let Some(view) = self.views_on(id).first() {
            return Err(Error::unsupported(format_args!(
                "{what} of {}, which {} reads,",
                self.object_name(id),
                self.object_name(*view)
            ))
            .with_hint("Drop the view first, and create it again afterwards."));
        }
        if matches!(self.catalog.relations.get(&id), Some(Relation::Sequence(_)))
            && let Some((table, column)) = self.sequence_users(id).first()
        {
            return Err(Error::unsupported(format_args!(
                "{what} of {}, which the {} uses,",
                self.object_name(id),
                self.default_name(*table, *column)
            )));
        }
        Ok(())
    }
}

fn listed(mut lines: Vec<String>) -> String {
    if lines.len() > LISTED_MAX {
        let more = lines.len() - LISTED_MAX;
        lines.truncate(LISTED_MAX);
        lines.push(format!(
            "and {more} other objects (see server log for list)"
        ));
    }
    lines.join("\n")
}

fn depends(message: String, detail: String) -> Error {
    Error::new(ErrorKind::DependentObjectsStillExist, message)
        .with_detail(detail)
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
