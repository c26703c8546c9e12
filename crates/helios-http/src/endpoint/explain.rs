//! R-015: the plan of a statement.
//!
//! The plan comes from SQL's own EXPLAIN, so that every protocol shows the same one; here its
//! JSON keys are only renamed to this API's.

use crate::app::App;
use crate::error::{Failure, Result};
use crate::execute::Borrowed;
use crate::reply::Reply;
use crate::request::Request;
use helios_types::Value;
use helios_types::value::Rows;
use serde_json::{Map, Value as Json, json};
use std::time::Instant;

pub async fn explain(app: &App, request: &Request) -> Result<Reply> {
    let sql = request.fields.required_str("sql")?;
    let params = request.fields.array("params")?.unwrap_or_default();
    let analyze = request.fields.bool("analyze", false)?;
    let format = match request.fields.str("format")?.unwrap_or("json") {
        format @ ("json" | "text" | "yaml") => format,
        other => {
            return Err(Failure::field(format!(
                "field \"format\" must be json, text or yaml, not \"{other}\""
            )));
        }
    };
    let mut borrowed = Borrowed::new(app, request)?;
    let session = borrowed.session()?;
    let planning = Instant::now();
    crate::execute::prepare(session, sql, params)?;
    let planning_ms = planning.elapsed().as_secs_f64() * 1000.0;
    let analyze = if analyze { "ANALYZE, " } else { "" };
    let statement = format!("EXPLAIN ({analyze}FORMAT {format}) {sql}");
    let mut rows = Rows::default();
    borrowed
        .run(&statement, params, &mut rows, request.timeout()?)
        .await?;
    let lines: Vec<&str> = rows
        .0
        .iter()
        .filter_map(|row| row.first().and_then(Value::as_str))
        .collect();
    let text = lines.join("\n");
    let plan = if format == "json" {
        json_plan(&text)?
    } else {
        Json::String(text)
    };
    Ok(Reply::value(
        200,
        &json!({"plan": plan, "planning_time_ms": (planning_ms * 1000.0).round() / 1000.0}),
    ))
}

fn json_plan(text: &str) -> Result<Json> {
    let explained: Json = serde_json::from_str(text).map_err(|e| {
        Failure::from(helios_types::Error::internal(format!(
            "EXPLAIN gave no JSON: {e}"
        )))
    })?;
    let root = explained
        .get(0)
        .and_then(|e| e.get("Plan"))
        .or_else(|| explained.get("Plan"))
        .unwrap_or(&explained);
    Ok(node(root))
}

/// Keys of EXPLAIN and of this API. The first eight are always there.
const KEYS: &[(&str, &str)] = &[
    ("Node Type", "node_type"),
    ("Index Name", "index_name"),
    ("Relation Name", "relation"),
    ("Index Cond", "index_cond"),
    ("Plan Rows", "estimated_rows"),
    ("Total Cost", "estimated_cost"),
    ("Actual Rows", "actual_rows"),
    ("Actual Total Time", "actual_time_ms"),
];

fn node(plan: &Json) -> Json {
    let Some(fields) = plan.as_object() else {
        return plan.clone();
    };
    let mut out = Map::new();
    for (key, name) in KEYS {
        out.insert(
            (*name).to_owned(),
            fields.get(*key).cloned().unwrap_or(Json::Null),
        );
    }
    for (key, value) in fields {
        if key != "Plans" && !KEYS.iter().any(|(k, _)| k == key) {
            out.insert(key.to_lowercase().replace(' ', "_"), value.clone());
        }
    }
    if let Some(Json::Array(children)) = fields.get("Plans") {
        out.insert("children".to_owned(), children.iter().map(node).collect());
    }
    Json::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_explain_are_renamed_at_every_level() {
        let plan = r#"[{"Plan":{"Node Type":"Limit","Plan Rows":1,"Plans":[{"Node Type":"Index Scan","Index Name":"i","Scan Direction":"Forward"}]}}]"#;
        assert_eq!(
            json_plan(plan).unwrap().to_string(),
            r#"{"node_type":"Limit","index_name":null,"relation":null,"index_cond":null,"estimated_rows":1,"estimated_cost":null,"actual_rows":null,"actual_time_ms":null,"children":[{"node_type":"Index Scan","index_name":"i","relation":null,"index_cond":null,"estimated_rows":null,"estimated_cost":null,"actual_rows":null,"actual_time_ms":null,"scan_direction":"Forward"}]}"#
        );
    }
}
