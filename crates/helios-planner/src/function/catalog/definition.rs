//! Definitions of indexes, constraints, views and defaults as SQL text.

use super::name::{qualified_relation_name, quote_identifier};
use super::{View, flag_arg, oid_arg, scalar, text_arg};
use crate::catalog::{
    Catalog, Check, ForeignKey, Index, IndexKey, ReferentialAction, Relation, Table,
};
use crate::function::{FunctionContext, FunctionDef, Volatility};
use helios_types::{DatabaseId, ObjectId, Result, Value, error};

/// A constraint of a table, by its OID.
pub enum Constraint<'a> {
    Index(&'a Table, &'a Index),
    Check(&'a Table, &'a Check),
    ForeignKey(&'a Table, &'a ForeignKey),
}

pub fn find_constraint(catalog: &Catalog, id: ObjectId) -> Option<Constraint<'_>> {
    catalog.relations.values().find_map(|relation| {
        let Relation::Table(table) = relation else {
            return None;
        };
        let index = table.indexes.iter().find(|i| i.constraint == Some(id));
        let check = table.checks.iter().find(|c| c.id == id);
        let key = table.foreign_keys.iter().find(|f| f.id == id);
        index
            .map(|i| Constraint::Index(table, i))
            .or_else(|| check.map(|c| Constraint::Check(table, c)))
            .or_else(|| key.map(|f| Constraint::ForeignKey(table, f)))
    })
}

fn column_name(table: &Table, position: usize) -> String {
    table
        .columns
        .get(position)
        .map_or_else(|| "?".to_owned(), |c| quote_identifier(&c.name))
}

fn column_list(table: &Table, positions: &[usize]) -> String {
    positions
        .iter()
        .map(|p| column_name(table, *p))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The text of an index's column or expression, without its order.
pub fn index_column(table: &Table, key: &IndexKey) -> String {
    match key {
        IndexKey::Column(position) => column_name(table, *position),
        IndexKey::Expression(text, _) if is_call(text) => text.clone(),
        IndexKey::Expression(text, _) => format!("({})", strip_parentheses(text)),
        IndexKey::Path(path) => format!("(doc #> '{{{}}}')", path.replace('.', ",")),
    }
}

/// `name(…)` as a whole, which an index definition does not put into parentheses.
fn is_call(text: &str) -> bool {
    let Some(open) = text.find('(') else {
        return false;
    };
    let name = &text[..open];
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '"'));
    plain && closes_at_end(&text[open..])
}

/// Whether the parenthesis that opens the text closes at its very end.
fn closes_at_end(text: &str) -> bool {
    let mut depth = 0i32;
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return i + 1 == text.len();
                }
            }
            _ => {}
        }
    }
    false
}

/// The text without parentheses around all of it.
pub fn strip_parentheses(text: &str) -> &str {
    let mut text = text.trim();
    while text.starts_with('(') && closes_at_end(text) {
        text = text[1..text.len() - 1].trim();
    }
    text
}

/// `CREATE INDEX …` as `pg_get_indexdef` prints it; `relation` is the table's name as written.
/// Only the pretty form, which psql asks for, leaves parentheses out.
pub fn index_definition(table: &Table, index: &Index, relation: &str, pretty: bool) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|column| {
            let order = match (column.descending, column.nulls_first) {
                (false, false) => "",
                (false, true) => " NULLS FIRST",
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
            };
            format!("{}{order}", index_column(table, &column.key))
        })
        .collect();
    let mut text = format!(
        "CREATE {}INDEX {} ON {relation} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        columns.join(", ")
    );
    if !index.include.is_empty() {
        text.push_str(&format!(
            " INCLUDE ({})",
            column_list(table, &index.include)
        ));
    }
    if index.nulls_not_distinct {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = &index.predicate {
        let predicate = strip_parentheses(predicate);
        text.push_str(&if pretty {
            format!(" WHERE {predicate}")
        } else {
            format!(" WHERE ({predicate})")
        });
    }
    text
}

fn schema_name(catalog: &Catalog, schema: ObjectId) -> String {
    catalog
        .schemas
        .get(&schema)
        .map_or_else(|| "?".to_owned(), |s| quote_identifier(&s.name))
}

/// The table's name with its schema.
pub fn full_table_name(catalog: &Catalog, table: &Table) -> String {
    format!(
        "{}.{}",
        schema_name(catalog, table.schema),
        quote_identifier(&table.name)
    )
}

fn index_text(id: ObjectId, column: usize, pretty: bool, view: &View) -> Option<String> {
    let Some(Relation::Index { table, .. }) = view.catalog.relations.get(&id) else {
        return None;
    };
    let table = view.catalog.table(*table)?;
    let index = table.index(id)?;
    if column > 0 {
        let position = column - 1;
        let included = |p: usize| index.include.get(p).map(|c| column_name(table, *c));
        return Some(match index.columns.get(position) {
            Some(column) => index_column(table, &column.key),
            None => included(position - index.columns.len()).unwrap_or_default(),
        });
    }
    let relation = if pretty {
        qualified_relation_name(table.id, &view.catalog, view.database, &view.search_path)?
    } else {
        full_table_name(&view.catalog, table)
    };
    Some(index_definition(table, index, &relation, pretty))
}

fn action(action: ReferentialAction) -> Option<&'static str> {
    match action {
        ReferentialAction::NoAction => None,
        ReferentialAction::Restrict => Some("RESTRICT"),
        ReferentialAction::Cascade => Some("CASCADE"),
        ReferentialAction::SetNull => Some("SET NULL"),
        ReferentialAction::SetDefault => Some("SET DEFAULT"),
    }
}

fn foreign_key_definition(table: &Table, key: &ForeignKey, view: &View) -> String {
    let referenced = view.catalog.table(key.referenced);
    let name = qualified_relation_name(
        key.referenced,
        &view.catalog,
        view.database,
        &view.search_path,
    );
    let columns = referenced
        .map(|t| column_list(t, &key.referenced_columns))
        .unwrap_or_default();
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}({columns})",
        column_list(table, &key.columns),
        name.unwrap_or_else(|| key.referenced.0.to_string()),
    );
    if key.match_full {
        text.push_str(" MATCH FULL");
    }
    if let Some(name) = action(key.on_update) {
        text.push_str(&format!(" ON UPDATE {name}"));
    }
    if let Some(name) = action(key.on_delete) {
        text.push_str(&format!(" ON DELETE {name}"));
    }
    if key.deferrable {
        text.push_str(" DEFERRABLE");
    }
    if key.initially_deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    text
}

/// What stands after the name in `ADD CONSTRAINT name …`.
pub fn constraint_definition(constraint: &Constraint<'_>, pretty: bool, view: &View) -> String {
    match constraint {
        Constraint::Check(_, check) => check_definition(&check.expression, pretty),
        Constraint::ForeignKey(table, key) => foreign_key_definition(table, key, view),
        Constraint::Index(table, index) => {
            let columns: Vec<String> = index
                .columns
                .iter()
                .map(|c| index_column(table, &c.key))
                .collect();
            let kind = match (index.primary, index.nulls_not_distinct) {
                (true, _) => "PRIMARY KEY",
                (false, true) => "UNIQUE NULLS NOT DISTINCT",
                (false, false) => "UNIQUE",
            };
            let mut text = format!("{kind} ({})", columns.join(", "));
            if !index.include.is_empty() {
                text.push_str(&format!(
                    " INCLUDE ({})",
                    column_list(table, &index.include)
                ));
            }
            text
        }
    }
}

/// A condition as a CHECK clause; PostgreSQL doubles the parentheses unless asked to be pretty.
pub fn check_definition(expression: &str, pretty: bool) -> String {
    let expression = strip_parentheses(expression);
    if pretty {
        format!("CHECK ({expression})")
    } else {
        format!("CHECK (({expression}))")
    }
}

fn optional(text: Option<String>) -> Result<Value> {
    Ok(text.map_or(Value::Null, Value::from))
}

fn pg_get_indexdef(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let column = match args.get(1) {
        Some(Value::Int4(n)) => usize::try_from(*n).unwrap_or(0),
        _ => 0,
    };
    let view = View::of(context);
    optional(index_text(
        ObjectId(oid_arg(args, 0)),
        column,
        flag_arg(args, 2),
        &view,
    ))
}

fn pg_get_constraintdef(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let view = View::of(context);
    let id = ObjectId(oid_arg(args, 0));
    optional(
        find_constraint(&view.catalog, id)
            .map(|c| constraint_definition(&c, flag_arg(args, 1), &view)),
    )
}

/// Expressions are stored as SQL text, so that the text of one is itself, but for the name of a
/// sequence: it is stored with its schema, and shown with it only where it has to be.
fn pg_get_expr(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let stored = text_arg(args, 0);
    let name = stored
        .strip_prefix("nextval('")
        .and_then(|rest| rest.split_once('\''));
    if let Some((name, rest)) = name {
        let view = View::of(context);
        let shown = super::name::parse_relation(name, &view)
            .ok()
            .and_then(|id| {
                let id = ObjectId(id);
                qualified_relation_name(id, &view.catalog, view.database, &view.search_path)
            });
        if let Some(shown) = shown {
            return Ok(Value::from(format!("nextval('{shown}'{rest}")));
        }
    }
    Ok(args.first().cloned().unwrap_or_default())
}

/// The text of a view, with the semicolon that PostgreSQL ends it with.
pub fn view_definition(query: &str) -> String {
    format!(" {};", query.trim().trim_end_matches(';'))
}

fn view_text(catalog: &Catalog, id: ObjectId) -> Option<String> {
    match catalog.relations.get(&id)? {
        Relation::View(view) => Some(view_definition(&view.query)),
        _ => None,
    }
}

fn pg_get_viewdef(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    optional(view_text(&context.catalog(), ObjectId(oid_arg(args, 0))))
}

fn pg_get_viewdef_named(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let view = View::of(context);
    let id = super::name::parse_relation(text_arg(args, 0), &view)?;
    optional(view_text(&view.catalog, ObjectId(id)))
}

/// The sequence that a serial or identity column owns.
fn pg_get_serial_sequence(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let view = View::of(context);
    let id = ObjectId(super::name::parse_relation(text_arg(args, 0), &view)?);
    let name = text_arg(args, 1);
    let table = view
        .catalog
        .table(id)
        .ok_or_else(|| error!(WrongObjectType, "\"{}\" is not a table", text_arg(args, 0)))?;
    let (position, column) = table.column(name).ok_or_else(|| {
        error!(
            UndefinedColumn,
            "column \"{name}\" of relation \"{}\" does not exist", table.name
        )
    })?;
    let sequence = column
        .sequence
        .or_else(|| owned_sequence(&view.catalog, id, position));
    optional(
        sequence.and_then(|s| match view.catalog.relations.get(&s)? {
            Relation::Sequence(s) => Some(format!(
                "{}.{}",
                schema_name(&view.catalog, s.schema),
                quote_identifier(&s.name)
            )),
            _ => None,
        }),
    )
}

fn owned_sequence(catalog: &Catalog, table: ObjectId, column: usize) -> Option<ObjectId> {
    catalog.relations.values().find_map(|r| match r {
        Relation::Sequence(s) if s.owned_by == Some((table, column)) => Some(s.id),
        _ => None,
    })
}

fn pg_get_userbyid(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let id = oid_arg(args, 0);
    let catalog = context.catalog();
    let name = catalog.roles.get(&ObjectId(id)).map(|r| r.name.clone());
    Ok(Value::from(
        name.unwrap_or_else(|| format!("unknown (OID={id})")),
    ))
}

/// Objects of a kind that does not exist here have no definition.
fn no_definition(_: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::Null)
}

fn function_arguments(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let function = crate::function::registry().function(oid_arg(args, 0));
    optional(function.map(|f| {
        let names: Vec<String> = f
            .args
            .iter()
            .map(|oid| helios_types::text::format_type(helios_types::Type::new(*oid)))
            .collect();
        names.join(", ")
    }))
}

fn function_result(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let function = crate::function::registry().function(oid_arg(args, 0));
    optional(function.map(|f| {
        let name = helios_types::text::format_type(helios_types::Type::new(f.result));
        match f.implementation {
            crate::function::Implementation::Set(_) => format!("SETOF {name}"),
            _ => name,
        }
    }))
}

/// The database that a session is in, for callers outside of functions.
pub fn view_of(catalog: std::sync::Arc<Catalog>, database: DatabaseId, path: Vec<String>) -> View {
    View {
        catalog,
        database,
        search_path: path,
    }
}

const fn nullable(mut def: FunctionDef) -> FunctionDef {
    def.strict = false;
    def.volatility = Volatility::Stable;
    def
}

pub(super) const FUNCTIONS: &[FunctionDef] = &[
    scalar(1643, "pg_get_indexdef", &[26], 25, pg_get_indexdef),
    scalar(2507, "pg_get_indexdef", &[26, 23, 16], 25, pg_get_indexdef),
    scalar(
        1387,
        "pg_get_constraintdef",
        &[26],
        25,
        pg_get_constraintdef,
    ),
    scalar(
        2508,
        "pg_get_constraintdef",
        &[26, 16],
        25,
        pg_get_constraintdef,
    ),
    scalar(1716, "pg_get_expr", &[194, 26], 25, pg_get_expr),
    scalar(2509, "pg_get_expr", &[194, 26, 16], 25, pg_get_expr),
    scalar(1641, "pg_get_viewdef", &[26], 25, pg_get_viewdef),
    scalar(2506, "pg_get_viewdef", &[26, 16], 25, pg_get_viewdef),
    scalar(3159, "pg_get_viewdef", &[26, 23], 25, pg_get_viewdef),
    scalar(1640, "pg_get_viewdef", &[25], 25, pg_get_viewdef_named),
    scalar(2505, "pg_get_viewdef", &[25, 16], 25, pg_get_viewdef_named),
    scalar(
        1665,
        "pg_get_serial_sequence",
        &[25, 25],
        25,
        pg_get_serial_sequence,
    ),
    scalar(1642, "pg_get_userbyid", &[26], 19, pg_get_userbyid),
    scalar(1573, "pg_get_ruledef", &[26], 25, no_definition),
    scalar(2504, "pg_get_ruledef", &[26, 16], 25, no_definition),
    scalar(1662, "pg_get_triggerdef", &[26], 25, no_definition),
    scalar(2730, "pg_get_triggerdef", &[26, 16], 25, no_definition),
    scalar(3415, "pg_get_statisticsobjdef", &[26], 25, no_definition),
    scalar(
        6174,
        "pg_get_statisticsobjdef_columns",
        &[26],
        25,
        no_definition,
    ),
    scalar(3352, "pg_get_partkeydef", &[26], 25, no_definition),
    scalar(
        3408,
        "pg_get_partition_constraintdef",
        &[26],
        25,
        no_definition,
    ),
    scalar(6197, "pg_get_function_sqlbody", &[26], 25, no_definition),
    nullable(scalar(
        3808,
        "pg_get_function_arg_default",
        &[26, 23],
        25,
        no_definition,
    )),
    scalar(
        2162,
        "pg_get_function_arguments",
        &[26],
        25,
        function_arguments,
    ),
    scalar(
        2232,
        "pg_get_function_identity_arguments",
        &[26],
        25,
        function_arguments,
    ),
    scalar(2165, "pg_get_function_result", &[26], 25, function_result),
];
