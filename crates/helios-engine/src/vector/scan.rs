//! A table scan as a DataFusion execution plan, and the planner of the nodes that are ours.

use super::append::{Append, AppendExec};
use crate::apply::{CancelFlag, KeyPath, ScanRequest, TableReader, TableRows};
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, TableScan, UserDefinedLogicalNode};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::stream;
use helios_planner::catalog::Table;
use helios_planner::function::arrow::external;
use helios_planner::pgtype::{self, ColumnBuilder};
use helios_planner::relation::{RelationSource, SourceRelation};
use helios_types::Type;
use std::fmt;
use std::sync::Arc;

const BATCH_ROWS: usize = 8192;

/// Plans scans of catalog tables, and unions.
pub struct TableScanPlanner {
    reader: Arc<dyn TableReader>,
    cancel: Arc<CancelFlag>,
}

impl TableScanPlanner {
    pub fn new(reader: Arc<dyn TableReader>, cancel: Arc<CancelFlag>) -> Self {
        TableScanPlanner { reader, cancel }
    }
}

#[async_trait::async_trait]
impl ExtensionPlanner for TableScanPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        Ok(node.as_any().is::<Append>().then(|| {
            let schema = node.schema().inner().clone();
            Arc::new(AppendExec::new(schema, inputs.to_vec())) as Arc<dyn ExecutionPlan>
        }))
    }

    async fn plan_table_scan(
        &self,
        planner: &dyn PhysicalPlanner,
        scan: &TableScan,
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let source = (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<RelationSource>();
        let Some(SourceRelation::Table(table)) = source.map(|s| &s.relation) else {
            return Ok(None);
        };
        let full = scan.source.schema();
        let mut columns: Vec<usize> = scan
            .projection
            .clone()
            .unwrap_or_else(|| (0..full.fields().len()).collect());
        let keep = columns.len();
        for column in scan.filters.iter().flat_map(|f| f.column_refs()) {
            let position = full.index_of(&column.name)?;
            if !columns.contains(&position) {
                columns.push(position);
            }
        }
        let schema = Arc::new(full.project(&columns)?);
        let mut plan: Arc<dyn ExecutionPlan> = Arc::new(TableScanExec::new(
            table.clone(),
            self.reader.clone(),
            self.cancel.clone(),
            columns,
            schema.clone(),
        ));
        if let Some(filter) = scan.filters.iter().cloned().reduce(|a, b| a.and(b)) {
            let dfschema = datafusion::common::DFSchema::try_from_qualified_schema(
                scan.table_name.clone(),
                &schema,
            )?;
            let predicate = planner.create_physical_expr(&filter, &dfschema, session, context)?;
            plan = Arc::new(FilterExec::try_new(predicate, plan)?);
        }
        if keep < schema.fields().len() {
            let exprs = (0..keep).map(|i| {
                let name = schema.field(i).name().clone();
                let column = datafusion::physical_expr::expressions::Column::new(&name, i);
                (Arc::new(column) as Arc<dyn PhysicalExpr>, name)
            });
            plan = Arc::new(ProjectionExec::try_new(exprs.collect::<Vec<_>>(), plan)?);
        }
        if let Some(fetch) = scan.fetch {
            plan = Arc::new(GlobalLimitExec::new(plan, 0, Some(fetch)));
        }
        Ok(Some(plan))
    }
}

/// Reads all rows of a table, some of its columns.
struct TableScanExec {
    table: Arc<Table>,
    reader: Arc<dyn TableReader>,
    cancel: Arc<CancelFlag>,
    columns: Arc<[usize]>,
    types: Vec<Type>,
    properties: Arc<PlanProperties>,
}

impl TableScanExec {
    fn new(
        table: Arc<Table>,
        reader: Arc<dyn TableReader>,
        cancel: Arc<CancelFlag>,
        columns: Vec<usize>,
        schema: SchemaRef,
    ) -> Self {
        let types = schema
            .fields()
            .iter()
            .map(|f| pgtype::type_of_field(f))
            .collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        TableScanExec {
            table,
            reader,
            cancel,
            columns: columns.into(),
            types,
            properties: Arc::new(properties),
        }
    }
}

impl fmt::Debug for TableScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableScanExec({})", self.table.name)
    }
}

impl DisplayAs for TableScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "TableScanExec: {}", self.table.name)
    }
}

impl ExecutionPlan for TableScanExec {
    fn name(&self) -> &'static str {
        "TableScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let path = KeyPath::Full { reverse: false };
        let request = ScanRequest {
            table: &self.table,
            path,
            columns: &self.columns,
        };
        let rows = self.reader.scan(request).map_err(external)?;
        let schema = self.schema();
        let batches = Batches {
            rows,
            row: Vec::new(),
            builders: self
                .types
                .iter()
                .map(|ty| ColumnBuilder::new(*ty, BATCH_ROWS))
                .collect(),
            schema: schema.clone(),
            cancel: self.cancel.clone(),
        };
        let stream = stream::try_unfold(batches, |mut batches| async move {
            // Decoding a batch takes about a millisecond: others get their turn between batches.
            tokio::task::yield_now().await;
            Ok::<_, DataFusionError>(batches.next()?.map(|batch| (batch, batches)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

struct Batches {
    rows: Box<dyn TableRows>,
    row: Vec<helios_types::Value>,
    builders: Vec<ColumnBuilder>,
    schema: SchemaRef,
    cancel: Arc<CancelFlag>,
}

impl Batches {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.cancel.check().map_err(external)?;
        let mut count = 0;
        while count < BATCH_ROWS && self.rows.next(&mut self.row).map_err(external)? {
            for (builder, value) in self.builders.iter_mut().zip(&self.row) {
                builder.append(&value.as_ref()).map_err(external)?;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        let columns = self
            .builders
            .iter_mut()
            .map(ColumnBuilder::finish)
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(Some(RecordBatch::try_new_with_options(
            self.schema.clone(),
            columns,
            &options,
        )?))
    }
}
