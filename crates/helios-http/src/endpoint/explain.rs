//! R-015: the plan of a statement.
//!
//! The plan is the engine's own account of it, so that every protocol shows the same one; here its
//! JSON keys are only renamed to this API's.

use crate::app::App;
use crate::error::{Failure, Result};
use crate::execute::{self, Borrowed};
use crate::reply::Reply;
use crate::request::Request;
use helios_engine::ExplainFormat;
use helios_types::Error;
use helios_types::value::Rows;
use serde_json::{Map, Value as Json, json};
use std::time::Instant;

pub async fn explain(app: &App, request: &Request) -> Result<Reply> {
    let sql = request.fields.required_str("sql")?;
    let params = request.fields.array("params")?.unwrap_or_default();
    let analyze = request.fields.bool("analyze", false)?;
    let (format, yaml) = match request.fields.str("format")?.unwrap_or("json") {
        "json" => (ExplainFormat::Json, false),
        "text" => (ExplainFormat::Text, false),
        "yaml" => (ExplainFormat::Json, true),
        other => {
            return Err(Failure::field(format!(
                "field \"format\" must be json, text or yaml, not \"{other}\""
            )));
        }
    };
    let mut borrowed = Borrowed::new(app, request)?;
    let planning = Instant::now();
    let ready = execute::prepare(borrowed.session()?, sql, params)?;
    let planning_ms = milliseconds(planning);
    let text = borrowed.session()?.explain(&ready.prepared, format)?;
    let mut plan = if format == ExplainFormat::Json {
        json_plan(&text)?
    } else {
        Json::String(text)
    };
    if analyze {
        let executing = Instant::now();
        let mut rows = Rows::default();
        let completion = borrowed
            .run_ready(&ready, &mut rows, request.timeout()?)
            .await?;
        let (ms, count) = (milliseconds(executing), completion.rows);
        match &mut plan {
            Json::Object(root) => {
                root.insert("actual_rows".to_owned(), count.into());
                root.insert("actual_time_ms".to_owned(), ms.into());
            }
            Json::String(text) => {
                text.push_str(&format!("Rows: {count}\nExecution Time: {ms} ms\n"))
            }
            _ => {}
        }
    }
    if yaml {
        let mut text = String::new();
        write_yaml(&mut text, &plan, 0);
        plan = Json::String(text);
    }
    Ok(Reply::value(
        200,
        &json!({"plan": plan, "planning_time_ms": planning_ms}),
    ))
}

/// A plan in block style; scalars are written as in JSON, which YAML reads the same.
fn write_yaml(out: &mut String, plan: &Json, depth: usize) {
    let Some(fields) = plan.as_object() else {
        return;
    };
    for (i, (key, value)) in fields.iter().enumerate() {
        // The first line stands behind the dash of its list.
        if i > 0 || depth == 0 {
            out.push_str(&"  ".repeat(depth));
        }
        match value {
            Json::Array(children) => {
                out.push_str(&format!("{key}:\n"));
                for child in children {
                    out.push_str(&format!("{}- ", "  ".repeat(depth)));
                    write_yaml(out, child, depth + 1);
                }
            }
            scalar => out.push_str(&format!("{key}: {scalar}\n")),
        }
    }
}

/// Since `start`, with microseconds behind the point.
fn milliseconds(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn json_plan(text: &str) -> Result<Json> {
    let explained: Json = serde_json::from_str(text)
        .map_err(|e| Failure::from(Error::internal(format!("EXPLAIN gave no JSON: {e}"))))?;
    let root = explained
        .get(0)
        .and_then(|e| e.get("Plan"))
        .or_else(|| explained.get("Plan"))
        .unwrap_or(&explained);
    let mut plan = node(root);
    if let Json::Object(fields) = &mut plan {
        let executor = explained.get(0).and_then(|e| e.get("Executor"));
        fields.insert(
            "executor".to_owned(),
            executor.cloned().unwrap_or(Json::Null),
        );
    }
    Ok(plan)
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

/// Inputs are the children; this API has one number for the cost.
const LEFT_OUT: &[&str] = &["Plans", "Startup Cost"];

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
        if !LEFT_OUT.contains(&key.as_str()) && !KEYS.iter().any(|(k, _)| k == key) {
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
        let plan = r#"[{"Plan":{"Node Type":"Limit","Startup Cost":0.28,"Total Cost":0.29,"Plan Rows":1,"Plans":[{"Node Type":"Index Scan","Index Name":"i","Scan Direction":"Forward"}]},"Executor":"Kv"}]"#;
        let plan = json_plan(plan).unwrap();
        assert_eq!(
            plan.to_string(),
            r#"{"node_type":"Limit","index_name":null,"relation":null,"index_cond":null,"estimated_rows":1,"estimated_cost":0.29,"actual_rows":null,"actual_time_ms":null,"children":[{"node_type":"Index Scan","index_name":"i","relation":null,"index_cond":null,"estimated_rows":null,"estimated_cost":null,"actual_rows":null,"actual_time_ms":null,"scan_direction":"Forward"}],"executor":"Kv"}"#
        );
        let small = json!({"a": "x: y", "children": [{"b": 1, "c": null}, {"b": 2}], "d": true});
        let mut yaml = String::new();
        write_yaml(&mut yaml, &small, 0);
        assert_eq!(
            yaml,
            "a: \"x: y\"\nchildren:\n- b: 1\n  c: null\n- b: 2\nd: true\n"
        );
    }
}
