//! R-018 to R-020: making, changing and dropping tables.
//!
//! A request becomes DDL statements that run in one transaction: all of it happens or none.

use super::row::find_target;
use crate::app::App;
use crate::error::{Failure, Fault, Result};
use crate::execute::{self, Borrowed};
use crate::json::{self, Fields};
use crate::reply::Reply;
use crate::request::Request;
use crate::target::{quote, quote_list};
use helios_engine::TransactionMode;
use helios_planner::catalog::Relation;
use helios_types::ErrorKind;
use helios_types::value::Rows;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(300);
const SCHEMA_DEFAULT: &str = "public";
/// Most statements of one request.
const STATEMENTS_MAX: usize = 1_000;

pub async fn create(app: &App, request: &Request) -> Result<Reply> {
    let fields = &request.fields;
    let name = fields.required_str("name")?;
    let schema = fields.str("schema")?.unwrap_or(SCHEMA_DEFAULT);
    let table = format!("{}.{}", quote(schema), quote(name));
    let columns = fields.objects("columns")?.filter(|c| !c.is_empty());
    let columns =
        columns.ok_or_else(|| Failure::field("field \"columns\" must have at least one column"))?;
    let mut parts = Vec::with_capacity(columns.len() + 1);
    let mut key = Vec::new();
    for column in &columns {
        let column = Fields::from_map((*column).clone());
        parts.push(column_sql(&column)?);
        if column.bool("primary_key", false)? {
            key.push(column.required_str("name")?.to_owned());
        }
    }
    if !key.is_empty() {
        parts.push(format!(
            "PRIMARY KEY ({})",
            quote_list(key.iter().map(String::as_str))
        ));
    }
    let if_not_exists = fields.bool("if_not_exists", false)?;
    let existing = existing_table(app, request, schema, name);
    let mut statements = Vec::new();
    if existing.is_none() || !if_not_exists {
        statements.push(format!("CREATE TABLE {table} ({})", parts.join(", ")));
        for index in fields.objects("indexes")?.unwrap_or_default() {
            statements.push(index_sql(&table, &Fields::from_map(index.clone()))?);
        }
    }
    run_all(app, request, &statements).await?;
    let times = match existing {
        Some(relation) => app.engine.relation_times(&relation)?,
        None => None,
    };
    let made = times.map_or_else(json::now, |(made, _)| json::at_ms(made));
    let reply =
        json!({"success": true, "table": {"name": name, "schema": schema, "created_at": made}});
    Ok(Reply::value(201, &reply))
}

fn existing_table(app: &App, request: &Request, schema: &str, name: &str) -> Option<Relation> {
    let catalog = app.engine.catalog();
    let database = catalog.database_named(&request.database)?;
    let schema = catalog.schema_named(database.id, schema)?;
    catalog.relation_named(schema.id, name).cloned()
}

fn column_sql(column: &Fields) -> Result<String> {
    let mut sql = format!(
        "{} {}",
        quote(column.required_str("name")?),
        type_sql(column.required_str("type")?)?
    );
    if !column.bool("nullable", true)? {
        sql.push_str(" NOT NULL");
    }
    if let Some(default) = column.str("default")? {
        check_expression("default", default)?;
        sql.push_str(&format!(" DEFAULT ({default})"));
    }
    if let Some(check) = column.str("check")? {
        check_expression("check", check)?;
        sql.push_str(&format!(" CHECK ({check})"));
    }
    Ok(sql)
}

/// A type name: words, and numbers in parentheses or brackets. Whether it exists is DDL's affair.
fn type_sql(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_alphanumeric() || " _.\"".contains(c);
    let mut depth = 0;
    for c in name.chars() {
        match c {
            '(' | '[' if depth == 0 => depth = 1,
            ')' | ']' if depth == 1 => depth = 0,
            ',' if depth == 1 => {}
            c if plain(c) => {}
            _ => {
                return Err(Failure::field(format!(
                    "\"{name}\" is not the name of a type"
                )));
            }
        }
    }
    if depth == 0 {
        Ok(name)
    } else {
        Err(Failure::field(format!(
            "\"{name}\" is not the name of a type"
        )))
    }
}

/// Expressions stand in parentheses; they may call functions, but not end the parentheses.
fn check_expression(field: &str, text: &str) -> Result<()> {
    let mut depth = 0_i32;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ';' | '$') => depth = i32::MIN,
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    if depth == 0 && quote.is_none() && !text.contains("--") && !text.contains("/*") {
        return Ok(());
    }
    Err(Failure::field(format!(
        "field \"{field}\" must be one expression"
    )))
}

/// Reads a text as a type, an expression and a table with them.
pub fn fuzz(text: &str) {
    let _ = (type_sql(text), check_expression("default", text));
    if let Ok(column) = Fields::parse(text.as_bytes()) {
        let _ = (column_sql(&column), index_sql("t", &column));
    }
}

fn index_sql(table: &str, index: &Fields) -> Result<String> {
    let columns = index.strings("columns")?.filter(|c| !c.is_empty());
    let columns = columns.ok_or_else(|| {
        Failure::field("field \"columns\" of an index must have at least one column")
    })?;
    let unique = if index.bool("unique", false)? {
        "UNIQUE "
    } else {
        ""
    };
    let name = index
        .str("name")?
        .map_or(String::new(), |name| format!("{} ", quote(name)));
    let method = index.str("type")?.unwrap_or("btree");
    let mut sql = format!(
        "CREATE {unique}INDEX {name}ON {table} USING {} ({})",
        quote(method),
        quote_list(columns)
    );
    if let Some(options) = index.object("options")? {
        sql.push_str(&options_sql(options)?);
    }
    Ok(sql)
}

fn options_sql(options: &Map<String, Json>) -> Result<String> {
    let mut list = Vec::with_capacity(options.len());
    for (name, value) in options {
        let value = match value {
            Json::Number(n) => n.to_string(),
            Json::Bool(b) => b.to_string(),
            Json::String(s) => format!("'{}'", s.replace('\'', "''")),
            _ => {
                return Err(Failure::field(format!(
                    "option \"{name}\" of an index must be a number, a string or a boolean"
                )));
            }
        };
        list.push(format!("{} = {value}", quote(name)));
    }
    Ok(if list.is_empty() {
        String::new()
    } else {
        format!(" WITH ({})", list.join(", "))
    })
}

pub async fn alter(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let operations = request
        .fields
        .objects("operations")?
        .filter(|o| !o.is_empty());
    let operations = operations
        .ok_or_else(|| Failure::field("field \"operations\" must have at least one operation"))?;
    let mut table = target.sql();
    let mut name = target.name().to_owned();
    let mut statements = Vec::with_capacity(operations.len());
    for operation in &operations {
        let operation = Fields::from_map((*operation).clone());
        let schema = quote(&target.schema.name);
        statements.extend(operation_sql(&table, &schema, &operation)?);
        if operation.str("operation")? == Some("rename_table") {
            name = operation.required_str("new_name")?.to_owned();
            table = format!("{schema}.{}", quote(&name));
        }
    }
    run_all(app, request, &statements).await?;
    Ok(Reply::value(
        200,
        &json!({
            "success": true,
            "operations_completed": operations.len(),
            "table": {"name": name, "updated_at": json::now()},
        }),
    ))
}

/// The statements of one operation.
fn operation_sql(table: &str, schema: &str, operation: &Fields) -> Result<Vec<String>> {
    let object = |name: &str| -> Result<Fields> {
        let map = operation
            .object(name)?
            .ok_or_else(|| Failure::field(format!("field \"{name}\" is required")))?;
        Ok(Fields::from_map(map.clone()))
    };
    let quoted = |name: &str| operation.required_str(name).map(quote);
    let statement = match operation.required_str("operation")? {
        "alter_column" => return alter_column_sql(table, operation),
        "add_constraint" => constraint_sql(table, schema, &object("constraint")?),
        "add_column" => {
            let column = object("column")?;
            let key = if column.bool("primary_key", false)? {
                " PRIMARY KEY"
            } else {
                ""
            };
            Ok(format!(
                "ALTER TABLE {table} ADD COLUMN {}{key}",
                column_sql(&column)?
            ))
        }
        "drop_column" => Ok(format!(
            "ALTER TABLE {table} DROP COLUMN {}",
            quoted("column_name")?
        )),
        "rename_column" => Ok(format!(
            "ALTER TABLE {table} RENAME COLUMN {} TO {}",
            quoted("old_name")?,
            quoted("new_name")?
        )),
        "add_index" => index_sql(table, &object("index")?),
        "drop_index" => Ok(format!("DROP INDEX {schema}.{}", quoted("index_name")?)),
        "rename_table" => Ok(format!(
            "ALTER TABLE {table} RENAME TO {}",
            quoted("new_name")?
        )),
        "drop_constraint" => Ok(format!(
            "ALTER TABLE {table} DROP CONSTRAINT {}",
            quoted("constraint_name")?
        )),
        other => Err(Failure::field(format!(
            "operation \"{other}\" is not known: expected add_column, drop_column, rename_column, alter_column, add_index, drop_index, rename_table, add_constraint or drop_constraint"
        ))),
    };
    statement.map(|sql| vec![sql])
}

/// `alter_column`: `type`, `nullable` and `default` as in `add_column`, each of them if it is there;
/// a default of null drops the default.
fn alter_column_sql(table: &str, operation: &Fields) -> Result<Vec<String>> {
    let column = quote(operation.required_str("column_name")?);
    let mut changes = Vec::new();
    if let Some(name) = operation.str("type")? {
        changes.push(format!("TYPE {}", type_sql(name)?));
    }
    if operation.has("nullable") {
        let verb = if operation.bool("nullable", true)? {
            "DROP"
        } else {
            "SET"
        };
        changes.push(format!("{verb} NOT NULL"));
    }
    match operation.str("default")? {
        Some(default) => {
            check_expression("default", default)?;
            changes.push(format!("SET DEFAULT ({default})"));
        }
        None if operation.has("default") => changes.push("DROP DEFAULT".to_owned()),
        None => {}
    }
    if changes.is_empty() {
        return Err(Failure::field(
            "operation \"alter_column\" needs one of the fields \"type\", \"nullable\" and \"default\"",
        ));
    }
    let statement = |change| format!("ALTER TABLE {table} ALTER COLUMN {column} {change}");
    Ok(changes.into_iter().map(statement).collect())
}

/// A constraint as a table's description has it, `name`, `type` and `definition`, for checks; the
/// others have `columns`, and a foreign key `references` with a table and its columns.
fn constraint_sql(table: &str, schema: &str, constraint: &Fields) -> Result<String> {
    let name = match constraint.str("name")? {
        Some(name) => format!("CONSTRAINT {} ", quote(name)),
        None => String::new(),
    };
    let columns = |fields: &Fields, of: &str| -> Result<String> {
        let columns = fields.strings("columns")?.filter(|c| !c.is_empty());
        columns.map(quote_list).ok_or_else(|| {
            Failure::field(format!(
                "field \"columns\" of {of} must have at least one column"
            ))
        })
    };
    let body = match constraint.required_str("type")? {
        "check" => {
            let definition = constraint.required_str("definition")?;
            check_expression("definition", definition)?;
            format!("CHECK ({definition})")
        }
        "unique" => format!("UNIQUE ({})", columns(constraint, "a constraint")?),
        "primary_key" => format!("PRIMARY KEY ({})", columns(constraint, "a constraint")?),
        "foreign_key" => {
            let references = constraint
                .object("references")?
                .ok_or_else(|| Failure::field("field \"references\" is required"))?;
            let references = Fields::from_map(references.clone());
            let target_schema = references.str("schema")?.map(quote);
            format!(
                "FOREIGN KEY ({}) REFERENCES {}.{} ({})",
                columns(constraint, "a constraint")?,
                target_schema.as_deref().unwrap_or(schema),
                quote(references.required_str("table")?),
                columns(&references, "\"references\"")?
            )
        }
        other => {
            return Err(Failure::field(format!(
                "field \"type\" of a constraint must be check, unique, primary_key or foreign_key, not \"{other}\""
            )));
        }
    };
    Ok(format!("ALTER TABLE {table} ADD {name}{body}"))
}

pub async fn drop(app: &App, request: &Request) -> Result<Reply> {
    let name = request.capture(0);
    let reply = json!({"success": true, "table": name, "dropped_at": json::now()});
    let target = match find_target(app, request) {
        Err(failure)
            if failure.fault == Fault::PathTableMissing
                && request.query_bool("if_exists", false)? =>
        {
            return Ok(Reply::value(200, &reply));
        }
        other => other?,
    };
    let kind = match target.relation {
        crate::target::Rows::Table(_) | crate::target::Rows::Virtual(_) => "TABLE",
        crate::target::Rows::View(_) => "VIEW",
    };
    let cascade = if request.query_bool("cascade", false)? {
        " CASCADE"
    } else {
        ""
    };
    run_all(
        app,
        request,
        &[format!("DROP {kind} {}{cascade}", target.sql())],
    )
    .await?;
    Ok(Reply::value(200, &reply))
}

/// Runs DDL in one transaction.
async fn run_all(app: &App, request: &Request, statements: &[String]) -> Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    if statements.len() > STATEMENTS_MAX {
        return Err(Failure::new(
            Fault::WrongField,
            ErrorKind::LimitExceeded,
            format!("more than {STATEMENTS_MAX} statements in one request"),
        ));
    }
    let mut session = Borrowed::new(app, request)?.into_session()?;
    session.begin(TransactionMode::default())?;
    for statement in statements {
        let ready = execute::prepare(&mut session, statement, &[])
            .map_err(|e| super::row::without_position(e.into()))?;
        execute::run(&mut session, &ready, &mut Rows::default(), TIMEOUT)
            .await
            .map_err(|e| super::row::without_position(e.into()))?;
    }
    session.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_column_of_the_contract_becomes_sql() {
        let cases = [
            (
                r#"{"name":"id","type":"BIGSERIAL","nullable":false,"primary_key":true}"#,
                "\"id\" BIGSERIAL NOT NULL",
            ),
            (
                r#"{"name":"price","type":"DECIMAL(10,2)","nullable":false,"check":"price >= 0"}"#,
                "\"price\" DECIMAL(10,2) NOT NULL CHECK (price >= 0)",
            ),
            (
                r#"{"name":"created_at","type":"TIMESTAMP WITH TIME ZONE","default":"NOW()"}"#,
                "\"created_at\" TIMESTAMP WITH TIME ZONE DEFAULT (NOW())",
            ),
        ];
        for (json, sql) in cases {
            assert_eq!(column_sql(&fields(json)).unwrap(), sql);
        }
    }

    #[test]
    fn what_would_leave_its_place_in_the_statement_is_refused() {
        for json in [
            r#"{"name":"a","type":"int, b int"}"#,
            r#"{"name":"a","type":"int); drop table x"}"#,
            r#"{"name":"a","type":"int","default":"1), b int default (2"}"#,
            r#"{"name":"a","type":"int","check":"a > 1; drop table x"}"#,
            r#"{"name":"a","type":"int","check":"a > 'x"}"#,
            r#"{"name":"a"}"#,
        ] {
            assert!(column_sql(&fields(json)).is_err(), "{json}");
        }
    }

    /// An operation, and its statements or none when it is refused.
    #[test]
    fn an_operation_becomes_the_statements_of_its_parts() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            (
                r#"{"operation":"alter_column","column_name":"a","type":"BIGINT","nullable":false,"default":null}"#,
                Some(&[
                    "ALTER TABLE t ALTER COLUMN \"a\" TYPE BIGINT",
                    "ALTER TABLE t ALTER COLUMN \"a\" SET NOT NULL",
                    "ALTER TABLE t ALTER COLUMN \"a\" DROP DEFAULT",
                ]),
            ),
            (
                r#"{"operation":"alter_column","column_name":"a","nullable":true,"default":"1 + 1"}"#,
                Some(&[
                    "ALTER TABLE t ALTER COLUMN \"a\" DROP NOT NULL",
                    "ALTER TABLE t ALTER COLUMN \"a\" SET DEFAULT (1 + 1)",
                ]),
            ),
            (r#"{"operation":"alter_column","column_name":"a"}"#, None),
            (
                r#"{"operation":"alter_column","column_name":"a","type":"int; drop table x"}"#,
                None,
            ),
            (
                r#"{"operation":"add_constraint","constraint":{"name":"c","type":"check","definition":"a > 0"}}"#,
                Some(&["ALTER TABLE t ADD CONSTRAINT \"c\" CHECK (a > 0)"]),
            ),
            (
                r#"{"operation":"add_constraint","constraint":{"type":"check","definition":"a > 0) , ADD CHECK (b"}}"#,
                None,
            ),
            (
                r#"{"operation":"add_constraint","constraint":{"type":"unique","columns":["a","b"]}}"#,
                Some(&["ALTER TABLE t ADD UNIQUE (\"a\", \"b\")"]),
            ),
            (
                r#"{"operation":"add_constraint","constraint":{"type":"unique","columns":[]}}"#,
                None,
            ),
            (
                r#"{"operation":"add_constraint","constraint":{"name":"f","type":"foreign_key","columns":["a"],"references":{"table":"u","columns":["id"]}}}"#,
                Some(&[
                    "ALTER TABLE t ADD CONSTRAINT \"f\" FOREIGN KEY (\"a\") REFERENCES s.\"u\" (\"id\")",
                ]),
            ),
            (
                r#"{"operation":"add_constraint","constraint":{"type":"exclude"}}"#,
                None,
            ),
        ];
        for (json, expected) in cases {
            let statements = operation_sql("t", "s", &fields(json)).ok();
            let expected = expected.map(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(statements, expected, "{json}");
        }
    }

    #[test]
    fn an_index_of_the_contract_becomes_sql() {
        let index = fields(
            r#"{"name":"i","columns":["e"],"type":"hnsw","options":{"m":16,"ef_construction":64}}"#,
        );
        assert_eq!(
            index_sql("t", &index).unwrap(),
            "CREATE INDEX \"i\" ON t USING \"hnsw\" (\"e\") WITH (\"m\" = 16, \"ef_construction\" = 64)"
        );
    }
}
