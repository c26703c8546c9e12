//! Which executor a plan gets.
//!
//! * [`kv`]: the plan is one table reached by key, an INSERT of values, or a change of rows reached
//!   by key.
//! * [`vector`]: every node, function and type of the plan is one that Arrow's kernels handle as
//!   PostgreSQL would, and the input is large enough to be worth the planning.
//! * Otherwise the row executor, which runs everything.
//!
//! [`access`] finds the way to a table's rows, for both the key-value and the row executor;
//! [`document`] to those of a document table.

pub mod access;
pub mod document;
pub mod kv;
pub mod vector;

use crate::catalog::Table;
use crate::template::Executor;
use datafusion::logical_expr::LogicalPlan;
use helios_types::{Result, bail};

/// What the decision depends on besides the plan.
pub struct LowerOptions<'a> {
    /// How many rows a table has, as far as is known.
    pub row_count: &'a dyn Fn(&Table) -> u64,
    /// The executor that has to be used, by its name in any case: `kv`, `apply` or `vector`. A
    /// plan that it cannot run is refused.
    pub force: Option<&'a str>,
}

/// Chooses the executor of an optimised plan.
pub fn executor(plan: &LogicalPlan, options: &LowerOptions<'_>) -> Result<Executor> {
    let force = options.force.map(str::to_ascii_lowercase);
    match force.as_deref() {
        None | Some("" | "auto") => {}
        Some("apply") => return Ok(Executor::Apply),
        Some("kv") => match kv::program(plan) {
            Some(program) => return Ok(Executor::Kv(program)),
            None => bail!(
                Unsupported,
                "the key-value executor cannot run this statement"
            ),
        },
        Some("vector") => match vector::vectorise(plan) {
            Ok(plan) => return Ok(Executor::Vector(Box::new(plan))),
            Err(obstacle) => {
                bail!(
                    Unsupported,
                    "the vectorised executor cannot run this statement: {obstacle}"
                )
            }
        },
        Some(other) => bail!(InvalidParameterValue, "there is no executor \"{other}\""),
    }
    if let Some(program) = kv::program(plan) {
        return Ok(Executor::Kv(program));
    }
    if vector::is_worthwhile(plan, options.row_count)
        && let Ok(plan) = vector::vectorise(plan)
    {
        return Ok(Executor::Vector(Box::new(plan)));
    }
    Ok(Executor::Apply)
}
