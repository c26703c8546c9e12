//! EXPLAIN: the plan of a template and the executor it was lowered to.
//!
//! The text is made from the template alone, so whoever asks, in whatever protocol, sees the same
//! for the same question.

use datafusion::logical_expr::LogicalPlan;
use helios_planner::template::PlanTemplate;
use helios_types::{Error, Result};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainFormat {
    /// A line for the executor, then one a plan node, inputs indented.
    Text,
    Json,
}

pub(crate) fn explain(template: &PlanTemplate, format: ExplainFormat) -> Result<String> {
    match format {
        ExplainFormat::Text => {
            let mut text = format!("Executor: {}\n", template.executor.name());
            for line in template.plan.display_indent().to_string().lines() {
                text.push_str(line);
                text.push('\n');
            }
            Ok(text)
        }
        ExplainFormat::Json => {
            let plan = json!([{
                "Plan": node(&template.plan),
                "Executor": template.executor.name(),
            }]);
            serde_json::to_string_pretty(&plan).map_err(Error::internal)
        }
    }
}

fn node(plan: &LogicalPlan) -> Value {
    let text = plan.display().to_string();
    let (kind, detail) = text.split_once(": ").unwrap_or((text.as_str(), ""));
    let mut object = json!({ "Node Type": kind });
    if !detail.is_empty() {
        object["Detail"] = json!(detail);
    }
    let inputs: Vec<Value> = plan.inputs().into_iter().map(node).collect();
    if !inputs.is_empty() {
        object["Plans"] = json!(inputs);
    }
    object
}
