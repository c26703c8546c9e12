//! changing rows of a table.
//!
//! Each is one SQL statement with parameters, so that it is planned, authorised and executed as
//! the same change by any other protocol. Several rows are inserted by one prepared statement run
//! for each row in one transaction: the statement's text, and so its template, does not depend on
//! how many rows there are.

use super::row::{TIMEOUT, find_target, id_condition, row_missing, without_position};
use crate::app::App;
use crate::error::{Failure, Result};
use crate::execute::{self, Borrowed};
use crate::filter;
use crate::json::{JsonRows, Separator};
use crate::reply::Reply;
use crate::request::Request;
use crate::target::{Target, quote, quote_list};
use helios_engine::TransactionMode;
use helios_types::{Type, limits};
use serde_json::{Map, Value as Json};

/// Most rows of one insert.
const ROWS_MAX: usize = 100_000;

pub async fn insert(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let one = request.fields.object("row")?;
    let many = request.fields.objects("rows")?;
    let rows: Vec<&Map<String, Json>> = match (one, many) {
        (Some(row), None) => vec![row],
        (None, Some(rows)) => rows,
        _ => {
            return Err(Failure::field(
                "exactly one of the fields \"row\" and \"rows\" is required",
            ));
        }
    };
    if rows.len() > ROWS_MAX {
        return Err(Failure::field(format!(
            "field \"rows\" must have at most {ROWS_MAX} rows"
        )));
    }
    let conflict = on_conflict(request, &target)?;
    let returning = returning(&target, request)?;
    let mut out = returning.rows(b"");
    let inserted = insert_rows(
        app, request, &target, &rows, &conflict, &returning, &mut out,
    )
    .await?;
    let mut body =
        format!("{{\"success\":true,\"inserted_count\":{inserted},\"data\":[").into_bytes();
    body.extend_from_slice(&out.out);
    body.extend_from_slice(b"]}");
    Ok(Reply::json(201, body))
}

async fn insert_rows(
    app: &App,
    request: &Request,
    target: &Target,
    rows: &[&Map<String, Json>],
    conflict: &str,
    returning: &Returning,
    out: &mut JsonRows,
) -> Result<u64> {
    let statement = |row: &Map<String, Json>| -> Result<(String, Vec<Json>)> {
        for name in row.keys() {
            target.check_column(name)?;
        }
        Ok((
            insert_sql(target, row, conflict, &returning.sql),
            row.values().cloned().collect(),
        ))
    };
    if let [row] = rows {
        let (sql, params) = statement(row)?;
        let mut borrowed = Borrowed::new(app, request)?;
        return Ok(borrowed
            .run(&sql, &params, out, TIMEOUT)
            .await
            .map_err(without_position)?
            .rows);
    }
    let mut session = Borrowed::new(app, request)?.into_session()?;
    session.begin(TransactionMode::default())?;
    let mut inserted = 0;
    let mut last: Option<(String, execute::Ready)> = None;
    for row in rows {
        let (sql, params) = statement(row)?;
        // Rows mostly have the same columns, so the statement is prepared once.
        let ready = match last.take().filter(|(text, _)| *text == sql) {
            Some((_, ready)) => execute::Ready {
                params: params
                    .iter()
                    .zip(&ready.prepared.params)
                    .map(|(json, ty)| crate::json::parameter(json, *ty))
                    .collect::<helios_types::Result<_>>()?,
                prepared: ready.prepared,
            },
            None => execute::prepare(&mut session, &sql, &params)
                .map_err(|e| without_position(e.into()))?,
        };
        inserted += execute::run(&mut session, &ready, out, TIMEOUT).await?.rows;
        last = Some((sql, ready));
    }
    session.commit().await?;
    Ok(inserted)
}

fn insert_sql(target: &Target, row: &Map<String, Json>, conflict: &str, returning: &str) -> String {
    let table = target.sql();
    if row.is_empty() {
        return format!("INSERT INTO {table} DEFAULT VALUES{conflict}{returning}");
    }
    let columns = quote_list(row.keys().map(String::as_str));
    let values = (1..=row.len())
        .map(|i| format!("${i}"))
        .collect::<Vec<_>>()
        .join(", ");
    format!("INSERT INTO {table} ({columns}) VALUES ({values}){conflict}{returning}")
}

fn on_conflict(request: &Request, target: &Target) -> Result<String> {
    let Some(conflict) = request.fields.object("on_conflict")? else {
        return Ok(String::new());
    };
    let conflict = crate::json::Fields::from_map(conflict.clone());
    let columns = conflict.strings("columns")?.unwrap_or_default();
    for column in &columns {
        target.check_column(column)?;
    }
    let targets = if columns.is_empty() {
        String::new()
    } else {
        format!(" ({})", quote_list(columns.iter().copied()))
    };
    match conflict.required_str("action")? {
        "nothing" => Ok(format!(" ON CONFLICT{targets} DO NOTHING")),
        "update" if columns.is_empty() => Err(Failure::field(
            "field \"on_conflict.columns\" is required for action \"update\"",
        )),
        "update" => {
            let updated = conflict
                .strings("update_columns")?
                .filter(|c| !c.is_empty())
                .ok_or_else(|| {
                    Failure::field(
                        "field \"on_conflict.update_columns\" is required for action \"update\"",
                    )
                })?;
            let mut assignments = Vec::with_capacity(updated.len());
            for column in updated {
                target.check_column(column)?;
                assignments.push(format!("{0} = EXCLUDED.{0}", quote(column)));
            }
            Ok(format!(
                " ON CONFLICT{targets} DO UPDATE SET {}",
                assignments.join(", ")
            ))
        }
        other => Err(Failure::field(format!(
            "field \"on_conflict.action\" must be update or nothing, not \"{other}\""
        ))),
    }
}

/// The RETURNING clause and the columns it gives.
struct Returning {
    sql: String,
    columns: Vec<(String, Type)>,
}

impl Returning {
    fn rows(&self, prefix: &[u8]) -> JsonRows {
        let columns = self.columns.iter().map(|(name, ty)| (name.as_str(), *ty));
        let mut rows = JsonRows::objects(columns, Separator::Comma);
        rows.out.extend_from_slice(prefix);
        rows
    }
}

fn returning(target: &Target, request: &Request) -> Result<Returning> {
    let names = request.fields.strings("returning")?.unwrap_or_default();
    let all = target.columns();
    let mut columns: Vec<(String, Type)> = Vec::with_capacity(names.len());
    for name in names {
        if name != "*" {
            target.check_column(name)?;
        }
        // The names of an object are unique: a column that comes twice stands once.
        for (column, ty) in &all {
            let wanted = name == "*" || name == *column;
            if wanted && columns.iter().all(|(known, _)| known != column) {
                columns.push(((*column).to_owned(), *ty));
            }
        }
    }
    let sql = if columns.is_empty() {
        String::new()
    } else {
        format!(
            " RETURNING {}",
            quote_list(columns.iter().map(|(name, _)| name.as_str()))
        )
    };
    Ok(Returning { sql, columns })
}

/// `SET` with parameters.
fn assignments(target: &Target, request: &Request) -> Result<(String, Vec<Json>)> {
    let updates = request
        .fields
        .object("updates")?
        .ok_or_else(|| Failure::field("field \"updates\" is required"))?;
    if updates.is_empty() || updates.len() > limits::COLUMNS_MAX {
        return Err(Failure::field(
            "field \"updates\" must have at least one column",
        ));
    }
    let mut list = Vec::with_capacity(updates.len());
    for (i, name) in updates.keys().enumerate() {
        target.check_column(name)?;
        list.push(format!("{} = ${}", quote(name), i + 1));
    }
    Ok((list.join(", "), updates.values().cloned().collect()))
}

/// The condition of an update or delete: never absent, so that no table is changed by accident.
fn required_filter(request: &Request) -> Result<&str> {
    let filter = match request.fields.str("filter")? {
        Some(filter) => filter,
        None => request
            .query_str("filter")
            .ok_or_else(|| Failure::field("field \"filter\" is required"))?,
    };
    filter::check(filter)?;
    Ok(filter)
}

pub async fn update(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let filter = required_filter(request)?;
    let (set, params) = assignments(&target, request)?;
    let returning = returning(&target, request)?;
    let sql = format!(
        "UPDATE {} SET {set} WHERE ({filter}){}",
        target.sql(),
        returning.sql
    );
    changed(app, request, &sql, &params, &returning, "affected_rows").await
}

pub async fn delete(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let returning = returning(&target, request)?;
    let sql = format!(
        "DELETE FROM {} WHERE ({}){}",
        target.sql(),
        required_filter(request)?,
        returning.sql
    );
    changed(app, request, &sql, &[], &returning, "deleted_count").await
}

async fn changed(
    app: &App,
    request: &Request,
    sql: &str,
    params: &[Json],
    returning: &Returning,
    count: &str,
) -> Result<Reply> {
    let mut rows = returning.rows(b"");
    let mut borrowed = Borrowed::new(app, request)?;
    let completion = borrowed
        .run(sql, params, &mut rows, TIMEOUT)
        .await
        .map_err(without_position)?;
    let mut body = format!(
        "{{\"success\":true,\"{count}\":{},\"data\":[",
        completion.rows
    )
    .into_bytes();
    body.extend_from_slice(&rows.out);
    body.extend_from_slice(b"]}");
    Ok(Reply::json(200, body))
}

pub async fn patch(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let (set, mut params) = assignments(&target, request)?;
    let (condition, id) = id_condition(&target, request, params.len())?;
    params.extend(id);
    let returning = returning(&target, request)?;
    let sql = format!(
        "UPDATE {} SET {set} WHERE {condition}{}",
        target.sql(),
        returning.sql
    );
    let mut rows = returning.rows(b"{\"success\":true,\"data\":");
    let mut borrowed = Borrowed::new(app, request)?;
    let completion = borrowed
        .run(&sql, &params, &mut rows, TIMEOUT)
        .await
        .map_err(without_position)?;
    if completion.rows == 0 {
        return Err(row_missing(request));
    }
    let mut body = rows.out;
    if rows.count == 0 {
        body.extend_from_slice(b"{}");
    }
    body.push(b'}');
    Ok(Reply::json(200, body))
}

pub async fn delete_by_id(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let (condition, params) = id_condition(&target, request, 0)?;
    let sql = format!("DELETE FROM {} WHERE {condition}", target.sql());
    let mut borrowed = Borrowed::new(app, request)?;
    let completion = borrowed
        .run(
            &sql,
            &params,
            &mut helios_types::value::Rows::default(),
            TIMEOUT,
        )
        .await
        .map_err(without_position)?;
    if completion.rows == 0 {
        return Err(row_missing(request));
    }
    Ok(Reply::json(
        200,
        b"{\"success\":true,\"deleted\":true}".to_vec(),
    ))
}
