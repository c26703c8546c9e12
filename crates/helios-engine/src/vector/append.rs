//! UNION ALL, one input after the other.
//!
//! DataFusion's union runs its inputs side by side and mixes their rows; here they keep the order
//! that the row executor gives them, which shows in `array_agg`, in sums of floats and in which of
//! `1.0` and `1.00` stands for a group.

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The logical node; its schema is the union's.
#[derive(Clone, Debug)]
pub struct Append {
    inputs: Vec<LogicalPlan>,
    schema: DFSchemaRef,
}

impl PartialEq for Append {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs
    }
}

impl Eq for Append {}

impl Hash for Append {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inputs.hash(state);
    }
}

impl PartialOrd for Append {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Append {
    fn name(&self) -> &str {
        "Append"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Append")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Append {
            inputs,
            schema: self.schema.clone(),
        })
    }
}

/// Replaces a union.
pub fn appended(node: LogicalPlan) -> Transformed<LogicalPlan> {
    let LogicalPlan::Union(union) = node else {
        return Transformed::no(node);
    };
    let inputs = union.inputs.iter().map(|i| i.as_ref().clone()).collect();
    Transformed::yes(LogicalPlan::Extension(Extension {
        node: Arc::new(Append {
            inputs,
            schema: union.schema,
        }),
    }))
}

/// The physical operator.
pub struct AppendExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl AppendExec {
    pub fn new(schema: SchemaRef, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        AppendExec {
            inputs,
            properties: Arc::new(properties),
        }
    }
}

impl fmt::Debug for AppendExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendExec({})", self.inputs.len())
    }
}

impl DisplayAs for AppendExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "AppendExec")
    }
}

impl ExecutionPlan for AppendExec {
    fn name(&self) -> &'static str {
        "AppendExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition; self.inputs.len()]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(AppendExec::new(self.schema(), children)))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let named = schema.clone();
        // An input starts when the one before it has ended.
        let batches = stream::iter(self.inputs.clone())
            .map(move |input| input.execute(0, context.clone()))
            .try_flatten()
            .and_then(move |batch| {
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = batch.columns().to_vec();
                let renamed = RecordBatch::try_new_with_options(named.clone(), columns, &options);
                futures::future::ready(renamed.map_err(Into::into))
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}
