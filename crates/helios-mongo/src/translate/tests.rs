//! Filters and pipelines against the statements they become.

use super::*;
use helios_planner::catalog::{Column, Index, IndexColumn, IndexKey, Shape, Table};
use helios_planner::document::raw::*;
use helios_types::{DatabaseId, ObjectId};
use std::sync::Arc;

fn column(name: &str, ty: Type) -> Column {
    Column {
        name: name.into(),
        ty,
        not_null: false,
        default: None,
        identity: None,
        sequence: None,
        generated: None,
        dropped: false,
        missing: None,
        comment: None,
    }
}

fn collection(shape: Shape) -> Collection {
    let columns = match shape {
        Shape::Document => vec![column("_id", Type::TEXT), column("doc", Type::JSONB)],
        _ => vec![
            column("id", Type::INT4),
            column("name", Type::TEXT),
            column("rate", Type::FLOAT8),
        ],
    };
    let table = Table {
        id: ObjectId(20000),
        database: DatabaseId(5),
        schema: ObjectId(2200),
        name: "people".into(),
        owner: ObjectId(10),
        shape,
        storage: ObjectId(20000),
        columns,
        schema_version: 0,
        layouts: Vec::new(),
        key: if shape == Shape::Document {
            Vec::new()
        } else {
            vec![0]
        },
        indexes: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        history: false,
        redis_prefix: None,
        grants: Vec::new(),
        comment: None,
        temporary: false,
    };
    Collection {
        schema: "shop".into(),
        table: Arc::new(table),
        namespace: "shop.people".into(),
        statements: Arc::default(),
    }
}

/// A filter or stage written as JSON.
fn bson(json: &str) -> BsonBuf {
    let parsed = helios_types::Jsonb::parse(json).unwrap();
    let value: Bson<'_> = parsed.as_ref().into();
    value.to_buf()
}

/// A collection with an index over `age` and `at.city`.
fn indexed() -> Collection {
    let path = |path: &str| IndexColumn {
        key: IndexKey::Path(path.into()),
        descending: false,
        nulls_first: true,
    };
    let index = Index {
        id: ObjectId(20001),
        storage: ObjectId(20001),
        name: "people.age_1".into(),
        unique: false,
        primary: false,
        constraint: None,
        columns: vec![path("age"), path("at.city")],
        include: Vec::new(),
        predicate: None,
        nulls_not_distinct: true,
        multikey: true,
        ready: true,
        comment: None,
    };
    let mut collection = collection(Shape::Document);
    let mut table = (*collection.table).clone();
    table.indexes.push(index);
    collection.table = Arc::new(table);
    collection
}

fn find(shape: Shape, filter: &str) -> String {
    let filter = bson(filter);
    let none = |_: &str| None;
    let collection = collection(shape);
    let query = Query::over(Some(&collection), filter.as_bson(), &none).unwrap();
    query
        .finish_find(Bson::MISSING, filter.as_bson(), 0, 0)
        .text
}

fn aggregate(pipeline: &str) -> String {
    let pipeline = bson(pipeline);
    let none = |_: &str| Some(collection(Shape::Document));
    let collection = collection(Shape::Document);
    let mut query = Query::over(Some(&collection), Bson::MISSING, &none).unwrap();
    query.stages(pipeline.as_bson().elements()).unwrap();
    query.finish().text
}

#[test]
fn an_id_of_a_document_becomes_a_condition_on_the_key() {
    assert_eq!(
        find(Shape::Document, r#"{"_id": 5, "a": 1}"#),
        r#"SELECT t0.doc AS doc FROM "shop"."people" AS t0 WHERE bson_id_equals(t0.doc, $1) AND bson_match(t0.doc, $2)"#
    );
}

#[test]
fn conditions_on_the_key_and_on_indexed_paths_become_functions_of_them() {
    let cases = [
        (
            r#"{"_id": {"$gt": 5}}"#,
            "bson_path_range(t0.doc, '_id', '>', $1)",
        ),
        (
            r#"{"_id": {"$in": [1, 2]}}"#,
            "bson_path_in(t0.doc, '_id', $1)",
        ),
        (r#"{"age": 5}"#, "bson_path_equals(t0.doc, 'age', $1)"),
        (
            r#"{"age": {"$gte": 5, "$lt": 9}}"#,
            // In jsonb's order of keys: the shorter first.
            "bson_path_range(t0.doc, 'age', '<', $1) AND bson_path_range(t0.doc, 'age', '>=', $2)",
        ),
        (
            r#"{"$and": [{"age": 5}, {"at.city": {"$in": ["a", null]}}]}"#,
            "bson_path_equals(t0.doc, 'age', $1) AND bson_path_in(t0.doc, 'at.city', $2)",
        ),
        (
            r#"{"age": {"$gt": 5, "$ne": 7}}"#,
            "bson_path_range(t0.doc, 'age', '>', $1) AND bson_match(t0.doc, $2)",
        ),
        (r#"{"age": null}"#, "bson_match(t0.doc, $1)"),
        (r#"{"age": [1]}"#, "bson_match(t0.doc, $1)"),
        (r#"{"age": {"$in": [[1]]}}"#, "bson_match(t0.doc, $1)"),
        (r#"{"name": {"$gt": 5}}"#, "bson_match(t0.doc, $1)"),
    ];
    let none = |_: &str| None;
    for (filter, condition) in cases {
        let filter = bson(filter);
        let query = Query::over(Some(&indexed()), filter.as_bson(), &none).unwrap();
        let text = query.finish_count(0, 0).text;
        assert_eq!(
            text,
            format!(r#"SELECT count(*) FROM "shop"."people" AS t0 WHERE {condition}"#)
        );
    }
}

#[test]
fn an_order_by_indexed_paths_is_one_by_their_keys() {
    let none = |_: &str| None;
    let order = |sort: &str| {
        let mut query = Query::over(Some(&indexed()), Bson::MISSING, &none).unwrap();
        query.sort(bson(sort).as_bson()).unwrap();
        let text = query.finish_find(Bson::MISSING, Bson::MISSING, 0, 0).text;
        text.split_once(" ORDER BY ").unwrap().1.to_owned()
    };
    assert_eq!(
        order(r#"{"age": 1, "at.city": -1}"#),
        "bson_path_key(t0.doc, 'age', false), bson_path_key(t0.doc, 'at.city', true)"
    );
    assert_eq!(
        order(r#"{"_id": -1}"#),
        "bson_path_key(t0.doc, '_id', true)"
    );
    assert_eq!(order(r#"{"name": 1}"#), "bson_sort_key(t0.doc, $1)");
}

#[test]
fn conditions_on_typed_columns_become_predicates_that_are_never_null() {
    const ROW: &str = r#"bson_row('_id'::text, t0."id", 'id'::text, t0."id", 'name'::text, t0."name", 'rate'::text, t0."rate")"#;
    let cases = [
        (r#"{"_id": 5}"#, r#"t0."id" = $1"#),
        (r#"{"id": "five"}"#, "FALSE"),
        (r#"{"name": null}"#, r#"t0."name" IS NULL"#),
        (
            r#"{"name": {"$ne": "a"}}"#,
            r#"t0."name" IS DISTINCT FROM $1"#,
        ),
        (
            r#"{"id": {"$gt": 5, "$lte": 9}}"#,
            r#"(t0."id" > $1 AND t0."id" IS NOT NULL) AND (t0."id" <= $2 AND t0."id" IS NOT NULL)"#,
        ),
        (
            r#"{"id": {"$in": [1, "x", null]}}"#,
            r#"((t0."id" IN ($1) AND t0."id" IS NOT NULL) OR t0."id" IS NULL)"#,
        ),
        (
            r#"{"id": {"$nin": [1]}}"#,
            r#"NOT ((t0."id" IN ($1) AND t0."id" IS NOT NULL))"#,
        ),
    ];
    for (filter, condition) in cases {
        let expected =
            format!(r#"SELECT {ROW} AS doc FROM "shop"."people" AS t0 WHERE {condition}"#);
        assert_eq!(find(Shape::Relational, filter), expected, "{filter}");
    }
}

#[test]
fn what_sql_would_decide_otherwise_stays_with_the_document() {
    for filter in [
        r#"{"rate": {"$gt": 1}}"#,
        r#"{"name": {"$regex": "a"}}"#,
        r#"{"id": {"$gt": 5.5}}"#,
    ] {
        assert!(
            find(Shape::Relational, filter).contains("bson_match(bson_row("),
            "{filter}"
        );
    }
}

#[test]
fn stages_nest_in_their_order() {
    let cases = [
        (
            r#"[{"$project": {"a": 1}}, {"$sort": {"a": 1}}, {"$limit": 3}]"#,
            r#"SELECT t2.doc AS doc FROM (SELECT t1.doc AS doc, bson_sort_key(t1.doc, $2) AS k FROM (SELECT bson_stage(t0.doc, $1) AS doc FROM "shop"."people" AS t0) AS t1 ORDER BY bson_sort_key(t1.doc, $2) LIMIT $3) AS t2 ORDER BY t2.k"#,
        ),
        (
            r#"[{"$project": {"a": 1}}, {"$addFields": {"b": 1}}, {"$unset": "c"}]"#,
            r#"SELECT bson_stage(t0.doc, $1) AS doc FROM "shop"."people" AS t0"#,
        ),
        (
            r#"[{"$lookup": {"from": "x", "let": {"v": "$a"}, "as": "y", "pipeline": [{"$match": {"$expr": {"$eq": ["$b", "$$v"]}}}]}}]"#,
            r#"SELECT bson_set(t1.doc, $3, (SELECT bson_array_agg(t3.doc) FROM (SELECT t2.doc AS doc FROM "shop"."people" AS t2 WHERE bson_match(t2.doc, bson_bind($2, bson_stage(t1.doc, $1), true))) AS t3)) AS doc FROM (SELECT t0.doc AS doc FROM "shop"."people" AS t0) AS t1"#,
        ),
        (
            r#"[{"$group": {"_id": "$a", "n": {"$sum": 1}}}]"#,
            r#"SELECT t1.doc AS doc FROM (SELECT bson_group(t0.doc, $1) AS doc FROM "shop"."people" AS t0 GROUP BY bson_group_key(t0.doc, $1)) AS t1"#,
        ),
        (
            r#"[{"$match": {"a": 1}}, {"$count": "n"}]"#,
            r#"SELECT t1.doc AS doc FROM (SELECT bson_count(count(*), $2) AS doc FROM "shop"."people" AS t0 WHERE bson_match(t0.doc, $1) HAVING count(*) > 0) AS t1"#,
        ),
    ];
    for (pipeline, expected) in cases {
        assert_eq!(aggregate(pipeline), expected, "{pipeline}");
    }
}

#[test]
fn stages_that_are_not_supported_are_refused_by_name() {
    let none = |_: &str| None;
    for (stage, code) in [
        (r#"[{"$graphLookup": {"from": "x"}}]"#, 115),
        (r#"[{"$merge": {"into": "x"}}]"#, 40601),
        (r#"[{"$nonsense": 1}]"#, 40324),
    ] {
        let stage = bson(stage);
        let mut query = Query::over(None, Bson::MISSING, &none).unwrap();
        assert_eq!(
            query.stages(stage.as_bson().elements()).unwrap_err().code,
            code
        );
    }
}
