//! health, what the server is, metrics.

use crate::accept::Media;
use crate::app::App;
use crate::body::Body;
use crate::error::Result;
use crate::reply::Reply;
use serde_json::json;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A daemon that answers is healthy: a store that fails closes the daemon.
pub fn health(app: &App) -> Result<Reply> {
    Ok(Reply::value(
        200,
        &json!({
            "status": "healthy",
            "version": VERSION,
            "uptime_seconds": app.engine.uptime().as_secs(),
            "components": {
                "storage": "healthy", "query_engine": "healthy", "replication": "healthy", "cache": "healthy",
            },
        }),
    ))
}

pub fn health_short(app: &App) -> Result<Reply> {
    let uptime = app.engine.uptime().as_secs();
    Ok(Reply::value(
        200,
        &json!({"status": "healthy", "version": VERSION, "uptime_seconds": uptime}),
    ))
}

pub fn ready(_app: &App) -> Result<Reply> {
    // The listener opens when the engine is open and closes first when it drains.
    let checks =
        json!({"database": true, "connections_available": true, "replication_synced": true});
    Ok(Reply::value(200, &json!({"ready": true, "checks": checks})))
}

pub fn live() -> Result<Reply> {
    Ok(Reply::value(200, &json!({"alive": true})))
}

pub fn info(app: &App) -> Result<Reply> {
    Ok(Reply::value(
        200,
        &json!({
            "version": VERSION,
            "build": option_env!("HELIOSDB_BUILD").unwrap_or(VERSION),
            "api_version": "v1",
            "supported_versions": ["v1"],
            "deprecated_features": [],
            "features": {
                "vector_search": false,
                "graph_queries": false,
                "time_series": false,
                "multi_tenancy": false,
                "streaming": true,
            },
            "protocols": app.surroundings.protocols(),
            "limits": {
                "max_query_size_bytes": app.config.v7_sql_bytes_max,
                "max_result_rows": app.config.v7_rows_max,
                "max_connections": app.config.connections_max,
            },
        }),
    ))
}

pub fn metrics(app: &App) -> Result<Reply> {
    let mut out = String::with_capacity(4096);
    app.surroundings.write_metrics(&mut out);
    Ok(Reply::new(200, Media::Metrics, Body::Full(out.into())))
}
