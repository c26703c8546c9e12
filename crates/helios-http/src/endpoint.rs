//! The endpoints, by topic, and the one match that calls them.

mod admin;
mod cursor;
mod explain;
mod query;
mod row;
mod row_change;
mod table;
mod table_ddl;
mod transaction;

pub use row::PointReads;

use crate::app::App;
use crate::error::Result;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::Endpoint;
use std::sync::Arc;

/// Reads a text as each of the small languages that endpoints take from clients.
pub fn fuzz(text: &str) {
    table_ddl::fuzz(text);
    let key = |column: &str| cursor::SortKey {
        column: column.to_owned(),
        ty: helios_types::Type::INT8,
        descending: false,
        nullable: true,
    };
    for keys in [&[key("id")][..], &[key("name"), key("id")], &[]] {
        if let Ok(position) = cursor::decode(text, keys) {
            let _ = cursor::condition(keys, &position, &mut Vec::new());
        }
    }
}

pub async fn call(endpoint: Endpoint, app: &Arc<App>, request: &Request) -> Result<Reply> {
    match endpoint {
        Endpoint::Query => query::query(app, request).await,
        Endpoint::BranchQuery => query::branch_query(app, request).await,
        Endpoint::QueryStream => query::stream(app, request).await,
        Endpoint::QueryCancel => query::cancel(app, request),
        Endpoint::QueryExplain => explain::explain(app, request).await,
        Endpoint::TableList => table::list(app, request),
        Endpoint::TableDetail => table::detail(app, request),
        Endpoint::TableCreate => table_ddl::create(app, request).await,
        Endpoint::TableAlter => table_ddl::alter(app, request).await,
        Endpoint::TableDrop => table_ddl::drop(app, request).await,
        Endpoint::RowList => row::list(app, request).await,
        Endpoint::RowById => row::by_id(app, request).await,
        Endpoint::RowInsert => row_change::insert(app, request).await,
        Endpoint::RowUpdate => row_change::update(app, request).await,
        Endpoint::RowDelete => row_change::delete(app, request).await,
        Endpoint::RowPatch => row_change::patch(app, request).await,
        Endpoint::RowDeleteById => row_change::delete_by_id(app, request).await,
        Endpoint::TransactionBegin => transaction::begin(app, request).await,
        Endpoint::TransactionQuery => transaction::query(app, request).await,
        Endpoint::TransactionCommit => transaction::commit(app, request).await,
        Endpoint::TransactionRollback => transaction::rollback(app, request).await,
        Endpoint::Health => admin::health(app),
        Endpoint::HealthShort => admin::health_short(app),
        Endpoint::Ready => admin::ready(app),
        Endpoint::Live => admin::live(),
        Endpoint::Info => admin::info(app),
        Endpoint::Metrics => admin::metrics(app),
    }
}
