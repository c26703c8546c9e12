//! One corpus of SQL on every executor that accepts it: the same rows.

use super::start;
use crate::apply::Row;
use crate::apply::tests::{World, world};
use datafusion::logical_expr::LogicalPlan;
use helios_planner::catalog::{Catalog, Database, Relation, Role, Schema};
use helios_planner::function::FrozenContext;
use helios_planner::lower::vector::{VectorPlan, vectorise};
use helios_planner::optimise::optimise;
use helios_planner::sql::{BindContext, Bound, bind, parse};
use helios_types::{DatabaseId, Error, ObjectId, Result, error};
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
        true,
    ),
    (
        "select id from t where not exists (select 1 from u where u.t_id = t.id)",
        true,
    ),
    (
        "select id, (select count(*) from u where u.t_id = t.id) from t",
        true,
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
        true,
    ),
    ("select id from t where id = any(array[1, 3, 7])", true),
    ("select n from generate_series(1, 3) n", false),
    (
        "select 1.0 = 1.00, 0.0::float8 = -0.0::float8, 'NaN'::float8 = 'NaN'::float8",
        true,
    ),
    // Subqueries as joins.
    (
        "select id from t where exists (select 1 from u where u.t_id = t.id and u.id > 10)",
        true,
    ),
    (
        "select id from t where exists (select 1 from u where u.t_id <> t.id)",
        true,
    ),
    (
        "select id from t where not exists (select 1 from u where u.t_id <> t.id)",
        true,
    ),
    (
        "select id from t where exists (select 1 from u where u.t_id = t.id limit 1)",
        true,
    ),
    (
        "select id from t where exists (select 1 from (select u.id from u where u.t_id = t.id order by u.id desc limit 1) x where x.id < 11)",
        false,
    ),
    (
        "select id from t where exists (select 1 from (select u.id from u where u.t_id = t.id limit 1) x where x.id > 10)",
        false,
    ),
    (
        "select id from t where exists (select 1 from u where u.t_id = t.id order by id)",
        true,
    ),
    (
        "select id from t where exists (select distinct u.t_id from u where u.t_id = t.id)",
        true,
    ),
    (
        "select id from t where exists (select 1 from u where t.id > 3)",
        true,
    ),
    (
        "select id from t where not exists (select 1 from u where t.id > 3)",
        true,
    ),
    ("select id from t where exists (select 1 from u)", true),
    (
        "select id from t where exists (select 1 from u where u.id > 100)",
        true,
    ),
    (
        "select id from t where not exists (select 1 from u where u.id > 100)",
        true,
    ),
    (
        "select id from t where exists (select count(*) from u where u.t_id = t.id)",
        false,
    ),
    (
        "select id from t where exists (select u.t_id from u where u.t_id = t.id group by u.t_id having count(*) > 1)",
        true,
    ),
    (
        "select id from t where g > 1 or exists (select 1 from u where u.t_id = t.id)",
        true,
    ),
    (
        "select id, exists (select 1 from u where u.t_id = t.id) from t",
        true,
    ),
    (
        "select id, not exists (select 1 from u where u.t_id = t.id) as b from t order by b, id",
        true,
    ),
    (
        "select id, case when exists (select 1 from u where u.t_id = t.id) then 'has' else 'none' end from t",
        true,
    ),
    (
        "select id from t where id in (select t_id from u where u.id > t.g + 9)",
        false,
    ),
    (
        "select id from t where g in (select u.t_id from u where u.t_id = t.id)",
        true,
    ),
    (
        "select id from t where g in (select u.t_id from u where u.t_id = t.g group by u.t_id)",
        true,
    ),
    (
        "select id from t where id not in (select t_id from u where u.id > t.g)",
        false,
    ),
    (
        "select id from u where t_id not in (select id from t)",
        true,
    ),
    (
        "select id from u where t_id not in (select id from t where id > 100)",
        true,
    ),
    (
        "select id from u where t_id not in (select t_id from u where id = 13)",
        true,
    ),
    (
        "select id from u where not (t_id in (select g from t))",
        true,
    ),
    (
        "select id from t where not (g > 0 and id in (select t_id from u))",
        false,
    ),
    ("select id, id in (select t_id from u) from t", false),
    (
        "select id from t where id > all (select t_id from u where t_id is not null)",
        false,
    ),
    (
        "select id from t where (id, g) in (select t_id, 1 from u)",
        true,
    ),
    (
        "select t.id from t join u on u.t_id = t.id where exists (select 1 from u v where v.t_id = t.g and v.id <> u.id)",
        true,
    ),
    (
        "select id from t where exists (select 1 from u join u v on u.t_id = v.t_id where u.id < v.id and u.t_id = t.id)",
        true,
    ),
    (
        "select id from t where exists (select 1 from u left join t v on v.id = u.t_id where u.id = t.id + 10)",
        false,
    ),
    (
        "select id from t where exists (select 1 from u where u.t_id = t.id and exists (select 1 from t v where v.g = u.t_id))",
        true,
    ),
    (
        "select id from t where exists (select 1 from u where u.t_id = t.id and exists (select 1 from t v where v.g = t.g and v.id <> u.id))",
        false,
    ),
    (
        "select id, (select count(*) from u where u.t_id = t.id) + 1 from t",
        true,
    ),
    (
        "select id, (select count(t_id) * 10 from u where u.t_id = t.id) from t",
        true,
    ),
    (
        "select id, (select sum(u.id) from u where u.t_id = t.id) from t",
        true,
    ),
    (
        "select id, (select coalesce(max(u.id), -1) from u where u.t_id = t.id) from t",
        true,
    ),
    (
        "select id, (select max(u.id) + t.g from u where u.t_id = t.id) from t",
        true,
    ),
    (
        "select id, (select 100 / count(*) from u where u.t_id = t.id) from t",
        true,
    ),
    (
        "select id, case when g > 2 then (select 100 / count(*) from u where u.t_id = t.g) end from t where id < 3",
        true,
    ),
    (
        "select id from t where g < (select count(*) from u where u.t_id = t.id)",
        true,
    ),
    (
        "select id from t where (select count(*) from u where u.t_id = t.id) = 0",
        true,
    ),
    (
        "select id from t where id = (select min(u.t_id) from u where u.t_id = t.id)",
        true,
    ),
    (
        "select id from t where id > (select avg(u.t_id) from u where u.id > t.id)",
        false,
    ),
    (
        "select id, (select max(1 / (u.id - 10)) from u where u.t_id = t.id) from t where id > 2",
        false,
    ),
    ("select id from u where id > (select max(id) from t)", true),
    (
        "select id from u where t_id = (select max(g) from t where g < 0)",
        true,
    ),
    (
        "select id from u where id > (select id from t where g = 1)",
        false,
    ),
    (
        "select id, (select max(v.id) from t v where v.g = t.g and v.id < (select max(u.t_id) from u)) from t",
        true,
    ),
    (
        "select g, (select count(*) from u where u.t_id = g) from t group by g",
        true,
    ),
    // Errors that must not come earlier or later than elsewhere.
    ("select id from t where g <> 1 and 10 / (g - 1) > 4", true),
    ("select id from t where 10 / (g - 1) > 4 and g <> 1", true),
    ("select id from t where g = 1 or 10 / (g - 1) > 4", false),
    ("select case when g <> 1 then 10 / (g - 1) end from t", true),
    (
        "select case g when 1 then 0 else 10 / (g - 1) end from t",
        true,
    ),
    ("select coalesce(id, 1 / 0) from t", true),
    ("select coalesce(id, 1 / (g - 1)) from t", false),
    ("select 10 / (3 - id) from t limit 2", true),
    ("select 10 / (3 - id) from t order by id limit 2", true),
    (
        "select sum(10 / (g - 1)) filter (where g > 1) from t",
        false,
    ),
    ("select id + 2147483647 from t where id > 100", true),
    ("select id + 2147483647 from t", true),
    ("select id from t where id > 100 and 1 / 0 = 1", true),
    ("select 1 / 0 from t where id > 100", true),
    (
        "select sum(f) from (select 1e308::float8 as f from t) x",
        true,
    ),
    (
        "select g, sum(f), avg(f) from (select g, id * 1e307::float8 as f from t) x group by g",
        true,
    ),
    // Keys of types that Arrow does not know.
    (
        "select n, count(*) from (select (g / 2)::numeric * 1.0 as n from t union all select g::numeric from t) x group by n order by n",
        true,
    ),
    (
        "select distinct n from (select g::numeric(5,2) as n from t) x order by n desc",
        true,
    ),
    (
        "select count(distinct n) from (select g::numeric as n from t union all select g * 1.00 from t) x",
        true,
    ),
    (
        "select sum(distinct n) from (select g::numeric as n from t) x",
        false,
    ),
    ("select avg(distinct g), sum(distinct g) from t", true),
    ("select stddev(distinct g) from t", false),
    (
        "select a.id, b.id from (select id, id * 1.0 as n from t) a join (select id, g::numeric as n from t) b on a.n = b.n",
        true,
    ),
    (
        "select a.id from (select id, id * 1.0 as n from t) a join (select g::numeric as n from t) b on a.n = b.n where a.n::text = '1.0'",
        true,
    ),
    (
        "select c, count(*) from (select s::char(3) as c from t) x group by c order by c desc",
        true,
    ),
    (
        "select c from (select s::char(3) as c from t union all select s::char(5) from t) x order by c, length(c::text)",
        true,
    ),
    (
        "select f, count(*) from (select 0.0::float8 as f from t union all select -0.0::float8 from t) x group by f",
        true,
    ),
    (
        "select f from (select 'inf'::float8 - 'inf'::float8 as f union all select 'inf'::float8 union all select 1) x order by f",
        true,
    ),
    (
        "select i, count(*) from (select g * interval '1 day' as i from t union all select interval '24 hours') x group by i order by i",
        true,
    ),
    (
        "select array[g], count(*) from t group by array[g] order by 1",
        true,
    ),
    ("select row(g, id) from t order by row(g, id)", false),
    ("select id from t order by id * 1.5 desc, s", true),
    (
        "select g, max(id * 1.5), min(s::char(3)) from t group by g order by 2",
        true,
    ),
    (
        "with x as (select g, count(*) as n from t group by g) select g from x where n = (select max(n) from x) order by g",
        true,
    ),
    (
        "select v.id from (select id, g from t where g > 1) v where v.id in (select t_id from u) order by v.id",
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

fn on_vector(world: &World, plan: &VectorPlan) -> Result<Vec<Row>> {
    let mut functions = FrozenContext::nowhere();
    let mut rows = start(plan, &world.options(64 << 20), &mut functions)?
        .ok_or_else(|| error!(Unsupported, "the parameters do not fit"))?;
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

/// Rows in a certain order, or the error.
fn answer(rows: Result<Vec<Row>>) -> Vec<String> {
    match rows {
        Ok(rows) => sorted(rows),
        Err(error) => vec![format!("{:?}: {}", error.kind(), error.message())],
    }
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
        let rows = answer(world.try_run(&bound));
        let optimised = optimise(bound).unwrap();
        match vectorise(&optimised) {
            Err(obstacle) if *vectorised => {
                faults.push(format!("{text}\n  is not vectorised: {obstacle}"));
            }
            Ok(_) if !vectorised => faults.push(format!("{text}\n  is vectorised")),
            Ok(plan) => {
                let other = answer(on_vector(&world, &plan));
                // A constant that fails is left to the row executor.
                if other != rows && other != ["Unsupported: the parameters do not fit"] {
                    faults.push(format!("{text}\n  {rows:?}\n  {other:?}"));
                }
            }
            Err(_) => {}
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
