//! One corpus of SQL on every executor that accepts it: the same rows.

use super::start_plan;
use crate::apply::Row;
use crate::apply::tests::{World, world};
use datafusion::logical_expr::LogicalPlan;
use helios_planner::catalog::{Catalog, Database, Relation, Role, Schema};
use helios_planner::function::FrozenContext;
use helios_planner::lower::vector::obstacle;
use helios_planner::optimise::optimise;
use helios_planner::sql::{BindContext, Bound, bind, parse};
use helios_types::{DatabaseId, Error, ObjectId, Result};
use std::sync::Arc;

/// Statements, and whether the vectorised executor accepts them.
const CORPUS: &[(&str, bool)] = &[
    ("select id, g, s from t", true),
    ("select id from t where g = 2 and s <> 'c'", true),
    (
        "select id + 1, g * 2, s || 'x' from t where id between 2 and 4",
        true,
    ),
    (
        "select g, count(*), sum(id), min(s), max(s), avg(id) from t group by g",
        true,
    ),
    ("select count(*) from t where id > 100", true),
    ("select sum(id), max(id) from t where id > 100", true),
    (
        "select sum(id::int8), avg(id::float8), sum(id::float8) from t",
        true,
    ),
    ("select count(distinct g), count(distinct s) from t", true),
    ("select g from t group by g having count(*) > 1", true),
    (
        "select id::numeric / 3 from t where id::numeric > 2.0",
        true,
    ),
    ("select distinct g from t", true),
    (
        "select distinct on (g) g, id from t order by g, id desc",
        false,
    ),
    ("select t.id, u.id from t join u on t.id = u.t_id", true),
    (
        "select t.id, u.id from t left join u on t.id = u.t_id",
        true,
    ),
    (
        "select t.id, u.id from t right join u on t.id = u.t_id",
        true,
    ),
    (
        "select t.id, u.id from t full join u on t.id = u.t_id",
        true,
    ),
    (
        "select t.id, u.id from t, u where t.id = u.t_id and u.id > 10",
        true,
    ),
    ("select t.id, u.id from t, u where t.id < u.t_id", true),
    ("select id from t where id in (select t_id from u)", true),
    (
        "select id from t where id not in (select t_id from u)",
        true,
    ),
    (
        "select id from t where id not in (select t_id from u where t_id is not null)",
        true,
    ),
    (
        "select id from t where exists (select 1 from u where u.t_id = t.id)",
        false,
    ),
    (
        "select id from t where not exists (select 1 from u where u.t_id = t.id)",
        false,
    ),
    (
        "select id, (select count(*) from u where u.t_id = t.id) from t",
        false,
    ),
    (
        "select id, (select u.id from u where u.t_id = t.id order by 1 desc limit 1) from t",
        false,
    ),
    ("select id, (select max(id) from u) from t", true),
    (
        "select array(select u.id from u where u.t_id = t.id order by 1)::text from t",
        false,
    ),
    (
        "select t.id, x.id from t, lateral (select id from u where u.t_id = t.id limit 1) x",
        false,
    ),
    ("select id from t union select t_id from u", true),
    ("select id from t union all select t_id from u", true),
    ("select id from t intersect select t_id from u", false),
    ("select g from t except all select 1", false),
    (
        "select case g when 1 then 'one' when 2 then 'two' end from t",
        true,
    ),
    ("select case when g > 1 then id end from t", true),
    ("select coalesce(t_id, -1) from u", true),
    ("select id from u where t_id is distinct from 1", true),
    (
        "select id from u where t_id in (1, 3) or t_id is null",
        true,
    ),
    ("select id from u where t_id not in (1, 3, null)", true),
    ("select upper(s), length(s) from t", true),
    ("select id from t order by s desc limit 2 offset 1", true),
    (
        "select s, row_number() over (partition by g order by id desc) from t",
        false,
    ),
    (
        "select id, sum(id) over (order by id rows between 1 preceding and current row) from t",
        false,
    ),
    (
        "with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select n from r",
        false,
    ),
    (
        "with x as materialized (select id from t) select a.id from x a join x b on a.id = b.id + 1",
        false,
    ),
    ("select id from t where id = any(array[1, 3, 7])", true),
    ("select n from generate_series(1, 3) n", false),
    (
        "select 1.0 = 1.00, 0.0::float8 = -0.0::float8, 'NaN'::float8 = 'NaN'::float8",
        true,
    ),
];

fn catalog(world: &World) -> Arc<Catalog> {
    let mut catalog = Catalog {
        version: 1,
        ..Catalog::default()
    };
    let owner = ObjectId(10);
    let database = Database {
        id: DatabaseId(1),
        name: "d".into(),
        owner,
        grants: vec![],
        comment: None,
    };
    catalog.databases.insert(database.id, Arc::new(database));
    let schema = Schema {
        id: ObjectId(2200),
        database: DatabaseId(1),
        name: "public".into(),
        owner,
        grants: vec![],
        comment: None,
    };
    catalog.schemas.insert(schema.id, Arc::new(schema));
    let role = Role {
        id: owner,
        name: "r".into(),
        superuser: true,
        login: true,
        create_database: true,
        create_role: true,
        inherit: true,
        password: None,
        member_of: vec![],
    };
    catalog.roles.insert(owner, Arc::new(role));
    for table in [&world.t, &world.u] {
        let name: Arc<str> = table.name.as_str().into();
        catalog
            .relation_names
            .insert((table.schema, name), table.id);
        catalog
            .relations
            .insert(table.id, Relation::Table(table.clone()));
    }
    Arc::new(catalog)
}

fn plan(catalog: &Arc<Catalog>, text: &str) -> Result<LogicalPlan> {
    let path = ["public".to_string()];
    let context = BindContext::new(catalog.clone(), DatabaseId(1), &path, ObjectId(10));
    let statements = parse(text)?;
    match bind(&statements[0], &context)? {
        Bound::Plan(bound) => Ok(bound.plan),
        Bound::Utility(_) => Err(Error::internal("not a plan")),
    }
}

fn on_vector(world: &World, plan: LogicalPlan) -> Result<Vec<Row>> {
    let mut functions = FrozenContext::nowhere();
    let mut rows = start_plan(&plan, world.options(64 << 20), &mut functions)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let mut out = Vec::new();
        while let Some(row) = rows.next().await? {
            out.push(row);
        }
        Ok(out)
    })
}

fn sorted(rows: Vec<Row>) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(|r| format!("{r:?}")).collect();
    rows.sort();
    rows
}

#[test]
fn every_executor_gives_the_same_rows() {
    let world = world();
    let catalog = catalog(&world);
    let mut faults = Vec::new();
    for (text, vectorised) in CORPUS {
        let bound = match plan(&catalog, text) {
            Ok(bound) => bound,
            Err(error) => {
                faults.push(format!("{text}\n  does not bind: {error:?}"));
                continue;
            }
        };
        let rows = match world.try_run(&bound) {
            Ok(rows) => sorted(rows),
            Err(error) => {
                faults.push(format!("{text}\n  row executor: {error:?}"));
                continue;
            }
        };
        let optimised = optimise(bound).unwrap();
        match obstacle(&optimised) {
            Some(obstacle) if *vectorised => {
                faults.push(format!("{text}\n  is not vectorised: {obstacle}"));
            }
            None if !vectorised => faults.push(format!("{text}\n  is vectorised")),
            None => match on_vector(&world, optimised) {
                Ok(other) if sorted(other.clone()) == rows => {}
                Ok(other) => faults.push(format!("{text}\n  {rows:?}\n  {:?}", sorted(other))),
                Err(error) => faults.push(format!("{text}\n  vectorised executor: {error:?}")),
            },
            Some(_) => {}
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        CORPUS.len(),
        faults.join("\n")
    );
}
