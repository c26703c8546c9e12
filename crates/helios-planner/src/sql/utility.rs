//! Utility statements: names resolved, types known, expressions checked, texts kept.

mod alter;
mod copy;
mod index;
mod object;
mod query;
mod role;
mod sequence;
mod setting;
mod table;
mod text;

pub(crate) use text::each_call;

use super::binder::{BindContext, Binder};
use super::node::{inner, kind, optional};
use crate::utility::{DiscardTarget, TableLock, Utility};
use helios_types::{Error, Result, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    DefElem, DiscardMode, DiscardStmt, DropBehavior, ListenStmt, LockStmt, NotifyStmt,
    UnlistenStmt, VacuumStmt, a_const,
};
use std::sync::Arc;

pub(crate) fn bind(
    node: &NodeEnum,
    source: Option<Arc<str>>,
    context: &BindContext<'_>,
) -> Result<Utility> {
    let mut binder = Binder::new(context.clone(), source);
    binder.utility(node)
}

impl Binder<'_> {
    fn utility(&mut self, node: &NodeEnum) -> Result<Utility> {
        match node {
            NodeEnum::TransactionStmt(n) => self.transaction(n),
            NodeEnum::VariableSetStmt(n) => self.set_variable(n),
            NodeEnum::VariableShowStmt(n) => {
                let name = &n.name;
                Ok(if name == "all" {
                    Utility::ShowAll
                } else {
                    Utility::Show { name: name.clone() }
                })
            }
            NodeEnum::ConstraintsSetStmt(n) => self.set_constraints(n),
            NodeEnum::DiscardStmt(n) => discard(n),
            NodeEnum::CreateStmt(n) => self.create_table(n),
            NodeEnum::CreateTableAsStmt(n) => self.create_table_as(n),
            NodeEnum::SelectStmt(n) => self.select_into(n),
            NodeEnum::AlterTableStmt(n) => self.alter_table(n),
            NodeEnum::RenameStmt(n) => self.rename(n),
            NodeEnum::AlterObjectSchemaStmt(n) => self.set_schema(n),
            NodeEnum::AlterOwnerStmt(n) => self.set_owner(n),
            NodeEnum::DropStmt(n) => self.drop(n),
            NodeEnum::TruncateStmt(n) => self.truncate(n),
            NodeEnum::CommentStmt(n) => self.comment(n),
            NodeEnum::IndexStmt(n) => self.create_index(n),
            NodeEnum::ViewStmt(n) => self.create_view(n),
            NodeEnum::CreateSeqStmt(n) => self.create_sequence(n),
            NodeEnum::AlterSeqStmt(n) => self.alter_sequence(n),
            NodeEnum::CreateSchemaStmt(n) => self.create_schema(n),
            NodeEnum::CreatedbStmt(n) => self.create_database(n),
            NodeEnum::DropdbStmt(n) => self.drop_database(n),
            NodeEnum::CreateRoleStmt(n) => self.create_role(n),
            NodeEnum::AlterRoleStmt(n) => self.alter_role(n),
            NodeEnum::DropRoleStmt(n) => self.drop_role(n),
            NodeEnum::GrantRoleStmt(n) => self.grant_role(n),
            NodeEnum::GrantStmt(n) => self.grant(n),
            NodeEnum::ExplainStmt(n) => self.explain(n),
            NodeEnum::PrepareStmt(n) => self.prepare(n),
            NodeEnum::ExecuteStmt(n) => self.execute(n),
            NodeEnum::DeallocateStmt(n) => Ok(Utility::Deallocate(
                (!n.isall && !n.name.is_empty()).then(|| n.name.clone()),
            )),
            NodeEnum::DeclareCursorStmt(n) => self.declare_cursor(n),
            NodeEnum::FetchStmt(n) => self.fetch(n),
            NodeEnum::ClosePortalStmt(n) => Ok(Utility::Close(
                (!n.portalname.is_empty()).then(|| n.portalname.clone()),
            )),
            NodeEnum::CopyStmt(n) => self.copy(n),
            NodeEnum::LockStmt(n) => self.lock(n),
            NodeEnum::ListenStmt(ListenStmt { conditionname }) => {
                Ok(Utility::Listen(conditionname.clone()))
            }
            NodeEnum::UnlistenStmt(UnlistenStmt { conditionname }) => Ok(Utility::Unlisten(
                (!conditionname.is_empty()).then(|| conditionname.clone()),
            )),
            NodeEnum::NotifyStmt(NotifyStmt {
                conditionname,
                payload,
                payload_location: _,
            }) => Ok(Utility::Notify {
                channel: conditionname.clone(),
                payload: payload.clone(),
            }),
            NodeEnum::VacuumStmt(n) => self.vacuum(n),
            NodeEnum::CheckPointStmt(_) => Ok(Utility::Checkpoint),
            NodeEnum::CreateExtensionStmt(n) if n.extname == "plpgsql" && n.if_not_exists => {
                Ok(Utility::Nothing {
                    tag: "CREATE EXTENSION",
                    notice: Some("extension \"plpgsql\" already exists, skipping".into()),
                })
            }
            NodeEnum::CreateExtensionStmt(n) => {
                let name = &n.extname;
                Err(error!(Unsupported, "extension \"{name}\" is not available"))
            }
            other => Err(Error::unsupported(command_name(other))),
        }
    }

    fn lock(&mut self, lock: &LockStmt) -> Result<Utility> {
        let LockStmt {
            relations,
            mode,
            nowait,
        } = lock;
        let mut tables = Vec::with_capacity(relations.len());
        for node in relations {
            let NodeEnum::RangeVar(var) = inner(node)? else {
                return Err(Error::internal("LOCK"));
            };
            tables.push(self.table(&super::name::Name::of_object(var))?.id);
        }
        let mode = match mode {
            1 => TableLock::AccessShare,
            2 => TableLock::RowShare,
            3 => TableLock::RowExclusive,
            4 => TableLock::ShareUpdateExclusive,
            5 => TableLock::Share,
            6 => TableLock::ShareRowExclusive,
            7 => TableLock::Exclusive,
            _ => TableLock::AccessExclusive,
        };
        Ok(Utility::Lock {
            tables,
            mode,
            nowait: *nowait,
        })
    }

    fn vacuum(&mut self, vacuum: &VacuumStmt) -> Result<Utility> {
        let VacuumStmt {
            options,
            rels,
            is_vacuumcmd,
        } = vacuum;
        let mut analyze = !*is_vacuumcmd;
        for option in options {
            let (name, argument) = option_of(option)?;
            match name {
                "analyze" => analyze = boolean_option(argument)?,
                // What these ask of PostgreSQL's storage has no counterpart here to be done or left.
                "verbose"
                | "full"
                | "freeze"
                | "skip_locked"
                | "index_cleanup"
                | "process_toast"
                | "truncate"
                | "parallel"
                | "disable_page_skipping" => {}
                other => {
                    return Err(error!(
                        SyntaxError,
                        "unrecognized VACUUM option \"{other}\""
                    ));
                }
            }
        }
        let mut tables = Vec::with_capacity(rels.len());
        for node in rels {
            let NodeEnum::VacuumRelation(relation) = inner(node)? else {
                return Err(Error::internal("VACUUM"));
            };
            let Some(var) = &relation.relation else {
                continue;
            };
            tables.push(self.table(&super::name::Name::of_object(var))?.id);
        }
        Ok(if *is_vacuumcmd {
            Utility::Vacuum { tables, analyze }
        } else {
            Utility::Analyze { tables }
        })
    }
}

fn discard(node: &DiscardStmt) -> Result<Utility> {
    Ok(Utility::Discard(
        match DiscardMode::try_from(node.target).map_err(Error::internal)? {
            DiscardMode::DiscardAll => DiscardTarget::All,
            DiscardMode::DiscardPlans => DiscardTarget::Plans,
            DiscardMode::DiscardSequences => DiscardTarget::Sequences,
            DiscardMode::DiscardTemp => DiscardTarget::Temporary,
            DiscardMode::Undefined => return Err(Error::internal("DISCARD of nothing")),
        },
    ))
}

/// A command as SQL names it, for refusals: `CreateFunctionStmt` is CREATE FUNCTION.
fn command_name(node: &NodeEnum) -> String {
    let known = match node {
        NodeEnum::DoStmt(_) => "DO",
        NodeEnum::CallStmt(_) => "CALL",
        NodeEnum::CreateTrigStmt(_) => "CREATE TRIGGER",
        NodeEnum::RuleStmt(_) => "CREATE RULE",
        NodeEnum::CreateEnumStmt(_) | NodeEnum::CompositeTypeStmt(_) | NodeEnum::DefineStmt(_) => {
            "CREATE TYPE"
        }
        NodeEnum::CreateRangeStmt(_) => "CREATE TYPE ... AS RANGE",
        NodeEnum::AlterEnumStmt(_) => "ALTER TYPE",
        NodeEnum::CreatePlangStmt(_) => "CREATE LANGUAGE",
        NodeEnum::RefreshMatViewStmt(_) => "REFRESH MATERIALIZED VIEW",
        NodeEnum::AlterDatabaseSetStmt(_) => "ALTER DATABASE ... SET",
        NodeEnum::AlterRoleSetStmt(_) => "ALTER ROLE ... SET",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_string();
    }
    let name = kind(node);
    let mut words = String::new();
    for c in name.trim_end_matches("Stmt").chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_uppercase());
    }
    words
}

/// Name and value of an option; qualified names are refused.
pub(super) fn option_of(node: &pg_query::Node) -> Result<(&str, Option<&NodeEnum>)> {
    let NodeEnum::DefElem(option) = inner(node)? else {
        return Err(Error::internal(kind(inner(node)?)));
    };
    let DefElem {
        defnamespace,
        defname,
        arg,
        defaction: _,
        location: _,
        arg_location: _,
    } = option.as_ref();
    if !defnamespace.is_empty() {
        return Err(error!(
            InvalidParameterValue,
            "unrecognized parameter namespace \"{defnamespace}\""
        ));
    }
    Ok((defname, optional(arg)))
}

/// An option's value as text; a bare option has none.
pub(super) fn option_text(argument: Option<&NodeEnum>) -> Result<Option<String>> {
    Ok(match argument {
        None => None,
        Some(NodeEnum::String(s)) => Some(s.sval.clone()),
        Some(NodeEnum::Integer(i)) => Some(i.ival.to_string()),
        Some(NodeEnum::Float(f)) => Some(f.fval.clone()),
        Some(NodeEnum::Boolean(b)) => Some(b.boolval.to_string()),
        Some(NodeEnum::TypeName(t)) => Some(
            super::node::strings(&t.names)?
                .last()
                .map_or_else(String::new, |s| s.to_string()),
        ),
        Some(NodeEnum::AConst(c)) => match &c.val {
            Some(a_const::Val::Sval(s)) => Some(s.sval.clone()),
            Some(a_const::Val::Ival(i)) => Some(i.ival.to_string()),
            Some(a_const::Val::Fval(f)) => Some(f.fval.clone()),
            Some(a_const::Val::Boolval(b)) => Some(b.boolval.to_string()),
            Some(a_const::Val::Bsval(b)) => Some(b.bsval.clone()),
            None if c.isnull => None,
            None => Some("0".into()),
        },
        Some(other) => {
            return Err(Error::unsupported(format_args!(
                "{} as an option's value",
                kind(other)
            )));
        }
    })
}

/// A boolean option; without a value it is on.
pub(super) fn boolean_option(argument: Option<&NodeEnum>) -> Result<bool> {
    let Some(text) = option_text(argument)? else {
        return Ok(true);
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" | "yes" => Ok(true),
        "false" | "off" | "0" | "no" => Ok(false),
        _ => Err(error!(SyntaxError, "option requires a Boolean value")),
    }
}

pub(super) fn cascades(behavior: i32) -> bool {
    behavior == DropBehavior::DropCascade as i32
}
