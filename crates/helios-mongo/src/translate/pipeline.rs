//! Pipelines as nested queries.
//!
//! A query in the making is a FROM item, the document as an expression over it, conditions and an
//! order. Stages that make one document of one wrap the expression; stages that need rows of their
//! own (`$limit`, `$group`, …) close what there is into a sub-query first. The sort key travels
//! along as a column `k`, so that the order survives until it is needed.

use super::path::has_index;
use super::relation::literal;
use super::{Collection, Params, Predicate, Statement};
use crate::error::{MongoError, Result, fail};
use helios_planner::document::accumulator::Group;
use helios_planner::document::error::code;
use helios_planner::document::expression::Expression;
use helios_planner::document::matcher::Matcher;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use helios_planner::document::sort::{SortKey, SortSpec};
use helios_planner::document::stage::{Transform, Unwind};
use helios_planner::document::variable::{self, Place};
use helios_planner::document::window::Window;
use helios_types::{Jsonb, Value};

/// Most stages of a pipeline, as MongoDB has it.
const STAGES_MAX: usize = 1000;
/// Deepest nesting of pipelines in `$lookup`, `$facet` and `$unionWith`.
const PIPELINES_MAX: usize = 20;

/// Finds the collections that a pipeline names.
pub type Resolve<'r> = &'r (dyn Fn(&str) -> Option<Collection> + Sync);

/// A query in the making.
pub struct Query<'r> {
    from: String,
    document: String,
    conditions: Vec<String>,
    /// What the documents are sorted by, as one value.
    order: Option<String>,
    /// The same as expressions that an index may give the order of.
    order_by: Option<String>,
    /// The collection, as long as the document is still as it is stored there.
    stored: Option<Collection>,
    pub params: Params,
    next: usize,
    depth: usize,
    resolve: Resolve<'r>,
    /// Documents of `let` variables as SQL text, those of the innermost pipeline last.
    variables: Vec<String>,
    /// The names of these variables, each with null: what specifications are checked with.
    names: Vec<u8>,
    /// The parameter of the `bson_stage` that the document is, to which the next stage is added.
    last_stage: Option<usize>,
    /// Whether the conditions fix the key of one row.
    pub point: bool,
}

impl<'r> Query<'r> {
    /// The documents of a collection; of none when there is no such collection.
    pub fn over(
        collection: Option<&Collection>,
        filter: Bson<'_>,
        resolve: Resolve<'r>,
    ) -> Result<Query<'r>> {
        Self::with_params(collection, filter, resolve, Params::default(), 0)
    }

    /// One document that is given.
    pub fn of_document(document: Bson<'_>, resolve: Resolve<'r>) -> Query<'r> {
        let mut params = Params::default();
        let document = params.bson(document);
        Query {
            from: format!("(SELECT {document} AS doc) AS t0"),
            document: "t0.doc".to_owned(),
            conditions: Vec::new(),
            order: None,
            order_by: None,
            stored: None,
            params,
            next: 1,
            depth: 0,
            resolve,
            variables: Vec::new(),
            names: EMPTY.to_vec(),
            last_stage: None,
            point: false,
        }
    }

    /// The documents that the pipeline itself gives, through `reading` of its stages.
    pub fn over_documents(
        pipeline: Bson<'_>,
        reading: usize,
        resolve: Resolve<'r>,
    ) -> Result<Query<'r>> {
        let list = given_documents(pipeline)?;
        let mut query = Self::with_params(None, Bson::MISSING, resolve, Params::default(), 0)?;
        query.give(list.as_bson());
        query.stages(pipeline.elements().take(reading).skip(1))?;
        Ok(query)
    }

    /// Reads these documents instead of a collection.
    fn give(&mut self, documents: Bson<'_>) {
        let mut holder = Writer::new();
        holder.put("d", documents);
        let holder = self.params.bson(Bson::document(&holder.finish()));
        let field = BsonBuf::string("$d");
        let path = self.params.bson(field.as_bson());
        self.replace(
            format!("SELECT bson_unwind({holder}, {path}) AS doc"),
            false,
        );
        let mut stage = Writer::new();
        stage.put_str("$replaceWith", "$d");
        self.transform(Bson::document(&stage.finish()));
    }

    fn with_params(
        collection: Option<&Collection>,
        filter: Bson<'_>,
        resolve: Resolve<'r>,
        params: Params,
        next: usize,
    ) -> Result<Query<'r>> {
        let mut query = Query {
            from: String::new(),
            document: String::new(),
            conditions: Vec::new(),
            order: None,
            order_by: None,
            stored: None,
            params,
            next: next + 1,
            depth: 0,
            resolve,
            variables: Vec::new(),
            names: EMPTY.to_vec(),
            last_stage: None,
            point: false,
        };
        let alias = format!("t{next}");
        match collection {
            Some(collection) => {
                query.from = format!("{} AS {alias}", collection.name());
                query.document = collection.document(&alias);
                query.stored = collection.is_document().then(|| collection.clone());
                query.filter(collection, filter, &alias)?;
            }
            None => {
                check_filter(filter)?;
                query.from = format!("(SELECT NULL::jsonb AS doc) AS {alias}");
                query.document = format!("{alias}.doc");
                query.conditions.push("FALSE".to_owned());
            }
        }
        Ok(query)
    }

    fn filter(&mut self, collection: &Collection, filter: Bson<'_>, alias: &str) -> Result<()> {
        if filter.is_missing() || filter.is_empty() {
            return Ok(());
        }
        let split = Predicate::split(collection, filter, alias, &mut self.params);
        self.point = split.point;
        self.conditions.extend(split.conditions);
        let rest = Bson::document(&split.rest);
        if !rest.is_empty() {
            check_filter(rest)?;
            let rest = self.params.bson(rest);
            self.conditions
                .push(format!("bson_match({}, {rest})", self.document));
        }
        Ok(())
    }

    /// A specification as an argument of a document function, `let` variables put in.
    fn spec(&mut self, value: Bson<'_>, place: Place) -> String {
        let mut text = self.params.bson(value);
        for variables in self.variables.iter().rev() {
            let filter = place == Place::Filter;
            text = format!("bson_bind({text}, {variables}, {filter})");
        }
        text
    }

    /// A specification as it is compiled before anything runs: with null for every variable.
    fn probe(&self, value: Bson<'_>, place: Place) -> BsonBuf {
        variable::bind(value, Bson::document(&self.names), place)
    }

    fn where_clause(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", self.conditions.join(" AND "))
    }

    fn order_clause(&self) -> String {
        let keys = self.order_by.as_ref().or(self.order.as_ref());
        keys.map_or(String::new(), |keys| format!(" ORDER BY {keys}"))
    }

    /// Closes what there is into a sub-query.
    fn close(&mut self, suffix: &str) {
        let key = self
            .order
            .as_ref()
            .map_or(String::new(), |k| format!(", {k} AS k"));
        let inner = format!(
            "SELECT {} AS doc{key} FROM {}{}{suffix}",
            self.document,
            self.from,
            self.where_clause()
        );
        self.replace(inner, self.order.is_some());
    }

    /// Goes on over another query, which has a column `doc` and perhaps `k`.
    fn replace(&mut self, inner: String, ordered: bool) {
        let alias = format!("t{}", self.next);
        self.next += 1;
        self.from = format!("({inner}) AS {alias}");
        self.document = format!("{alias}.doc");
        self.last_stage = None;
        self.stored = None;
        self.order_by = None;
        self.conditions.clear();
        self.order = ordered.then(|| format!("{alias}.k"));
    }

    pub fn sort(&mut self, spec: Bson<'_>) -> Result<()> {
        let parsed = SortSpec::parse(spec)?;
        self.order_by = self.path_keys(&parsed);
        let spec = self.params.bson(spec);
        self.order = Some(format!("bson_sort_key({}, {spec})", self.document));
        Ok(())
    }

    /// An order by paths that the key or an index has.
    fn path_keys(&self, spec: &SortSpec) -> Option<String> {
        let collection = self.stored.as_ref()?;
        let key = |key: &SortKey| {
            let path = key.path.text();
            has_index(collection, &path).then(|| {
                let (document, path) = (&self.document, literal(&path));
                format!("bson_path_key({document}, {path}, {})", key.descending)
            })
        };
        let keys: Option<Vec<_>> = spec.keys.iter().map(key).collect();
        Some(keys?.join(", "))
    }

    pub fn skip_and_limit(&mut self, skip: i64, limit: i64) {
        let mut suffix = self.order_clause();
        suffix.push_str(&self.bounds(skip, limit));
        self.close(&suffix);
    }

    fn bounds(&mut self, skip: i64, limit: i64) -> String {
        let mut out = String::new();
        if limit > 0 {
            out.push_str(&format!(" LIMIT {}", self.params.integer(limit)));
        }
        if skip > 0 {
            out.push_str(&format!(" OFFSET {}", self.params.integer(skip)));
        }
        out
    }

    /// The statement of a `find`: the projection is evaluated for the rows that are left.
    pub fn finish_find(
        mut self,
        projection: Bson<'_>,
        filter: Bson<'_>,
        skip: i64,
        limit: i64,
    ) -> Statement {
        let mut document = self.document.clone();
        if projection.is_document() && !projection.is_empty() {
            let (projection, filter) = (self.params.bson(projection), self.params.bson(filter));
            document = format!("bson_project({document}, {projection}, {filter})");
        }
        let tail = format!("{}{}", self.where_clause(), self.order_clause());
        let bounds = self.bounds(skip, limit);
        let text = format!("SELECT {document} AS doc FROM {}{tail}{bounds}", self.from);
        Statement {
            text,
            params: self.params,
        }
    }

    /// The statement that locks the first document found and gives it.
    pub fn finish_locking(mut self, limit: i64) -> Statement {
        let tail = format!("{}{}", self.where_clause(), self.order_clause());
        let bounds = self.bounds(0, limit);
        let text = format!(
            "SELECT {} AS doc FROM {}{tail}{bounds} FOR UPDATE",
            self.document, self.from
        );
        Statement {
            text,
            params: self.params,
        }
    }

    pub fn finish(self) -> Statement {
        let text = self.text();
        Statement {
            text,
            params: self.params,
        }
    }

    fn text(&self) -> String {
        format!(
            "SELECT {} AS doc FROM {}{}{}",
            self.document,
            self.from,
            self.where_clause(),
            self.order_clause()
        )
    }

    /// A statement of one row: the number of documents, and null when there is no limit on it.
    pub fn finish_count(mut self, skip: i64, limit: i64) -> Statement {
        if skip > 0 || limit > 0 {
            self.skip_and_limit(skip, limit);
        }
        let text = format!("SELECT count(*) FROM {}{}", self.from, self.where_clause());
        Statement {
            text,
            params: self.params,
        }
    }

    /// A statement of one row: the array of distinct values at a path.
    pub fn finish_distinct(mut self, path: &str) -> Statement {
        let path = self.params.text(path);
        let text = format!(
            "SELECT bson_distinct({}, {path}) FROM {}{}",
            self.document,
            self.from,
            self.where_clause()
        );
        Statement {
            text,
            params: self.params,
        }
    }

    /// Adds the stages of a pipeline.
    pub fn stages<'b>(&mut self, stages: impl Iterator<Item = Bson<'b>>) -> Result<()> {
        for (at, stage) in stages.enumerate() {
            if at >= STAGES_MAX {
                fail!(
                    7749501,
                    "Pipeline length must be no longer than {STAGES_MAX} stages"
                );
            }
            let mut fields = stage.fields();
            let (Some((name, argument)), None) = (fields.next(), fields.next()) else {
                fail!(
                    40323,
                    "A pipeline stage specification object must contain exactly one field."
                );
            };
            self.stage(name, argument, stage)?;
        }
        Ok(())
    }

    fn stage(&mut self, name: &str, argument: Bson<'_>, stage: Bson<'_>) -> Result<()> {
        match name {
            "$match" => self.match_stage(argument),
            "$project" | "$addFields" | "$set" | "$unset" | "$replaceRoot" | "$replaceWith" => {
                let probe = self.probe(argument, Place::Expression);
                Transform::compile(name, probe.as_bson())?;
                self.transform(stage);
                Ok(())
            }
            "$sort" => {
                if self.stored.is_none() {
                    self.close("");
                }
                self.sort(argument)
            }
            "$limit" => {
                let limit = whole(name, argument)?;
                if limit <= 0 {
                    fail!(15958, "the limit must be positive");
                }
                self.skip_and_limit(0, limit);
                Ok(())
            }
            "$skip" => {
                let skip = whole(name, argument)?;
                if skip < 0 {
                    fail!(
                        5107200,
                        "invalid argument to $skip stage: Expected a non-negative number in: $skip: {skip}"
                    );
                }
                self.skip_and_limit(skip, 0);
                Ok(())
            }
            "$group" => self.group(argument),
            "$count" => self.count(argument),
            "$unwind" => self.unwind(argument),
            "$lookup" => self.lookup(argument),
            "$sample" => self.sample(argument),
            "$sortByCount" => self.sort_by_count(argument),
            "$bucket" => {
                self.group(Bson::document(&super::bucket::group(argument)?))?;
                self.sort(Bson::document(&ascending("_id")))
            }
            "$setWindowFields" => self.window(argument),
            "$documents" => fail!(
                40602,
                "$documents is only valid as the first stage in a pipeline"
            ),
            "$out" | "$merge" => fail!(40601, "{name} can only be the final stage in the pipeline"),
            "$facet" => self.facet(argument),
            "$unionWith" => self.union(argument),
            "$collStats" => fail!(
                40602,
                "$collStats is only valid as the first stage in a pipeline"
            ),
            _ => unsupported(name),
        }
    }

    /// Applies a stage that makes one document of one; stages in a row are one call.
    fn transform(&mut self, stage: Bson<'_>) {
        let before = self
            .last_stage
            .and_then(|at| self.params.values.get_mut(at));
        if let Some(Value::Jsonb(stages)) = before {
            let known: Bson<'_> = stages.as_ref().into();
            let all = array_of(known.elements().chain([stage]));
            *stages = Jsonb::new(all.tag, &all.bytes);
            return;
        }
        let at = self.params.values.len();
        let stages = array_of([stage]);
        let spec = self.spec(stages.as_bson(), Place::Expression);
        self.document = format!("bson_stage({}, {spec})", self.document);
        self.stored = None;
        self.last_stage = Some(at);
    }

    fn match_stage(&mut self, filter: Bson<'_>) -> Result<()> {
        if !filter.is_document() {
            fail!(15959, "the match filter must be an expression in an object");
        }
        check_filter(self.probe(filter, Place::Filter).as_bson())?;
        if !filter.is_empty() {
            if self.document.contains('(') {
                self.close("");
            }
            let filter = self.spec(filter, Place::Filter);
            self.conditions
                .push(format!("bson_match({}, {filter})", self.document));
        }
        Ok(())
    }

    fn group(&mut self, spec: Bson<'_>) -> Result<()> {
        Group::compile(self.probe(spec, Place::Expression).as_bson())?;
        if self.document.contains('(') {
            self.close("");
        }
        let order = self.order_clause();
        let spec = self.spec(spec, Place::Expression);
        let inner = format!(
            "SELECT bson_group({0}, {spec}{order}) AS doc FROM {1}{2} GROUP BY bson_group_key({0}, {spec})",
            self.document,
            self.from,
            self.where_clause()
        );
        self.replace(inner, false);
        Ok(())
    }

    fn window(&mut self, spec: Bson<'_>) -> Result<()> {
        Window::compile(self.probe(spec, Place::Expression).as_bson())?;
        if self.document.contains('(') {
            self.close("");
        }
        let spec = self.spec(spec, Place::Expression);
        let key = format!("bson_window_key({}, {spec})", self.document);
        let inner = format!(
            "SELECT bson_window({}, {spec}) AS doc, {key} AS k FROM {}{} GROUP BY {key}",
            self.document,
            self.from,
            self.where_clause()
        );
        self.replace(inner, true);
        self.unwind(BsonBuf::string("$d").as_bson())?;
        let mut stage = Writer::new();
        stage.put_str("$replaceWith", "$d");
        self.transform(Bson::document(&stage.finish()));
        Ok(())
    }

    fn count(&mut self, argument: Bson<'_>) -> Result<()> {
        let Some(name) = argument
            .as_str()
            .filter(|n| argument.tag == STRING && !n.is_empty())
        else {
            fail!(40156, "the count field must be a non-empty string");
        };
        if name.starts_with('$') {
            fail!(40158, "the count field cannot be a $-prefixed path");
        }
        if name.contains('.') {
            fail!(40160, "the count field cannot contain '.'");
        }
        let name = self.params.text(name);
        let inner = format!(
            "SELECT bson_count(count(*), {name}) AS doc FROM {}{} HAVING count(*) > 0",
            self.from,
            self.where_clause()
        );
        self.replace(inner, false);
        Ok(())
    }

    fn unwind(&mut self, argument: Bson<'_>) -> Result<()> {
        Unwind::compile(argument)?;
        let spec = self.params.bson(argument);
        let key = self
            .order
            .as_ref()
            .map_or(String::new(), |k| format!(", {k} AS k"));
        let inner = format!(
            "SELECT bson_unwind({}, {spec}) AS doc{key} FROM {}{}",
            self.document,
            self.from,
            self.where_clause()
        );
        let ordered = self.order.is_some();
        self.replace(inner, ordered);
        Ok(())
    }

    fn sample(&mut self, argument: Bson<'_>) -> Result<()> {
        if !argument.is_document() {
            fail!(28745, "the $sample stage specification must be an object");
        }
        let size = argument.get("size");
        let size = whole("size argument to $sample", size)?;
        if size <= 0 {
            fail!(28747, "size argument to $sample must be greater than 0");
        }
        self.close("");
        let size = self.params.integer(size);
        self.order = None;
        let suffix = format!(" ORDER BY random() LIMIT {size}");
        self.close(&suffix);
        Ok(())
    }

    fn sort_by_count(&mut self, argument: Bson<'_>) -> Result<()> {
        let mut group = Writer::new();
        group.put("_id", argument);
        group.start_document("count").put_i32("$sum", 1).end();
        self.group(Bson::document(&group.finish()))?;
        let mut sort = Writer::new();
        sort.put_i32("count", -1);
        self.sort(Bson::document(&sort.finish()))
    }

    /// A pipeline over another source, sharing parameters and aliases with this one.
    fn nested<'b>(
        &mut self,
        mut query: Query<'r>,
        stages: impl Iterator<Item = Bson<'b>>,
    ) -> Result<String> {
        query.depth = self.depth + 1;
        if query.depth > PIPELINES_MAX {
            fail!(
                code::FAILED_TO_PARSE,
                "Maximum number of nested sub-pipelines exceeded. Limit is {PIPELINES_MAX}"
            );
        }
        query.stages(stages)?;
        let text = query.text();
        self.params = query.params;
        self.next = query.next;
        Ok(text)
    }

    fn foreign(&mut self, name: &str) -> Result<Query<'r>> {
        let collection = (self.resolve)(name);
        let params = std::mem::take(&mut self.params);
        let mut query = Query::with_params(
            collection.as_ref(),
            Bson::MISSING,
            self.resolve,
            params,
            self.next,
        )?;
        query.variables = self.variables.clone();
        query.names = self.names.clone();
        Ok(query)
    }

    fn lookup(&mut self, argument: Bson<'_>) -> Result<()> {
        if !argument.is_document() {
            fail!(
                code::FAILED_TO_PARSE,
                "the $lookup specification must be an Object"
            );
        }
        for (name, value) in argument.fields() {
            match name {
                "from" | "localField" | "foreignField" | "as" if value.tag != STRING => fail!(
                    code::FAILED_TO_PARSE,
                    "$lookup argument '{name}' must be a string, found {name}: {value:?} of type {}",
                    value.type_name()
                ),
                "from" | "localField" | "foreignField" | "as" | "pipeline" => {}
                "let" if value.is_document() => {}
                "let" => fail!(
                    code::FAILED_TO_PARSE,
                    "$lookup argument 'let: {value:?}' must be an object, is type {}",
                    value.type_name()
                ),
                _ => fail!(code::FAILED_TO_PARSE, "unknown argument to $lookup: {name}"),
            }
        }
        let text = |name: &str| argument.get(name).as_str();
        let pipeline = argument.get("pipeline");
        let given = argument.get("from").is_missing() && pipeline.is_array();
        let (Some(from), Some(target)) = (text("from").or(given.then_some("")), text("as")) else {
            fail!(
                code::FAILED_TO_PARSE,
                "must specify 'from' and 'as' fields for a $lookup"
            );
        };
        let given = given.then(|| given_documents(pipeline)).transpose()?;
        let joins = match (text("localField"), text("foreignField")) {
            (Some(_), Some(_)) => true,
            (None, None) if pipeline.is_array() => false,
            _ => fail!(
                code::FAILED_TO_PARSE,
                "$lookup requires both or neither of 'localField' and 'foreignField' to be specified"
            ),
        };
        self.close("");
        let outer = self.document.clone();
        let bound = self.bind_variables(argument.get("let"), &outer)?;
        let mut foreign = self.foreign(from)?;
        if let Some(list) = &given {
            foreign.give(list.as_bson());
        }
        if let Some((variables, names)) = bound {
            foreign.variables.push(variables);
            foreign.names = names;
        }
        if let (Some(local), Some(field)) = (text("localField"), text("foreignField"))
            && let Some(collection) = &foreign.stored
            && has_index(collection, field)
        {
            let values = format!("bson_lookup_values({outer}, {})", literal(local));
            foreign.conditions.push(format!(
                "bson_path_in({}, {}, {values})",
                foreign.document,
                literal(field)
            ));
        }
        if joins {
            let spec = foreign.params.bson(argument);
            let condition = format!("bson_lookup_match({}, {outer}, {spec})", foreign.document);
            foreign.conditions.push(condition);
        }
        let stages = pipeline.elements().skip(usize::from(given.is_some()));
        let inner = self.nested(foreign, stages)?;
        let target = self.params.text(target);
        let alias = format!("t{}", self.next);
        self.next += 1;
        self.last_stage = None;
        self.document = format!(
            "bson_set({outer}, {target}, (SELECT bson_array_agg({alias}.doc) FROM ({inner}) AS {alias}))"
        );
        Ok(())
    }

    /// What `let` of a `$lookup` computes of a document of the outer pipeline, and all the names
    /// that are known inside.
    fn bind_variables(
        &mut self,
        variables: Bson<'_>,
        outer: &str,
    ) -> Result<Option<(String, Vec<u8>)>> {
        if variables.is_missing() || variables.is_empty() {
            return Ok(None);
        }
        let mut names = Writer::new();
        for (name, _) in Bson::document(&self.names)
            .fields()
            .chain(variables.fields())
        {
            if !name.starts_with(|c: char| c.is_lowercase() || !c.is_ascii()) {
                fail!(
                    code::FAILED_TO_PARSE,
                    "'{name}' starts with an invalid character for a user variable name"
                );
            }
            names.put(name, Bson::NULL);
        }
        let mut stage = Writer::new();
        stage.put("$replaceWith", variables);
        let stage = stage.finish();
        let stage = Bson::document(&stage);
        let probe = self.probe(variables, Place::Expression);
        Transform::compile("$replaceWith", probe.as_bson())?;
        let spec = self.spec(stage, Place::Expression);
        let names = names.finish();
        Ok(Some((format!("bson_stage({outer}, {spec})"), names)))
    }

    fn facet(&mut self, argument: Bson<'_>) -> Result<()> {
        if !argument.is_document() || argument.is_empty() {
            fail!(40169, "the $facet specification must be a non-empty object");
        }
        let source = format!("f{}", self.next);
        self.next += 1;
        let key = self
            .order
            .as_ref()
            .map_or(String::new(), |k| format!(", {k} AS k"));
        let ordered = self.order.is_some();
        let shared = format!(
            "SELECT {} AS doc{key} FROM {}{}",
            self.document,
            self.from,
            self.where_clause()
        );
        let mut parts = Vec::new();
        for (name, stages) in argument.fields() {
            if !stages.is_array() {
                fail!(
                    40170,
                    "arguments to $facet must be arrays, {name} is type {}",
                    stages.type_name()
                );
            }
            if let Some(bad) = stages
                .elements()
                .find_map(|s| s.fields().next().filter(|(n, _)| *n == "$facet"))
            {
                fail!(
                    40600,
                    "{} is not allowed to be used within a $facet stage",
                    bad.0
                );
            }
            let alias = format!("t{}", self.next);
            let query = Query {
                from: format!("{source} AS {alias}"),
                document: format!("{alias}.doc"),
                conditions: Vec::new(),
                order: ordered.then(|| format!("{alias}.k")),
                order_by: None,
                stored: None,
                params: std::mem::take(&mut self.params),
                next: self.next + 1,
                depth: 0,
                resolve: self.resolve,
                variables: self.variables.clone(),
                names: self.names.clone(),
                last_stage: None,
                point: false,
            };
            let inner = self.nested(query, stages.elements())?;
            let (name, none) = (
                self.params.text(name),
                self.params.bson(Bson::new(ARRAY, EMPTY)),
            );
            let alias = format!("t{}", self.next);
            self.next += 1;
            parts.push(format!(
                "{name}, (SELECT coalesce(bson_array_agg({alias}.doc), {none}) FROM ({inner}) AS {alias})"
            ));
        }
        let inner = format!(
            "WITH {source} AS MATERIALIZED ({shared}) SELECT bson_row({}) AS doc",
            parts.join(", ")
        );
        self.replace(inner, false);
        Ok(())
    }

    fn union(&mut self, argument: Bson<'_>) -> Result<()> {
        let (name, pipeline) = match argument.tag {
            STRING => (argument, Bson::MISSING),
            DOCUMENT => (argument.get("coll"), argument.get("pipeline")),
            _ => fail!(
                code::FAILED_TO_PARSE,
                "the $unionWith stage specification must be an object or string, but found {}",
                argument.type_name()
            ),
        };
        let given = match name.is_missing() {
            true => Some(given_documents(pipeline)?),
            false => None,
        };
        let name = name.as_str().unwrap_or("");
        (self.order, self.order_by) = (None, None);
        let first = self.text();
        let mut foreign = self.foreign(name)?;
        if let Some(list) = &given {
            foreign.give(list.as_bson());
        }
        let stages = pipeline.elements().skip(usize::from(given.is_some()));
        let second = self.nested(foreign, stages)?;
        self.replace(format!("({first}) UNION ALL ({second})"), false);
        Ok(())
    }
}

fn ascending(path: &str) -> Vec<u8> {
    let mut out = Writer::new();
    out.put_i32(path, 1);
    out.finish()
}

/// The documents that `$documents` gives, which must be the first of these stages.
fn given_documents(stages: Bson<'_>) -> Result<BsonBuf> {
    let first = stages.element(0);
    let Some(("$documents", argument)) = first.fields().next() else {
        fail!(
            code::INVALID_NAMESPACE,
            "a pipeline without a collection must begin with $documents"
        );
    };
    let list = Expression::compile(argument)?
        .evaluate(Bson::document(EMPTY))?
        .into_buf();
    if !list.as_bson().is_array() {
        fail!(
            5858203,
            "error during aggregation :: caused by :: $documents must be an array, but found {}",
            list.as_bson().type_name()
        );
    }
    if let Some(other) = list.as_bson().elements().find(|v| !v.is_document()) {
        fail!(
            40228,
            "'newRoot' expression  must evaluate to an object, but resulting value was: {other:?}"
        );
    }
    Ok(list)
}

/// Refuses what a filter may not say, before anything is run.
fn check_filter(filter: Bson<'_>) -> Result<()> {
    if filter.is_missing() {
        return Ok(());
    }
    Matcher::compile(filter)
        .map(|_| ())
        .map_err(MongoError::from)
}

fn whole(name: &str, value: Bson<'_>) -> Result<i64> {
    match Number::of(value) {
        None => fail!(
            15957,
            "invalid argument to {name} stage: Expected a number in: {name}: {value:?}"
        ),
        Some(number) => match number.to_exact_i64() {
            Some(v) => Ok(v),
            None => fail!(
                2107201,
                "invalid argument to {name} stage: Expected an integer: {name}: {value:?}"
            ),
        },
    }
}

/// Stages that MongoDB has and this server does not, and names that nobody has.
fn unsupported(name: &str) -> Result<()> {
    const KNOWN: &[&str] = &[
        "$bucketAuto",
        "$graphLookup",
        "$redact",
        "$densify",
        "$fill",
        "$geoNear",
        "$currentOp",
        "$listLocalSessions",
        "$listSessions",
        "$planCacheStats",
        "$indexStats",
        "$changeStream",
        "$search",
        "$searchMeta",
        "$vectorSearch",
        "$listSearchIndexes",
    ];
    if KNOWN.contains(&name) {
        fail!(
            code::COMMAND_NOT_SUPPORTED,
            "the aggregation stage {name} is not supported"
        );
    }
    fail!(40324, "Unrecognized pipeline stage name: '{name}'")
}
