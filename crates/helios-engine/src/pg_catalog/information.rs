//! information_schema: the SQL standard's view of the catalog.
//!
//! Types follow the standard's domains as PostgreSQL resolves them: identifiers are `name`,
//! character data `varchar`, numbers `int4`, booleans `YES` and `NO`. Only what the current role
//! may use is listed.

use super::relation::{relation_kind, relation_name};
use super::row::{named, optional, text, yes_no};
use super::{Request, Row, information_column, information_constraint};
use helios_planner::catalog::{Relation, Sequence, VirtualTable};
use helios_planner::function::catalog::definition::view_definition;
use helios_planner::function::catalog::privilege::{holds, relation_grants};
use helios_types::text::format_type;
use helios_types::{ObjectId, Result, Type, Value};

pub(super) fn rows(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let current = request.functions.current_user().to_owned();
    let role = request
        .catalog
        .role_named(&current)
        .map_or(ObjectId(0), |r| r.id);
    let request = &*request;
    let scope = Scope { request, role };
    Ok(match request.table.name.as_str() {
        "information_schema_catalog_name" => vec![vec![text(&request.database_name)]],
        "schemata" => schemata(&scope),
        "tables" => tables(&scope),
        "views" => views(&scope),
        "view_table_usage" => view_table_usage(&scope),
        "columns" => information_column::columns(&scope),
        "sequences" => sequences(&scope),
        "table_constraints" => information_constraint::table_constraints(&scope),
        "key_column_usage" => information_constraint::key_column_usage(&scope),
        "constraint_column_usage" => information_constraint::constraint_column_usage(&scope),
        "constraint_table_usage" => information_constraint::constraint_table_usage(&scope),
        "referential_constraints" => information_constraint::referential_constraints(&scope),
        "check_constraints" => information_constraint::check_constraints(&scope),
        "table_privileges" | "role_table_grants" => table_privileges(&scope),
        "column_privileges" | "role_column_grants" => column_privileges(&scope),
        "enabled_roles" => enabled_roles(&scope),
        "applicable_roles" => applicable_roles(&scope),
        "routines" => information_column::routines(&scope),
        "parameters" => information_column::parameters(&scope),
        "character_sets" => vec![named(
            request.table,
            vec![
                ("character_set_name", text("UTF8")),
                ("character_repertoire", text("UCS")),
                ("form_of_use", text("UTF8")),
                ("default_collate_catalog", text(&request.database_name)),
                ("default_collate_schema", text("pg_catalog")),
                ("default_collate_name", text("C")),
            ],
        )],
        "collations" => collations(request, |name| {
            vec![
                ("collation_name", text(name)),
                ("pad_attribute", text("NO PAD")),
            ]
        }),
        "collation_character_set_applicability" => collations(request, |name| {
            vec![
                ("collation_name", text(name)),
                ("character_set_name", text("UTF8")),
            ]
        }),
        // Domains, foreign tables, triggers, user-defined types: none here.
        _ => Vec::new(),
    })
}

/// The request and the role that asks.
pub(super) struct Scope<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    pub(super) role: ObjectId,
}

impl<'a> Scope<'a, '_> {
    pub(super) fn table(&self) -> &'a VirtualTable {
        self.request.table
    }

    pub(super) fn database(&self) -> Value {
        text(&self.request.database_name)
    }

    /// Relations of these kinds on which the role holds any right, filtered by the lookups on
    /// `table_schema` and `table_name`.
    pub(super) fn relations(&self, kinds: &str) -> Vec<&'a Relation> {
        let request = self.request;
        let name = request.wanted_name("table_name");
        let schema = request.wanted_name("table_schema");
        request
            .relations(None)
            .into_iter()
            .filter(|r| kinds.contains(relation_kind(r)))
            .filter(|r| name.is_none_or(|name| relation_name(r, request) == name))
            .filter(|r| schema.is_none_or(|schema| request.schema_name(r.schema()) == schema))
            .filter(|r| self.may_use(r))
            .collect()
    }

    fn may_use(&self, relation: &Relation) -> bool {
        let catalog = &self.request.catalog;
        match relation_grants(catalog, relation) {
            None => true,
            Some((owner, grants)) => {
                grants
                    .iter()
                    .any(|g| g.role == self.role || g.role == ObjectId(0))
                    || "rawdDxtU"
                        .chars()
                        .any(|p| holds(catalog, self.role, owner, grants, p, false))
            }
        }
    }

    /// The columns that name a relation, under this prefix: `table_catalog`, `table_schema`, ….
    pub(super) fn relation_columns(
        &self,
        prefix: [&'static str; 3],
        relation: &Relation,
    ) -> Vec<(&'static str, Value)> {
        let request = self.request;
        vec![
            (prefix[0], self.database()),
            (prefix[1], text(request.schema_name(relation.schema()))),
            (prefix[2], text(relation_name(relation, request))),
        ]
    }
}

pub(super) const TABLE_COLUMNS: [&str; 3] = ["table_catalog", "table_schema", "table_name"];

fn schemata(scope: &Scope<'_, '_>) -> Vec<Row> {
    let request = scope.request;
    request
        .catalog
        .schemas
        .values()
        .filter(|s| request.sees_schema(s.id))
        .filter(|s| {
            "UC".chars()
                .any(|p| holds(&request.catalog, scope.role, s.owner, &s.grants, p, false))
        })
        .map(|s| {
            named(
                request.table,
                vec![
                    ("catalog_name", scope.database()),
                    ("schema_name", text(&s.name)),
                    ("schema_owner", text(request.role_name(s.owner))),
                ],
            )
        })
        .collect()
}

fn tables(scope: &Scope<'_, '_>) -> Vec<Row> {
    scope
        .relations("rv")
        .into_iter()
        .map(|r| {
            let mut values = scope.relation_columns(TABLE_COLUMNS, r);
            let kind = match r {
                Relation::Table(t) if t.temporary => "LOCAL TEMPORARY",
                r if relation_kind(r) == 'v' => "VIEW",
                _ => "BASE TABLE",
            };
            values.push(("table_type", text(kind)));
            values.push((
                "is_insertable_into",
                yes_no(matches!(r, Relation::Table(_))),
            ));
            values.push(("is_typed", text("NO")));
            named(scope.table(), values)
        })
        .collect()
}

fn views(scope: &Scope<'_, '_>) -> Vec<Row> {
    scope
        .relations("v")
        .into_iter()
        .map(|r| {
            let definition = match r {
                Relation::View(v) => Some(view_definition(&v.query)),
                _ => None,
            };
            let mut values = scope.relation_columns(TABLE_COLUMNS, r);
            values.push(("view_definition", optional(definition)));
            values.push(("check_option", text("NONE")));
            for name in [
                "is_updatable",
                "is_insertable_into",
                "is_trigger_updatable",
                "is_trigger_deletable",
                "is_trigger_insertable_into",
            ] {
                values.push((name, text("NO")));
            }
            named(scope.table(), values)
        })
        .collect()
}

fn view_table_usage(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in scope.request.relations(None) {
        let Relation::View(view) = relation else {
            continue;
        };
        for id in &view.depends_on {
            let Some(used) = scope.request.catalog.relations.get(id) else {
                continue;
            };
            let mut values =
                scope.relation_columns(["view_catalog", "view_schema", "view_name"], relation);
            values.extend(scope.relation_columns(TABLE_COLUMNS, used));
            rows.push(named(scope.table(), values));
        }
    }
    rows
}

fn sequences(scope: &Scope<'_, '_>) -> Vec<Row> {
    scope
        .relations("S")
        .into_iter()
        .filter_map(|r| match r {
            Relation::Sequence(s) if !is_identity(scope.request, s) => Some((r, s)),
            _ => None,
        })
        .map(|(r, s)| {
            let mut values =
                scope.relation_columns(["sequence_catalog", "sequence_schema", "sequence_name"], r);
            let bits = match s.ty {
                Type::INT2 => 16,
                Type::INT4 => 32,
                _ => 64,
            };
            values.extend([
                ("data_type", text(format_type(s.ty))),
                ("numeric_precision", Value::Int4(bits)),
                ("numeric_precision_radix", Value::Int4(2)),
                ("numeric_scale", Value::Int4(0)),
                ("start_value", text(s.start.to_string())),
                ("minimum_value", text(s.min.to_string())),
                ("maximum_value", text(s.max.to_string())),
                ("increment", text(s.increment.to_string())),
                ("cycle_option", yes_no(s.cycle)),
            ]);
            named(scope.table(), values)
        })
        .collect()
}

/// An identity column's sequence is part of the column and not listed.
fn is_identity(request: &Request<'_>, sequence: &Sequence) -> bool {
    sequence.owned_by.is_some_and(|(table, position)| {
        request
            .catalog
            .table(table)
            .and_then(|t| t.columns.get(position))
            .is_some_and(|c| c.identity.is_some())
    })
}

/// One row for each right on each table: the owner's own, then the grants.
fn privileges<'a>(
    scope: &'a Scope<'_, '_>,
    letters: &'static str,
) -> Vec<(&'a Relation, ObjectId, ObjectId, char, bool)> {
    let mut rights = Vec::new();
    for relation in scope.relations("rv") {
        let Some((owner, grants)) = relation_grants(&scope.request.catalog, relation) else {
            continue;
        };
        for letter in letters.chars() {
            rights.push((relation, owner, owner, letter, true));
            for grant in grants
                .iter()
                .filter(|g| g.role != owner && g.privileges.contains(letter))
            {
                rights.push((relation, grant.grantor, grant.role, letter, grant.grantable));
            }
        }
    }
    rights
}

fn grantee<'a>(scope: &'a Scope<'_, '_>, role: ObjectId) -> &'a str {
    if role == ObjectId(0) {
        "PUBLIC"
    } else {
        scope.request.role_name(role)
    }
}

fn privilege_columns(
    scope: &Scope<'_, '_>,
    right: &(&Relation, ObjectId, ObjectId, char, bool),
) -> Vec<(&'static str, Value)> {
    let (relation, grantor, role, letter, grantable) = right;
    let mut values = scope.relation_columns(TABLE_COLUMNS, relation);
    values.extend([
        ("grantor", text(scope.request.role_name(*grantor))),
        ("grantee", text(grantee(scope, *role))),
        (
            "privilege_type",
            text(helios_planner::function::catalog::privilege_name(*letter)),
        ),
        ("is_grantable", yes_no(*grantable)),
    ]);
    values
}

fn table_privileges(scope: &Scope<'_, '_>) -> Vec<Row> {
    privileges(scope, "arwdDxt")
        .iter()
        .map(|right| {
            let mut values = privilege_columns(scope, right);
            values.push(("with_hierarchy", yes_no(right.3 == 'r')));
            named(scope.table(), values)
        })
        .collect()
}

fn column_privileges(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for right in &privileges(scope, "arwx") {
        for attribute in super::relation::attributes(right.0, scope.request) {
            if attribute.column.is_some_and(|c| c.dropped) {
                continue;
            }
            let mut values = privilege_columns(scope, right);
            values.push(("column_name", text(attribute.name)));
            rows.push(named(scope.table(), values));
        }
    }
    rows
}

fn enabled_roles(scope: &Scope<'_, '_>) -> Vec<Row> {
    let catalog = &scope.request.catalog;
    catalog
        .roles
        .values()
        .filter(|r| {
            helios_planner::function::catalog::privilege::is_member(catalog, scope.role, r.id)
        })
        .map(|r| vec![text(&r.name)])
        .collect()
}

fn applicable_roles(scope: &Scope<'_, '_>) -> Vec<Row> {
    let catalog = &scope.request.catalog;
    let mut rows = Vec::new();
    for role in catalog.roles.values() {
        for parent in &role.member_of {
            rows.push(vec![
                text(&role.name),
                text(scope.request.role_name(*parent)),
                text("NO"),
            ]);
        }
    }
    rows
}

fn collations(
    request: &Request<'_>,
    values: impl Fn(&str) -> Vec<(&'static str, Value)>,
) -> Vec<Row> {
    ["default", "C", "POSIX"]
        .into_iter()
        .map(|name| {
            let mut columns = values(name);
            columns.push(("collation_catalog", text(&request.database_name)));
            columns.push(("collation_schema", text("pg_catalog")));
            named(request.table, columns)
        })
        .collect()
}
