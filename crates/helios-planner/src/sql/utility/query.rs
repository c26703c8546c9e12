//! Utility statements around a query: EXPLAIN, PREPARE, EXECUTE, cursors, views, CREATE TABLE AS.

use super::text::statement_text;
use super::{boolean_option, option_of, option_text};
use crate::sql::binder::Binder;
use crate::sql::literal;
use crate::sql::node::{inner, kind, required, strings};
use crate::sql::scope::Clause;
use crate::sql::statement::bind_plan;
use crate::template::OutputColumn;
use crate::utility::{
    CreateTableAs, CreateView, DeclareCursor, ExecuteArguments, Explain, FetchDirection, Utility,
};
use helios_types::{Error, ObjectId, Result, Type, error};
use pg_query::protobuf::{
    CreateTableAsStmt, DeclareCursorStmt, ExecuteStmt, ExplainStmt, FetchDirection as Direction,
    FetchStmt, IntoClause, ObjectType, OnCommitAction, PrepareStmt, ResTarget, SelectStmt,
    ViewCheckOption, ViewStmt,
};
use pg_query::{Node, NodeEnum};

/// FETCH ALL counts as this many.
const FETCH_ALL: i64 = i64::MAX;

impl Binder<'_> {
    pub fn explain(&mut self, node: &ExplainStmt) -> Result<Utility> {
        let ExplainStmt { query, options } = node;
        let mut explain = Explain {
            analyze: false,
            verbose: false,
            json: false,
            statement: String::new(),
        };
        for option in options {
            let (name, argument) = option_of(option)?;
            match name {
                "analyze" => explain.analyze = boolean_option(argument)?,
                "verbose" => explain.verbose = boolean_option(argument)?,
                "format" => match option_text(argument)?
                    .unwrap_or_default()
                    .to_ascii_lowercase()
                    .as_str()
                {
                    "text" => explain.json = false,
                    "json" => explain.json = true,
                    other => {
                        return Err(Error::unsupported(format_args!(
                            "EXPLAIN format \"{other}\""
                        )));
                    }
                },
                // Parts of PostgreSQL's output that ours does not have, so that only their
                // absence can be asked for.
                "costs" | "timing" | "summary" | "buffers" | "settings" | "wal" => {
                    if boolean_option(argument)? {
                        return Err(Error::unsupported(format_args!(
                            "EXPLAIN option \"{name}\""
                        )));
                    }
                }
                other => {
                    return Err(error!(
                        SyntaxError,
                        "unrecognized EXPLAIN option \"{other}\""
                    ));
                }
            }
        }
        let body = required(query)?;
        // Binding it now gives errors their place in the text as it was written.
        let bindable = matches!(
            body,
            NodeEnum::SelectStmt(_)
                | NodeEnum::InsertStmt(_)
                | NodeEnum::UpdateStmt(_)
                | NodeEnum::DeleteStmt(_)
        );
        if bindable {
            bind_plan(body, self.source().cloned(), &self.cx)?;
        } else if !matches!(
            body,
            NodeEnum::ExecuteStmt(_)
                | NodeEnum::DeclareCursorStmt(_)
                | NodeEnum::CreateTableAsStmt(_)
        ) {
            return Err(Error::unsupported(format_args!(
                "EXPLAIN of {}",
                kind(body)
            )));
        }
        explain.statement = statement_text(body.clone())?;
        Ok(Utility::Explain(explain))
    }

    pub fn prepare(&mut self, node: &PrepareStmt) -> Result<Utility> {
        let PrepareStmt {
            name,
            argtypes,
            query,
        } = node;
        let params = argtypes
            .iter()
            .map(|n| match inner(n)? {
                NodeEnum::TypeName(ty) => {
                    let ty = self.type_name(ty)?;
                    Ok((ty.oid != Type::UNKNOWN.oid).then_some(ty))
                }
                other => Err(Error::internal(kind(other))),
            })
            .collect::<Result<Vec<_>>>()?;
        let body = required(query)?;
        let mut context = self.cx.clone();
        context.param_types = &params;
        bind_plan(body, self.source().cloned(), &context)?;
        let text = statement_text(body.clone())?;
        Ok(Utility::Prepare {
            name: name.clone(),
            params,
            text,
        })
    }

    pub fn execute(&mut self, node: &ExecuteStmt) -> Result<Utility> {
        let ExecuteStmt { name, params } = node;
        let mut args = Vec::with_capacity(params.len());
        for node in params {
            let value = self.in_clause(Clause::Execute, |b| b.expression(inner(node)?))?;
            let ty = value.ty;
            let Some(constant) = literal::value_of(&value) else {
                return Ok(Utility::Execute {
                    name: name.clone(),
                    args: ExecuteArguments::Query(select_of(params)?),
                });
            };
            args.push((constant, ty));
        }
        Ok(Utility::Execute {
            name: name.clone(),
            args: ExecuteArguments::Constants(args),
        })
    }

    pub fn declare_cursor(&mut self, node: &DeclareCursorStmt) -> Result<Utility> {
        let DeclareCursorStmt {
            portalname,
            options,
            query,
        } = node;
        // CURSOR_OPT_* bits.
        let (binary, scroll, no_scroll, hold) = (
            options & 1 != 0,
            options & 2 != 0,
            options & 4 != 0,
            options & 32 != 0,
        );
        if binary {
            return self.unsupported("BINARY cursor", -1);
        }
        // Every cursor here reads one snapshot, so that the bits of INSENSITIVE (8) and ASENSITIVE
        // (16) ask for nothing more.
        let body = required(query)?;
        let bound = bind_plan(body, self.source().cloned(), &self.cx)?;
        Ok(Utility::DeclareCursor(DeclareCursor {
            name: portalname.clone(),
            query: statement_text(body.clone())?,
            with_hold: hold,
            scroll: if scroll {
                Some(true)
            } else if no_scroll {
                Some(false)
            } else {
                None
            },
            output: bound.output,
        }))
    }

    pub fn fetch(&mut self, node: &FetchStmt) -> Result<Utility> {
        let FetchStmt {
            direction,
            how_many,
            portalname,
            ismove,
        } = node;
        let n = *how_many;
        let direction = match Direction::try_from(*direction).map_err(Error::internal)? {
            Direction::FetchForward if n == FETCH_ALL => FetchDirection::All,
            Direction::FetchForward => FetchDirection::Count(n),
            Direction::FetchBackward if n == FETCH_ALL => FetchDirection::BackwardAll,
            Direction::FetchBackward => FetchDirection::Count(-n),
            Direction::FetchAbsolute => FetchDirection::Absolute(n),
            Direction::FetchRelative => FetchDirection::Relative(n),
            Direction::Undefined => return Err(Error::internal("FETCH of no direction")),
        };
        Ok(Utility::Fetch {
            cursor: portalname.clone(),
            direction,
            move_only: *ismove,
        })
    }

    pub fn create_view(&mut self, node: &ViewStmt) -> Result<Utility> {
        let ViewStmt {
            view,
            aliases,
            query,
            replace,
            options,
            with_check_option,
        } = node;
        let var = view
            .as_ref()
            .ok_or_else(|| Error::internal("CREATE VIEW without a name"))?;
        if !options.is_empty() {
            return self.unsupported("CREATE VIEW ... WITH (...)", var.location);
        }
        if !matches!(
            ViewCheckOption::try_from(*with_check_option),
            Ok(ViewCheckOption::NoCheckOption | ViewCheckOption::Undefined)
        ) {
            return self.unsupported("WITH CHECK OPTION", var.location);
        }
        let body = required(query)?;
        if let NodeEnum::SelectStmt(select) = body
            && select.into_clause.is_some()
        {
            return Err(error!(Unsupported, "views must not contain SELECT INTO"));
        }
        let bound = bind_plan(body, self.source().cloned(), &self.cx)?;
        if !bound.params.is_empty() {
            return Err(error!(UndefinedParameter, "there is no parameter $1"));
        }
        if bound.writes {
            return Err(error!(
                Unsupported,
                "views must not contain data-modifying statements in WITH or row locks"
            ));
        }
        let columns = named_columns(&bound.output, &strings(aliases)?, "CREATE VIEW")?;
        let (schema, name) = self.creation_name(var)?;
        let depends_on = self.dependencies(&bound.privileges);
        let query = self.stored_query(body)?;
        Ok(Utility::CreateView(CreateView {
            schema,
            name,
            or_replace: *replace,
            temporary: var.relpersistence == "t",
            columns,
            query,
            depends_on,
        }))
    }

    /// The relations that a bound query reads itself, not through views.
    fn dependencies(&self, privileges: &[crate::template::RequiredPrivilege]) -> Vec<ObjectId> {
        let mut ids: Vec<ObjectId> = Vec::new();
        for needed in privileges.iter().filter(|p| p.as_role.is_none()) {
            let user = needed.relation.0 >= crate::catalog::FIRST_USER_ID;
            if user && !ids.contains(&needed.relation) {
                ids.push(needed.relation);
            }
        }
        ids
    }

    pub fn create_table_as(&mut self, node: &CreateTableAsStmt) -> Result<Utility> {
        let CreateTableAsStmt {
            query,
            into,
            objtype,
            is_select_into: _,
            if_not_exists,
        } = node;
        if *objtype == ObjectType::ObjectMatview as i32 {
            return self.unsupported("CREATE MATERIALIZED VIEW", -1);
        }
        let into = into
            .as_ref()
            .ok_or_else(|| Error::internal("CREATE TABLE AS without a name"))?;
        self.table_as(required(query)?, into, *if_not_exists)
    }

    pub fn select_into(&mut self, node: &SelectStmt) -> Result<Utility> {
        let into = node
            .into_clause
            .as_ref()
            .ok_or_else(|| Error::internal("SELECT as a utility statement"))?;
        let mut query = node.clone();
        query.into_clause = None;
        self.table_as(&NodeEnum::SelectStmt(Box::new(query)), into, false)
    }

    fn table_as(
        &mut self,
        query: &NodeEnum,
        into: &IntoClause,
        if_not_exists: bool,
    ) -> Result<Utility> {
        let IntoClause {
            rel,
            col_names,
            access_method,
            options,
            on_commit,
            table_space_name,
            view_query: _,
            skip_data,
        } = into;
        let var = rel
            .as_ref()
            .ok_or_else(|| Error::internal("CREATE TABLE AS without a name"))?;
        if !access_method.is_empty() && access_method != "heap" {
            return self.unsupported(
                format_args!("access method \"{access_method}\" for CREATE TABLE AS"),
                var.location,
            );
        }
        if !options.is_empty() {
            return self.unsupported("CREATE TABLE AS ... WITH (...)", var.location);
        }
        if !table_space_name.is_empty() {
            return self.unsupported("TABLESPACE", var.location);
        }
        if matches!(
            OnCommitAction::try_from(*on_commit),
            Ok(OnCommitAction::OncommitDeleteRows | OnCommitAction::OncommitDrop)
        ) {
            return self.unsupported("ON COMMIT", var.location);
        }
        if !matches!(query, NodeEnum::SelectStmt(_)) {
            return self.unsupported("CREATE TABLE AS EXECUTE", var.location);
        }
        let bound = bind_plan(query, self.source().cloned(), &self.cx)?;
        let columns = named_columns(&bound.output, &strings(col_names)?, "CREATE TABLE AS")?;
        for (i, (name, _)) in columns.iter().enumerate() {
            if columns[..i].iter().any(|(other, _)| other == name) {
                return Err(error!(
                    DuplicateColumn,
                    "column \"{name}\" specified more than once"
                ));
            }
        }
        let (schema, name) = self.creation_name(var)?;
        Ok(Utility::CreateTableAs(CreateTableAs {
            schema,
            name,
            temporary: var.relpersistence == "t",
            if_not_exists,
            columns,
            query: statement_text(query.clone())?,
            with_data: !*skip_data,
        }))
    }
}

/// `SELECT` of expressions, as text.
fn select_of(expressions: &[Node]) -> Result<String> {
    let targets = expressions.iter().map(|node| Node {
        node: Some(NodeEnum::ResTarget(Box::new(ResTarget {
            val: Some(Box::new(node.clone())),
            ..Default::default()
        }))),
    });
    statement_text(NodeEnum::SelectStmt(Box::new(SelectStmt {
        target_list: targets.collect(),
        op: 1,
        limit_option: 1,
        ..Default::default()
    })))
}

/// A query's columns under the names given, which may be fewer.
fn named_columns(
    output: &[OutputColumn],
    names: &[&str],
    what: &str,
) -> Result<Vec<(String, Type)>> {
    if names.len() > output.len() {
        return Err(if what == "CREATE VIEW" {
            error!(
                SyntaxError,
                "CREATE VIEW specifies more column names than columns"
            )
        } else {
            error!(SyntaxError, "too many column names were specified")
        });
    }
    let columns: Vec<(String, Type)> = output
        .iter()
        .enumerate()
        .map(|(i, c)| {
            (
                names
                    .get(i)
                    .map_or_else(|| c.name.clone(), |n| n.to_string()),
                c.ty,
            )
        })
        .collect();
    for (i, (name, _)) in columns.iter().enumerate() {
        if columns[..i].iter().any(|(other, _)| other == name) {
            return Err(error!(
                DuplicateColumn,
                "column \"{name}\" specified more than once"
            ));
        }
    }
    Ok(columns)
}
