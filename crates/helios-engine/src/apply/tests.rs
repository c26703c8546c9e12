//! Hand-built plans over tables in memory.

use super::*;
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Subquery, exists, in_subquery, not_in_subquery,
    scalar_subquery,
};
use helios_planner::catalog::{self, Index, IndexColumn, IndexKey, Shape, Table, VirtualTable};
use helios_planner::function::FrozenContext;
use helios_planner::pgtype;
use helios_planner::relation::RelationSource;
use helios_types::{DatabaseId, ErrorKind, ObjectId, Type};
use std::collections::HashMap;
use std::sync::Mutex;

fn column(name: &str, ty: Type, not_null: bool) -> catalog::Column {
    catalog::Column {
        name: name.into(),
        ty,
        not_null,
        default: None,
        identity: None,
        sequence: None,
        generated: None,
        dropped: false,
        missing: None,
        comment: None,
    }
}

fn table(id: u32, name: &str, columns: &[(&str, Type)], index: Option<usize>) -> Arc<Table> {
    let types = columns.iter().map(|(_, ty)| *ty).collect();
    let indexes = index.map(|column| Index {
        id: ObjectId(id + 1000),
        storage: ObjectId(id + 1000),
        name: format!("{name}_index"),
        unique: false,
        primary: false,
        constraint: None,
        columns: vec![IndexColumn {
            key: IndexKey::Column(column),
            descending: false,
            nulls_first: false,
        }],
        include: vec![],
        predicate: None,
        nulls_not_distinct: false,
        multikey: false,
        ready: true,
        comment: None,
    });
    Arc::new(Table {
        id: ObjectId(id),
        database: DatabaseId(1),
        schema: ObjectId(2200),
        name: name.into(),
        owner: ObjectId(10),
        shape: Shape::Relational,
        storage: ObjectId(id),
        columns: columns
            .iter()
            .enumerate()
            .map(|(i, (n, ty))| column(n, *ty, i == 0))
            .collect(),
        schema_version: 0,
        layouts: vec![types],
        key: vec![0],
        indexes: indexes.into_iter().collect(),
        checks: vec![],
        foreign_keys: vec![],
        history: false,
        redis_prefix: None,
        grants: vec![],
        comment: None,
        temporary: false,
    })
}

/// Tables in memory; remembers the paths by which they were read.
#[derive(Default)]
struct Memory {
    tables: HashMap<ObjectId, Vec<Row>>,
    paths: Mutex<Vec<String>>,
}

struct MemoryRows(std::vec::IntoIter<Row>);

impl TableRows for MemoryRows {
    fn next(&mut self, row: &mut Row) -> Result<bool> {
        match self.0.next() {
            Some(next) => {
                *row = next;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl TableReader for Memory {
    fn scan(&self, request: ScanRequest<'_>) -> Result<Box<dyn TableRows>> {
        let name = format!("{:?}", request.path);
        let name = name
            .split(['(', ' ', '{'])
            .next()
            .unwrap_or_default()
            .to_string();
        self.paths
            .lock()
            .unwrap()
            .push(format!("{} {name}", request.table.name));
        let position = |index: Option<ObjectId>| match index {
            Some(_) => match request.table.indexes[0].columns[0].key {
                IndexKey::Column(column) => column,
                _ => 0,
            },
            None => 0,
        };
        let mut rows: Vec<Row> = self.tables[&request.table.id].clone();
        let mut backwards = false;
        match &request.path {
            KeyPath::Point(key) => rows.retain(|r| r[0] == key[0]),
            KeyPath::Points(keys) => rows.retain(|r| keys.iter().any(|k| k[0] == r[0])),
            KeyPath::Full { reverse } => backwards = *reverse,
            KeyPath::Each { .. } => panic!("tables here have no documents"),
            KeyPath::Range {
                index,
                equal,
                lower,
                upper,
                reverse,
                ..
            } => {
                let at = position(*index);
                rows.sort_by(|a, b| a[at].cmp(&b[at]));
                rows.retain(|r| {
                    let v = &r[at];
                    equal.first().is_none_or(|e| e == v)
                        && lower.as_ref().is_none_or(|b| {
                            !v.is_null() && (*v > b.value || (b.inclusive && *v == b.value))
                        })
                        && upper.as_ref().is_none_or(|b| {
                            !v.is_null() && (*v < b.value || (b.inclusive && *v == b.value))
                        })
                });
                backwards = *reverse;
            }
        }
        if backwards {
            rows.reverse();
        }
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|r| {
                request
                    .columns
                    .iter()
                    .map(|&c| r.get(c).cloned().unwrap_or_default())
                    .collect()
            })
            .collect();
        Ok(Box::new(MemoryRows(rows.into_iter())))
    }
}

struct NoTables;

impl VirtualTables for NoTables {
    fn rows(
        &self,
        _: &VirtualTable,
        _: &[(usize, Value)],
        _: &mut dyn FunctionContext,
    ) -> Result<Vec<Row>> {
        Ok(Vec::new())
    }
}

/// t(id, g, s): five rows; u(id, t_id): indexed by t_id, with a NULL.
pub(crate) struct World {
    memory: Arc<Memory>,
    pub(crate) t: Arc<Table>,
    pub(crate) u: Arc<Table>,
}

fn int(v: i32) -> Value {
    Value::Int4(v)
}

pub(crate) fn world() -> World {
    let t = table(
        1,
        "t",
        &[("id", Type::INT4), ("g", Type::INT4), ("s", Type::TEXT)],
        None,
    );
    let u = table(2, "u", &[("id", Type::INT4), ("t_id", Type::INT4)], Some(1));
    let mut memory = Memory::default();
    let rows = [
        (1, 1, "a"),
        (2, 1, "b"),
        (3, 2, "c"),
        (4, 2, "d"),
        (5, 3, "e"),
    ];
    let rows = rows.map(|(id, g, s)| vec![int(id), int(g), Value::text(s)]);
    memory.tables.insert(t.id, rows.to_vec());
    let rows = [
        (10, Some(1)),
        (11, Some(1)),
        (12, Some(3)),
        (13, None),
        (14, Some(9)),
    ];
    let rows = rows.map(|(id, t)| vec![int(id), t.map_or(Value::Null, int)]);
    memory.tables.insert(u.id, rows.to_vec());
    World {
        memory: Arc::new(memory),
        t,
        u,
    }
}

fn scan(table: &Arc<Table>, alias: &str) -> LogicalPlanBuilder {
    let source = RelationSource::table(table.clone());
    // Without the hidden key column.
    let columns = (0..table.columns.len()).collect();
    LogicalPlanBuilder::scan(alias, source, Some(columns)).unwrap()
}

fn col(qualified: &str) -> Expr {
    Expr::Column(Column::from_qualified_name(qualified))
}

fn lit(v: i32) -> Expr {
    pgtype::literal(&int(v), Type::INT4)
}

fn outer(qualified: &str) -> Expr {
    let field = pgtype::field_ref("outer", Type::INT4);
    Expr::OuterReferenceColumn(field, Column::from_qualified_name(qualified))
}

impl World {
    pub(crate) fn options(&self, memory_limit: usize) -> ExecOptions {
        ExecOptions {
            reader: self.memory.clone(),
            virtual_tables: Arc::new(NoTables),
            params: Arc::from([]),
            catalog: Arc::default(),
            cancel: Arc::default(),
            memory_limit,
        }
    }

    pub(crate) fn try_run(&self, plan: &LogicalPlan) -> Result<Vec<Row>> {
        let plan = helios_planner::optimise::optimise(plan.clone())?;
        let program = compile(
            &plan,
            &CompileOptions {
                row_count: &|_| Some(1000),
            },
        )?;
        let mut functions = FrozenContext::nowhere();
        Execution::start(&program, self.options(1 << 20), &mut functions)?.collect(&mut functions)
    }

    fn run(&self, plan: LogicalPlanBuilder) -> Vec<Row> {
        self.try_run(&plan.build().unwrap()).unwrap()
    }

    fn ids(&self, plan: LogicalPlanBuilder) -> Vec<String> {
        let text = |v: &Value| v.as_i64().map_or("-".to_string(), |v| v.to_string());
        let mut rows: Vec<String> = self
            .run(plan)
            .iter()
            .map(|r| r.iter().map(text).collect::<Vec<_>>().join(" "))
            .collect();
        rows.sort();
        rows
    }

    fn paths(&self) -> Vec<String> {
        std::mem::take(&mut self.memory.paths.lock().unwrap())
    }
}

#[test]
fn a_filter_on_the_key_reads_one_row_and_on_the_index_a_range() {
    let w = world();
    let plan = scan(&w.t, "t").filter(col("t.id").eq(lit(2))).unwrap();
    assert_eq!(w.run(plan).len(), 1);
    assert_eq!(w.paths(), ["t Point"]);
    let plan = scan(&w.u, "u").filter(col("u.t_id").eq(lit(1))).unwrap();
    assert_eq!(w.ids(plan), ["10 1", "11 1"]);
    assert_eq!(w.paths(), ["u Range"]);
    let plan = scan(&w.u, "u").filter(col("u.t_id").gt(lit(1))).unwrap();
    assert_eq!(w.ids(plan), ["12 3", "14 9"]);
    let null = pgtype::literal(&Value::Null, Type::INT4);
    let plan = scan(&w.t, "t").filter(col("t.id").eq(null)).unwrap();
    assert!(w.run(plan).is_empty());
}

#[test]
fn every_kind_of_join_gives_what_sql_says() {
    let w = world();
    let on = || vec![col("t.id").eq(col("u.t_id"))];
    let cases = [
        (JoinType::Inner, vec!["1 10", "1 11", "3 12"]),
        (
            JoinType::Left,
            vec!["1 10", "1 11", "2 -", "3 12", "4 -", "5 -"],
        ),
        (
            JoinType::Right,
            vec!["- 13", "- 14", "1 10", "1 11", "3 12"],
        ),
        (
            JoinType::Full,
            vec!["- 13", "- 14", "1 10", "1 11", "2 -", "3 12", "4 -", "5 -"],
        ),
        (JoinType::LeftSemi, vec!["1", "3"]),
        (JoinType::LeftAnti, vec!["2", "4", "5"]),
        (JoinType::RightSemi, vec!["10", "11", "12"]),
        (JoinType::RightAnti, vec!["13", "14"]),
    ];
    for (kind, expected) in cases {
        let plan = scan(&w.t, "t")
            .join_on(scan(&w.u, "u").build().unwrap(), kind, on())
            .unwrap();
        let columns: Vec<Expr> = match kind {
            JoinType::LeftSemi | JoinType::LeftAnti => vec![col("t.id")],
            JoinType::RightSemi | JoinType::RightAnti => vec![col("u.id")],
            _ => vec![col("t.id"), col("u.id")],
        };
        assert_eq!(w.ids(plan.project(columns).unwrap()), expected, "{kind}");
    }
}

#[test]
fn a_small_outer_side_looks_up_the_inner_one() {
    let w = world();
    let u = scan(&w.u, "u").build().unwrap();
    let plan = scan(&w.t, "t")
        .filter(col("t.id").eq(lit(1)))
        .unwrap()
        .join_on(u, JoinType::Inner, vec![col("t.id").eq(col("u.t_id"))])
        .unwrap()
        .project(vec![col("t.id"), col("u.id")])
        .unwrap();
    assert_eq!(w.ids(plan), ["1 10", "1 11"]);
    assert_eq!(w.paths(), ["t Point", "u Range"]);
}

#[test]
fn subqueries_of_a_filter_know_null_and_the_outer_row() {
    let w = world();
    let inner = || scan(&w.u, "u").project(vec![col("u.t_id")]).unwrap();
    let ids = |filter: Expr| {
        w.ids(
            scan(&w.t, "t")
                .filter(filter)
                .unwrap()
                .project(vec![col("t.id")])
                .unwrap(),
        )
    };
    let all = Arc::new(inner().build().unwrap());
    assert_eq!(ids(in_subquery(col("t.id"), all.clone())), ["1", "3"]);
    // A NULL among the values makes NOT IN unknown.
    assert!(ids(not_in_subquery(col("t.id"), all)).is_empty());
    let correlated = |w: &World| {
        Arc::new(
            scan(&w.u, "u")
                .filter(col("u.t_id").eq(outer("t.id")))
                .unwrap()
                .build()
                .unwrap(),
        )
    };
    assert_eq!(ids(exists(correlated(&w))), ["1", "3"]);
    let one = LogicalPlanBuilder::from(correlated(&w).as_ref().clone())
        .project(vec![col("u.id")])
        .unwrap()
        .limit(0, Some(1))
        .unwrap()
        .build()
        .unwrap();
    let plan = scan(&w.t, "t")
        .project(vec![
            col("t.id"),
            scalar_subquery(Arc::new(one)).alias("first"),
        ])
        .unwrap();
    assert_eq!(w.ids(plan), ["1 10", "2 -", "3 12", "4 -", "5 -"]);
    let many = Arc::new(
        LogicalPlanBuilder::from(correlated(&w).as_ref().clone())
            .project(vec![col("u.id")])
            .unwrap()
            .build()
            .unwrap(),
    );
    // Two rows where one is wanted; DataFusion's own builder would refuse the plan.
    let many = Expr::ScalarSubquery(Subquery {
        subquery: many,
        outer_ref_columns: vec![outer("t.id")],
        spans: Default::default(),
    });
    let program_error = CompileOptions::default();
    let plan = scan(&w.t, "t").build().unwrap();
    let projection =
        datafusion::logical_expr::Projection::try_new(vec![many.alias("x")], Arc::new(plan))
            .unwrap();
    let program = compile(&LogicalPlan::Projection(projection), &program_error).unwrap();
    let mut functions = FrozenContext::nowhere();
    let error = Execution::start(&program, w.options(1 << 20), &mut functions)
        .unwrap()
        .collect(&mut functions)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CardinalityViolation);
}

#[test]
fn an_outer_reference_reaches_over_two_levels() {
    let w = world();
    // … WHERE EXISTS (SELECT … FROM u WHERE EXISTS (SELECT … FROM t t2 WHERE t2.id = t.id AND t2.id = u.t_id))
    let innermost = scan(&w.t, "t2")
        .filter(
            col("t2.id")
                .eq(outer("t.id"))
                .and(col("t2.id").eq(outer("u.t_id"))),
        )
        .unwrap()
        .build()
        .unwrap();
    let middle = scan(&w.u, "u")
        .filter(exists(Arc::new(innermost)))
        .unwrap()
        .build()
        .unwrap();
    let plan = scan(&w.t, "t")
        .filter(exists(Arc::new(middle)))
        .unwrap()
        .project(vec![col("t.id")])
        .unwrap();
    assert_eq!(w.ids(plan), ["1", "3"]);
}

#[test]
fn lateral_runs_its_right_side_for_each_left_row() {
    let w = world();
    let right = scan(&w.u, "u")
        .filter(col("u.t_id").eq(outer("t.id")))
        .unwrap()
        .sort(vec![col("u.id").sort(false, true)])
        .unwrap()
        .limit(0, Some(1))
        .unwrap()
        .build()
        .unwrap();
    let lateral = LogicalPlan::Subquery(Subquery {
        subquery: Arc::new(right),
        outer_ref_columns: vec![outer("t.id")],
        spans: Default::default(),
    });
    for (kind, expected) in [
        (JoinType::Inner, vec!["1 11", "3 12"]),
        (JoinType::Left, vec!["1 11", "2 -", "3 12", "4 -", "5 -"]),
    ] {
        let right = LogicalPlanBuilder::from(lateral.clone())
            .alias("u")
            .unwrap()
            .build()
            .unwrap();
        let plan = scan(&w.t, "t")
            .join_on(right, kind, vec![datafusion::prelude::lit(true)])
            .unwrap()
            .project(vec![col("t.id"), col("u.id")])
            .unwrap();
        assert_eq!(w.ids(plan), expected, "{kind}");
    }
}

#[test]
fn sort_limit_and_distinct() {
    let w = world();
    let g = |plan: LogicalPlanBuilder| -> Vec<i64> {
        w.run(plan).iter().map(|r| r[0].as_i64().unwrap()).collect()
    };
    let sorted = |ascending| {
        scan(&w.t, "t")
            .project(vec![col("t.g"), col("t.id")])
            .unwrap()
            .sort(vec![
                col("t.g").sort(ascending, false),
                col("t.id").sort(true, false),
            ])
            .unwrap()
    };
    assert_eq!(g(sorted(false)), [3, 2, 2, 1, 1]);
    assert_eq!(g(sorted(true).limit(1, Some(2)).unwrap()), [1, 2]);
    let distinct = scan(&w.t, "t")
        .project(vec![col("t.g")])
        .unwrap()
        .distinct()
        .unwrap();
    assert_eq!(g(distinct), [1, 2, 3]);
    // The key's own order needs no sort.
    let by_key = scan(&w.t, "t")
        .sort(vec![col("t.id").sort(false, true)])
        .unwrap()
        .limit(0, Some(2))
        .unwrap();
    assert_eq!(g(by_key), [5, 4]);
}

#[test]
fn a_row_can_stand_in_for_a_table() {
    let w = world();
    let plan = scan(&w.t, "t")
        .filter(col("t.id").eq(lit(2)).and(col("t.g").eq(lit(7))))
        .unwrap();
    let plan = helios_planner::optimise::optimise(plan.build().unwrap()).unwrap();
    let program = compile(&plan, &CompileOptions::default()).unwrap();
    let mut functions = FrozenContext::nowhere();
    for (row, expected) in [([2, 7], 1), ([3, 7], 0), ([2, 8], 0)] {
        let mut state = ExecState::new(&program, w.options(1 << 20));
        let row = vec![
            int(row[0]),
            int(row[1]),
            Value::text("new"),
            Value::bytea([0]),
        ];
        state.set_target_row("t", row);
        let rows = Execution::start_with(&program, state, &mut functions)
            .unwrap()
            .collect(&mut functions)
            .unwrap();
        assert_eq!(rows.len(), expected);
    }
}

#[test]
fn memory_is_bounded_and_cancelling_stops() {
    let w = world();
    let cross = scan(&w.t, "t")
        .cross_join(scan(&w.u, "u").build().unwrap())
        .unwrap()
        .sort(vec![col("u.id").sort(true, false)])
        .unwrap()
        .build()
        .unwrap();
    let program = compile(&cross, &CompileOptions::default()).unwrap();
    let mut functions = FrozenContext::nowhere();
    let error = Execution::start(&program, w.options(100), &mut functions)
        .and_then(|e| e.collect(&mut functions))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    let options = w.options(1 << 20);
    options.cancel.cancel();
    assert_eq!(
        options.cancel.check().unwrap_err().kind(),
        ErrorKind::QueryCancelled
    );
}
