//! reading rows of a table.

use super::cursor::{self, Position, SortKey};
use crate::app::App;
use crate::error::{Failure, Fault, Result};
use crate::execute::Borrowed;
use crate::filter;
use crate::json::{JsonRows, Separator, parameter, write_str, write_value};
use crate::reply::Reply;
use crate::request::Request;
use crate::target::{self, Target, quote, quote_list};
use helios_types::value::Rows;
use helios_types::{Error, ErrorKind, Type, Value};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 10_000;
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// What a list asks for.
struct Page {
    columns: Vec<(String, Type)>,
    filter: Option<String>,
    keys: Vec<SortKey>,
    limit: u64,
    offset: u64,
    position: Option<Position>,
    with_cursor: bool,
}

pub fn find_target(app: &App, request: &Request) -> Result<Target> {
    let catalog = app.engine.catalog();
    let name = request.capture(0);
    let database = catalog.database_named(&request.database).map(|d| d.id);
    match database {
        Some(database) => target::find(&catalog, database, name),
        None => Err(target::missing(name)),
    }
}

pub async fn list(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let page = page(&target, request)?;
    let mut borrowed = Borrowed::new(app, request)?;
    let total = count(&mut borrowed, &target, page.filter.as_deref()).await?;
    let (sql, params) = page.sql(&target);
    let mut rows = Rows::default();
    borrowed
        .run(&sql, &params, &mut rows, TIMEOUT)
        .await
        .map_err(without_position)?;
    Ok(Reply::json(200, page.body(rows.0, total)?))
}

fn page(target: &Target, request: &Request) -> Result<Page> {
    let filter = request.query_str("filter").filter(|f| !f.trim().is_empty());
    if let Some(filter) = filter {
        filter::check(filter)?;
    }
    let limit = request.query_u64("limit")?.unwrap_or(LIMIT_DEFAULT);
    if limit > LIMIT_MAX {
        // The contract gives this wrong value 400, not 422.
        let message = format!("query parameter \"limit\" must be at most {LIMIT_MAX}");
        return Err(Failure::new(
            Fault::MalformedJson,
            ErrorKind::InvalidParameterValue,
            message,
        ));
    }
    let keys = cursor::order(target, request.query_str("order_by"))?;
    let with_cursor = request.query_str("cursor").is_some();
    let position = match request.query_str("cursor") {
        Some(_) if target.key().is_empty() => {
            return Err(Failure::field(
                "a table without a primary key has no cursors: use \"offset\"",
            ));
        }
        Some(text) => Some(cursor::decode(text, &keys)?),
        None => None,
    };
    let offset = request.query_u64("offset")?.unwrap_or(0);
    if i64::try_from(offset).is_err() {
        return Err(Failure::field("query parameter \"offset\" is too large"));
    }
    if with_cursor && offset > 0 {
        return Err(Failure::field(
            "\"cursor\" and \"offset\" exclude each other",
        ));
    }
    Ok(Page {
        columns: selected(target, request.query_str("select"))?,
        filter: filter.map(str::to_owned),
        keys,
        limit,
        offset,
        position,
        with_cursor,
    })
}

fn selected(target: &Target, select: Option<&str>) -> Result<Vec<(String, Type)>> {
    let all = target.columns();
    let owned = |(name, ty): &(&str, Type)| ((*name).to_owned(), *ty);
    let Some(select) = select.filter(|s| !s.trim().is_empty() && s.trim() != "*") else {
        return Ok(all.iter().map(owned).collect());
    };
    let mut columns: Vec<(String, Type)> = Vec::new();
    for name in select.split(',').map(str::trim) {
        target.check_column(name)?;
        // The names of an object are unique: a column that comes twice stands once.
        if columns.iter().all(|(known, _)| known != name) {
            columns.extend(all.iter().find(|(column, _)| *column == name).map(owned));
        }
    }
    Ok(columns)
}

async fn count(borrowed: &mut Borrowed<'_>, target: &Target, filter: Option<&str>) -> Result<i64> {
    if let (None, target::Rows::Table(table)) = (filter, &target.relation) {
        return Ok(borrowed.session()?.table_rows(table)?);
    }
    let condition = filter.map_or(String::new(), |f| format!(" WHERE ({f})"));
    let sql = format!("SELECT count(*) FROM {}{condition}", target.sql());
    let mut rows = Rows::default();
    borrowed
        .run(&sql, &[], &mut rows, TIMEOUT)
        .await
        .map_err(without_position)?;
    Ok(rows
        .0
        .first()
        .and_then(|row| row.first())
        .and_then(Value::as_i64)
        .unwrap_or(0))
}

/// The statement is ours, so a position in it tells the client nothing.
pub fn without_position(mut failure: Failure) -> Failure {
    failure.error.fields_mut().position = None;
    failure
}

impl Page {
    fn sql(&self, target: &Target) -> (String, Vec<Json>) {
        let mut params = Vec::new();
        let mut conditions = Vec::new();
        if let Some(filter) = &self.filter {
            conditions.push(format!("({filter})"));
        }
        if let Some(position) = &self.position {
            conditions.push(cursor::condition(&self.keys, position, &mut params));
        }
        let condition = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let order = cursor::order_sql(&self.keys, self.is_backwards());
        let order = if order.is_empty() {
            order
        } else {
            format!(" ORDER BY {order}")
        };
        // The sort key travels behind the columns, for the next cursor.
        let names = self.columns.iter().map(|(name, _)| name.as_str());
        let list = quote_list(names.chain(self.keys.iter().map(|k| k.column.as_str())));
        // One row more than the page tells whether there are more.
        params.push(Json::from(self.limit + 1));
        let mut sql = format!(
            "SELECT {list} FROM {}{condition}{order} LIMIT ${}",
            target.sql(),
            params.len()
        );
        if self.offset > 0 {
            params.push(Json::from(self.offset));
            sql.push_str(&format!(" OFFSET ${}", params.len()));
        }
        (sql, params)
    }

    fn is_backwards(&self) -> bool {
        self.position.as_ref().is_some_and(|p| p.backwards)
    }

    fn body(&self, mut rows: Vec<Vec<Value>>, total: i64) -> Result<Vec<u8>> {
        let beyond = rows.len() as u64 > self.limit;
        rows.truncate(self.limit as usize);
        if self.is_backwards() {
            rows.reverse();
        }
        let mut out = b"{\"data\":[".to_vec();
        for (i, row) in rows.iter().enumerate() {
            out.push(if i == 0 { b'{' } else { b',' });
            if i > 0 {
                out.push(b'{');
            }
            for (j, ((name, ty), value)) in self.columns.iter().zip(row).enumerate() {
                if j > 0 {
                    out.push(b',');
                }
                write_str(&mut out, name);
                out.push(b':');
                write_value(&mut out, *ty, &value.as_ref())?;
            }
            out.push(b'}');
        }
        let (has_next, has_previous) = if self.is_backwards() {
            (true, beyond)
        } else {
            (beyond, self.position.is_some())
        };
        let at = |row: Option<&Vec<Value>>, backwards| -> Result<String> {
            let Some(values) = row.and_then(|r| r.get(self.columns.len()..)) else {
                return Ok("null".to_owned());
            };
            if self.keys.is_empty() {
                return Ok("null".to_owned());
            }
            Ok(format!(
                "\"{}\"",
                cursor::encode(&self.keys, values, backwards)?
            ))
        };
        let next = if has_next {
            at(rows.last(), false)?
        } else {
            "null".to_owned()
        };
        let limit = self.limit;
        let pagination = if self.with_cursor {
            let previous = if has_previous {
                at(rows.first(), true)?
            } else {
                "null".to_owned()
            };
            format!(
                "{{\"limit\":{limit},\"total_count\":{total},\"has_more\":{has_next},\"next_cursor\":{next},\"prev_cursor\":{previous}}}"
            )
        } else {
            let offset = self.offset;
            format!(
                "{{\"total_count\":{total},\"limit\":{limit},\"offset\":{offset},\"has_more\":{has_next},\"next_cursor\":{next}}}"
            )
        };
        out.extend_from_slice(format!("],\"pagination\":{pagination}}}").as_bytes());
        Ok(out)
    }
}

/// What it takes to read one row of a table by its key: all of a request but its id.
#[derive(Debug)]
pub struct PointRead {
    database: String,
    catalog_version: u64,
    sql: String,
    columns: Vec<(String, Type)>,
    key: Vec<KeyColumn>,
}

/// A column of a key; the key of a document is not among its columns.
type KeyColumn = (String, Option<Type>);

/// Tables of which rows were read by key lately, by their names in paths.
#[derive(Debug, Default)]
pub struct PointReads(Mutex<HashMap<String, Arc<PointRead>>>);

impl PointReads {
    const MOST: usize = 256;

    fn get(&self, request: &Request, catalog_version: u64) -> Option<Arc<PointRead>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(request.capture(0))?;
        let is_it = found.catalog_version == catalog_version && found.database == request.database;
        is_it.then(|| found.clone())
    }

    fn put(&self, request: &Request, read: Arc<PointRead>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= Self::MOST {
            kept.clear();
        }
        kept.insert(request.capture(0).to_owned(), read);
    }
}

fn point_read(app: &App, request: &Request) -> Result<Arc<PointRead>> {
    let select = request.query_str("select");
    // Before the table is looked up, so that what is kept is never older than it says.
    let catalog_version = app.engine.catalog().version;
    if select.is_none()
        && let Some(known) = app.point_reads.get(request, catalog_version)
    {
        return Ok(known);
    }
    let target = find_target(app, request)?;
    let columns = selected(&target, select)?;
    let key = key_columns(&target)?;
    let list = quote_list(columns.iter().map(|(name, _)| name.as_str()));
    let condition = key_condition(&key, 0);
    let read = Arc::new(PointRead {
        database: request.database.clone(),
        catalog_version,
        sql: format!("SELECT {list} FROM {} WHERE {condition}", target.sql()),
        columns,
        key,
    });
    if select.is_none() {
        app.point_reads.put(request, read.clone());
    }
    Ok(read)
}

///
pub async fn by_id(app: &App, request: &Request) -> Result<Reply> {
    let read = point_read(app, request)?;
    let params = key_values(&read.key, request)?;
    let mut rows = JsonRows::objects(
        read.columns.iter().map(|(name, ty)| (name.as_str(), *ty)),
        Separator::Comma,
    );
    rows.out.extend_from_slice(b"{\"data\":");
    let mut borrowed = Borrowed::new(app, request)?;
    borrowed
        .run(&read.sql, &params, &mut rows, TIMEOUT)
        .await
        .map_err(without_position)?;
    if rows.count == 0 {
        return Err(row_missing(request));
    }
    rows.out.push(b'}');
    Ok(Reply::json(200, rows.out))
}

/// `key = $n` for the id of a path, and its values.
pub fn id_condition(
    target: &Target,
    request: &Request,
    params_before: usize,
) -> Result<(String, Vec<Json>)> {
    let key = key_columns(target)?;
    let values = key_values(&key, request)?;
    Ok((key_condition(&key, params_before), values))
}

/// The columns that an id gives the values of.
fn key_columns(target: &Target) -> Result<Vec<KeyColumn>> {
    let types = target.columns();
    let mut key = Vec::new();
    for name in target.key() {
        let ty = types.iter().find(|(column, _)| *column == name);
        key.push((name.to_owned(), ty.map(|(_, ty)| *ty)));
    }
    if key.is_empty() {
        let name = target.name();
        return Err(Failure::from(
            Error::new(
                ErrorKind::ObjectNotInPrerequisiteState,
                format!("relation \"{name}\" has no primary key"),
            )
            .with_hint("use \"filter\" on /rows"),
        ));
    }
    Ok(key)
}

fn key_condition(key: &[KeyColumn], params_before: usize) -> String {
    key.iter()
        .enumerate()
        .map(|(i, (column, _))| format!("{} = ${}", quote(column), params_before + i + 1))
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// The values of the id of a path; the parts of a composite key are separated by commas. An id that
/// cannot be a value of the key's type names no row.
fn key_values(key: &[KeyColumn], request: &Request) -> Result<Vec<Json>> {
    let id = request.capture(1);
    let parts: Vec<Json> = match key {
        [_] => vec![Json::from(id)],
        _ => id.split(',').map(Json::from).collect(),
    };
    if parts.len() != key.len() {
        return Err(Failure::field(format!(
            "the primary key has {} columns, the path has {} values",
            key.len(),
            parts.len()
        )));
    }
    for ((_, ty), part) in key.iter().zip(&parts) {
        if ty.is_some_and(|ty| parameter(part, ty).is_err()) {
            return Err(row_missing(request));
        }
    }
    Ok(parts)
}

pub fn row_missing(request: &Request) -> Failure {
    let (table, id) = (request.capture(0), request.capture(1));
    Failure::not_found(format!("relation \"{table}\" has no row with id \"{id}\""))
}
