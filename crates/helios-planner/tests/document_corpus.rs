//! Replays the operator corpus on the document language: filters, projections, updates and
//! expressions with the answers that MongoDB-compatible engines give.
//!
//! The scores are recorded here and may only rise. `SHOW=1` prints what differs.

#[path = "extended/json.rs"]
mod extended_json;

use extended_json::{same, to_bson};
use helios_planner::document::error::DocResult;
use helios_planner::document::matcher::Matcher;
use helios_planner::document::projection::{Dialect, Projection};
use helios_planner::document::raw::{Bson, BsonBuf};
use helios_planner::document::stage::{Transform, Unwind};
use helios_planner::document::update::{Context, Update};
use serde_json::Value as Json;

/// One file, the cases in it that need no server, and how many pass: all, and confirmed ones.
struct Score {
    file: &'static str,
    all: usize,
    confirmed: usize,
}

fn cases(file: &str) -> Vec<Json> {
    let path = format!(
        "{}/tests/corpus/{file}.jsonl.zst",
        env!("CARGO_MANIFEST_DIR")
    );
    let output = std::process::Command::new("zstd")
        .args(["-dc", &path])
        .output();
    let output = output.expect("the corpus needs the zstd command (apt-get install zstd)");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn field(case: &Json, name: &str) -> BsonBuf {
    case.get(name).map_or(BsonBuf::missing(), to_bson)
}

/// The result of a case as documents, or the refusal.
type Outcome = DocResult<Vec<Vec<u8>>>;

fn run_match(case: &Json) -> DocResult<bool> {
    Matcher::compile(field(case, "filter").as_bson())?.matches(field(case, "doc").as_bson())
}

fn run_find(case: &Json) -> Outcome {
    let (document, projection) = (field(case, "doc"), field(case, "projection"));
    let matcher = Matcher::compile(field(case, "filter").as_bson())?;
    let projection = match projection.as_bson().is_document() {
        true => Some(Projection::compile(projection.as_bson(), Dialect::Find)?),
        false => None,
    };
    let (matched, index) = matcher.matches_at(document.as_bson())?;
    if !matched {
        return Ok(Vec::new());
    }
    Ok(vec![match projection {
        Some(projection) => projection.apply_at(document.as_bson(), index)?,
        None => document.bytes.to_vec(),
    }])
}

fn run_expression(case: &Json) -> Outcome {
    let pipeline = field(case, "pipeline");
    let mut documents = vec![field(case, "doc").bytes.to_vec()];
    for stage in pipeline.as_bson().elements() {
        let Some((name, argument)) = stage.fields().next() else {
            continue;
        };
        let mut next = Vec::new();
        if name == "$unwind" {
            let unwind = Unwind::compile(argument)?;
            documents
                .iter()
                .for_each(|d| unwind.apply(Bson::document(d), &mut next));
        } else if let Some(transform) = Transform::compile(name, argument)? {
            for document in &documents {
                next.push(transform.apply(Bson::document(document))?);
            }
        } else {
            panic!("a stage that this test does not run: {name}");
        }
        documents = next;
    }
    Ok(documents)
}

fn run_update(case: &Json) -> Outcome {
    let (document, filter) = (field(case, "doc"), field(case, "filter"));
    let matcher = Matcher::compile(filter.as_bson())?;
    let update = Update::compile(
        field(case, "update").as_bson(),
        field(case, "arrayFilters").as_bson(),
    )?;
    let context = Context {
        now_ms: 1_700_000_000_000,
        ..Context::default()
    };
    let present = document.as_bson().is_document();
    let (matched, index) = match present {
        true => matcher.matches_at(document.as_bson())?,
        false => (false, None),
    };
    if matched {
        let after = update.apply(
            document.as_bson(),
            &Context {
                matched: index,
                ..context
            },
        )?;
        return Ok(vec![after.unwrap_or_else(|| document.bytes.to_vec())]);
    }
    let mut out = if present {
        vec![document.bytes.to_vec()]
    } else {
        Vec::new()
    };
    if case.get("upsert").is_some_and(|v| v == true) {
        out.push(update.upsert(filter.as_bson(), &context, [7; 12])?);
    }
    Ok(out)
}

fn without_id(document: &[u8]) -> Vec<u8> {
    let mut out = helios_planner::document::raw::Writer::new();
    for (name, value) in Bson::document(document)
        .fields()
        .filter(|(n, _)| *n != "_id")
    {
        out.put(name, value);
    }
    out.finish()
}

fn agrees(case: &Json, outcome: &Outcome) -> bool {
    let expected = match (case.get("error"), outcome) {
        (Some(_), outcome) => return outcome.is_err(),
        (None, Err(_)) => return false,
        (None, Ok(_)) => case["expect"].as_array().unwrap(),
    };
    let Ok(actual) = outcome else { return false };
    let drop_id = case.get("ignore_id").is_some_and(|v| v == true)
        || (case["doc"].is_object() && case["doc"].get("_id").is_none());
    let clean = |document: &[u8]| {
        if drop_id {
            without_id(document)
        } else {
            document.to_vec()
        }
    };
    let actual: Vec<Vec<u8>> = actual.iter().map(|d| clean(d)).collect();
    let mut expected: Vec<Vec<u8>> = expected.iter().map(|d| clean(&to_bson(d).bytes)).collect();
    if actual.len() != expected.len() {
        return false;
    }
    actual.iter().all(|a| {
        let found = expected
            .iter()
            .position(|e| same(Bson::document(a), Bson::document(e)));
        found.map(|at| expected.swap_remove(at)).is_some()
    })
}

fn show(case: &Json, outcome: &str) {
    if std::env::var("SHOW").is_ok() {
        let mut short = case.clone();
        for key in ["operators", "ordered", "kind"] {
            short.as_object_mut().unwrap().remove(key);
        }
        println!("{short}\n    got {outcome}");
    }
}

fn replay(file: &'static str, run: fn(&Json) -> Outcome) -> (Score, usize) {
    let mut score = Score {
        file,
        all: 0,
        confirmed: 0,
    };
    let mut total = 0;
    for case in cases(file).iter().filter(|c| c.get("command").is_none()) {
        total += 1;
        let outcome = run(case);
        if agrees(case, &outcome) {
            score.all += 1;
            score.confirmed += usize::from(case["confirmed"] == true);
        } else {
            show(
                case,
                &match outcome {
                    Ok(documents) => format!(
                        "{:?}",
                        documents
                            .iter()
                            .map(|d| format!("{:?}", Bson::document(d)))
                            .collect::<Vec<_>>()
                    ),
                    Err(error) => format!("error {}: {error}", error.code),
                },
            );
        }
    }
    (score, total)
}

fn assert_at_least(score: Score, total: usize, recorded: (usize, usize)) {
    println!(
        "{}: {} of {total}, {} of the confirmed ones",
        score.file, score.all, score.confirmed
    );
    assert!(
        score.all >= recorded.0 && score.confirmed >= recorded.1,
        "{} fell from {recorded:?} to ({}, {})",
        score.file,
        score.all,
        score.confirmed
    );
}

#[test]
fn filters_of_the_corpus_match_as_recorded() {
    let mut score = Score {
        file: "match",
        all: 0,
        confirmed: 0,
    };
    let cases = cases("match");
    for case in &cases {
        let outcome = run_match(case);
        let good = match (&outcome, case.get("error")) {
            (Err(_), Some(_)) => true,
            (Ok(matched), None) => case["expect"] == *matched,
            _ => false,
        };
        if good {
            score.all += 1;
            score.confirmed += usize::from(case["confirmed"] == true);
        } else {
            show(case, &format!("{outcome:?}"));
        }
    }
    assert_at_least(score, cases.len(), (176, 146));
}

#[test]
fn projections_of_the_corpus_give_the_recorded_documents() {
    let (score, total) = replay("find", run_find);
    assert_at_least(score, total, (70, 55));
}

#[test]
fn expressions_of_the_corpus_give_the_recorded_values() {
    let (score, total) = replay("expression", run_expression);
    assert_at_least(score, total, (2147, 2037));
}

#[test]
fn updates_of_the_corpus_give_the_recorded_documents() {
    let (score, total) = replay("update", run_update);
    assert_at_least(score, total, (323, 301));
}
