//! aggregate and explain.

use super::{Context, admin, cursor, find, options, output};
use crate::error::{Result, fail, string};
use crate::translate::{Query, Statement};
use helios_engine::ExplainFormat;
use helios_planner::document::error::code;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use helios_planner::document::variable::Place;

const FIELDS: &[&str] = &[
    "pipeline",
    "cursor",
    "explain",
    "allowDiskUse",
    "bypassDocumentValidation",
    "collation",
    "hint",
    "let",
];

pub(crate) async fn aggregate(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(FIELDS)?;
    context.refuse_options(&["collation"])?;
    if context.get("explain").truthy() {
        let statement = plan(context).await?;
        return explained(context, statement);
    }
    let options = context.get("cursor");
    if !options.is_document() {
        fail!(
            code::FAILED_TO_PARSE,
            "The 'cursor' option is required, except for aggregate with the explain argument"
        );
    }
    let size = options.get("batchSize");
    let batch_size = match Number::of(size).and_then(Number::to_truncated_i64) {
        Some(v) if v >= 0 => v,
        Some(v) => fail!(
            51024,
            "BSON field 'batchSize' value must be >= 0, actual value '{v}'"
        ),
        None if size.is_missing() => cursor::FIRST_BATCH,
        None => fail!(
            code::TYPE_MISMATCH,
            "cursor.batchSize field must be a number"
        ),
    };
    let (_, target) = context.request.command();
    let namespace = match target.as_str() {
        Some(name) => format!("{}.{name}", context.database),
        None => format!("{}.$cmd.aggregate", context.database),
    };
    let statement = plan(context).await?;
    if let Some(target) = output::target(context.database, context.get("pipeline"))? {
        return output::write(context, statement, target).await;
    }
    let wanted = cursor::Wanted {
        batch_size,
        single: false,
        point: false,
    };
    cursor::answer(context, &namespace, statement, wanted).await
}

async fn plan(context: &mut Context<'_>) -> Result<Statement> {
    let (command, target) = context.request.command();
    let pipeline = context.get("pipeline");
    if !pipeline.is_array() {
        fail!(
            code::TYPE_MISMATCH,
            "'pipeline' option must be specified as an array"
        );
    }
    let reading =
        pipeline.len() - usize::from(output::target(context.database, pipeline)?.is_some());
    if Number::of(target).is_some() {
        let variables = options::Variables::of(context)?;
        let pipeline = variables.bind(pipeline, Place::Expression);
        let resolve = context.resolver()?;
        let query = Query::over_documents(pipeline.as_bson(), reading, &resolve)?;
        return Ok(query.finish());
    }
    let name = string(command, command, target)?;
    super::namespace::check_collection_name(context.database, name)?;
    let variables = options::Variables::of(context)?;
    let pipeline = variables.bind(pipeline, Place::Expression);
    let pipeline = pipeline.as_bson();
    let first = pipeline.element(0);
    if let Some(("$collStats", wanted)) = first.fields().next() {
        // Not of the documents: one row that is known already.
        let document = admin::stats_document(context, name, wanted).await?;
        let resolve = context.resolver()?;
        let mut query = Query::of_document(Bson::document(&document), &resolve);
        query.stages(pipeline.elements().take(reading).skip(1))?;
        return Ok(query.finish());
    }
    let collection = context.read_collection(name)?;
    options::hint(collection.as_ref(), context.get("hint"))?;
    let resolve = context.resolver()?;
    // A first $match goes to the table, where keys can answer it.
    let leading = first
        .fields()
        .next()
        .filter(|(n, v)| *n == "$match" && v.is_document() && first.len() == 1);
    let filter = leading.map_or(Bson::MISSING, |(_, filter)| filter);
    let mut query = Query::over(collection.as_ref(), filter, &resolve)?;
    let stages = pipeline.elements().take(reading);
    query.stages(stages.skip(usize::from(leading.is_some())))?;
    Ok(query.finish())
}

/// The plan of a find, count, distinct or aggregate, in the text that every protocol gets.
pub(crate) async fn explain(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["verbosity"])?;
    if let Some(verbosity) = context.get("verbosity").as_str()
        && verbosity != "queryPlanner"
    {
        fail!(
            code::COMMAND_NOT_SUPPORTED,
            "verbosity '{verbosity}' of explain is not supported"
        );
    }
    let (_, inner) = context.request.command();
    let Some((name, _)) = inner.fields().next().filter(|_| inner.is_document()) else {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'explain.explain' must be an object"
        );
    };
    let request = crate::codec::Request::new(context.request.request_id, inner);
    let session = context.session.take();
    let mut nested = Context {
        client: &mut *context.client,
        request: &request,
        name,
        database: context.database,
        session,
        in_transaction: context.in_transaction,
        retry: None,
        namespace: None,
        out: Writer::new(),
    };
    let statement = match name {
        "find" => {
            let collection = nested.collection_name()?;
            find::plan(&mut nested, collection).map(|(statement, _)| statement)
        }
        "aggregate" => plan(&mut nested).await,
        "count" | "distinct" => super::count::plan(&mut nested).map(|(statement, _)| statement),
        other => fail!(
            code::COMMAND_NOT_SUPPORTED,
            "explain of {other} is not supported"
        ),
    };
    let session = nested.session.take();
    context.session = session;
    explained(context, statement?)
}

fn explained(context: &mut Context<'_>, statement: Statement) -> Result<()> {
    let (_, target) = context.request.command();
    let name = target
        .as_str()
        .or_else(|| target.fields().next()?.1.as_str())
        .unwrap_or("");
    let namespace = format!("{}.{name}", context.database);
    let session = context.session()?;
    let prepared = session.prepare(&statement.text, &statement.params.types)?;
    let text = session.explain(&prepared, ExplainFormat::Text)?;
    let executor = prepared.template().map_or("", |t| t.executor.name());
    let out = &mut context.out;
    out.put_str("explainVersion", "1")
        .start_document("queryPlanner")
        .put_str("namespace", &namespace);
    out.start_document("winningPlan")
        .put_str("stage", executor)
        .put_str("plan", &text)
        .end();
    out.start_array("rejectedPlans").end().end();
    Ok(())
}
