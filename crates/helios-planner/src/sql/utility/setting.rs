//! Transaction control and settings.

use super::option_of;
use crate::sql::binder::Binder;
use crate::sql::construct::quoted;
use crate::sql::literal;
use crate::sql::node::{inner, integer, kind};
use crate::utility::{Mode, SetValue, Utility};
use helios_types::{Error, Result, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    ConstraintsSetStmt, TransactionStmt, TransactionStmtKind as Kind, VariableSetKind,
    VariableSetStmt, a_const,
};

impl Binder<'_> {
    pub fn transaction(&mut self, node: &TransactionStmt) -> Result<Utility> {
        let TransactionStmt {
            kind,
            options,
            savepoint_name,
            gid: _,
            chain,
            location: _,
        } = node;
        let name = savepoint_name.clone();
        Ok(match Kind::try_from(*kind).map_err(Error::internal)? {
            Kind::TransStmtBegin => Utility::Begin(mode(options)?),
            Kind::TransStmtStart => Utility::StartTransaction(mode(options)?),
            Kind::TransStmtCommit => Utility::Commit { chain: *chain },
            Kind::TransStmtRollback => Utility::Rollback { chain: *chain },
            Kind::TransStmtSavepoint => Utility::Savepoint(name),
            Kind::TransStmtRelease => Utility::Release(name),
            Kind::TransStmtRollbackTo => Utility::RollbackTo(name),
            Kind::TransStmtPrepare => return Err(Error::unsupported("PREPARE TRANSACTION")),
            Kind::TransStmtCommitPrepared => return Err(Error::unsupported("COMMIT PREPARED")),
            Kind::TransStmtRollbackPrepared => return Err(Error::unsupported("ROLLBACK PREPARED")),
            Kind::Undefined => return Err(Error::internal("transaction statement of no kind")),
        })
    }

    pub fn set_variable(&mut self, node: &VariableSetStmt) -> Result<Utility> {
        let VariableSetStmt {
            kind,
            name,
            args,
            jumble_args: _,
            is_local,
            location: _,
        } = node;
        let local = *is_local;
        let kind = VariableSetKind::try_from(*kind).map_err(Error::internal)?;
        match (kind, name.as_str()) {
            (VariableSetKind::VarSetMulti, "TRANSACTION") => {
                Ok(Utility::SetTransaction(mode(args)?))
            }
            (VariableSetKind::VarSetMulti, "SESSION CHARACTERISTICS") => {
                Ok(Utility::SetSessionTransaction(mode(args)?))
            }
            (VariableSetKind::VarSetMulti, "TRANSACTION SNAPSHOT") => {
                Err(Error::unsupported("SET TRANSACTION SNAPSHOT"))
            }
            (VariableSetKind::VarSetValue, "role") => {
                let role = self.set_text(name, args)?;
                Ok(Utility::SetRole {
                    role: (role != "none").then_some(role),
                    local,
                })
            }
            (VariableSetKind::VarSetValue, "session_authorization") => {
                Ok(Utility::SetSessionAuthorization {
                    role: Some(self.set_text(name, args)?),
                    local,
                })
            }
            (VariableSetKind::VarSetDefault, "role") => Ok(Utility::SetRole { role: None, local }),
            (VariableSetKind::VarSetDefault, "session_authorization") => {
                Ok(Utility::SetSessionAuthorization { role: None, local })
            }
            (VariableSetKind::VarSetValue, _) => {
                let value = SetValue::Text(self.set_text(name, args)?);
                Ok(Utility::Set {
                    name: name.clone(),
                    value,
                    local,
                })
            }
            (VariableSetKind::VarSetDefault, _) => Ok(Utility::Set {
                name: name.clone(),
                value: SetValue::Default,
                local,
            }),
            (VariableSetKind::VarSetCurrent, _) => Ok(Utility::Set {
                name: name.clone(),
                value: SetValue::Current,
                local,
            }),
            (VariableSetKind::VarReset, _) => Ok(Utility::Reset { name: name.clone() }),
            (VariableSetKind::VarResetAll, _) => Ok(Utility::ResetAll),
            (VariableSetKind::VarSetMulti | VariableSetKind::Undefined, other) => {
                Err(Error::unsupported(format_args!("SET {other}")))
            }
        }
    }

    /// The values of SET as one text: lists are joined, names quoted where they need it.
    fn set_text(&mut self, name: &str, args: &[pg_query::Node]) -> Result<String> {
        // Settings whose value is a list of identifiers.
        let list = matches!(
            name.to_ascii_lowercase().as_str(),
            "search_path"
                | "temp_tablespaces"
                | "session_preload_libraries"
                | "local_preload_libraries"
        );
        let mut parts = Vec::with_capacity(args.len());
        for arg in args {
            parts.push(match inner(arg)? {
                NodeEnum::AConst(c) => match &c.val {
                    Some(a_const::Val::Sval(s)) if list && !s.sval.is_empty() => quoted(&s.sval),
                    Some(a_const::Val::Sval(s)) if list => "\"\"".to_string() + &s.sval,
                    Some(a_const::Val::Sval(s)) => s.sval.clone(),
                    Some(a_const::Val::Ival(i)) => i.ival.to_string(),
                    Some(a_const::Val::Fval(f)) => f.fval.clone(),
                    Some(a_const::Val::Boolval(b)) => {
                        if b.boolval { "on" } else { "off" }.to_string()
                    }
                    Some(a_const::Val::Bsval(_)) => {
                        return Err(Error::unsupported("a bit string as a setting"));
                    }
                    None => "0".to_string(),
                },
                NodeEnum::TypeCast(cast) => {
                    // SET TIME ZONE INTERVAL '…' HOUR TO MINUTE
                    let inside = cast.arg.as_ref().and_then(|a| a.node.as_ref());
                    match inside {
                        Some(NodeEnum::AConst(c)) => match &c.val {
                            Some(a_const::Val::Sval(s)) => s.sval.clone(),
                            _ => return Err(Error::unsupported("this value of a setting")),
                        },
                        _ => return Err(Error::unsupported("this value of a setting")),
                    }
                }
                other => {
                    return Err(Error::unsupported(format_args!(
                        "{} as a setting",
                        kind(other)
                    )));
                }
            });
        }
        if parts.len() > 1 && !list && !name.eq_ignore_ascii_case("datestyle") {
            return Err(error!(
                InvalidParameterValue,
                "SET {name} takes only one argument"
            ));
        }
        Ok(parts.join(", "))
    }

    pub fn set_constraints(&mut self, node: &ConstraintsSetStmt) -> Result<Utility> {
        let ConstraintsSetStmt {
            constraints,
            deferred,
        } = node;
        let mut names = Vec::with_capacity(constraints.len());
        for node in constraints {
            let NodeEnum::RangeVar(var) = inner(node)? else {
                return Err(Error::internal("SET CONSTRAINTS"));
            };
            names.push(var.relname.clone());
        }
        Ok(Utility::SetConstraints {
            names,
            deferred: *deferred,
        })
    }
}

fn mode(options: &[pg_query::Node]) -> Result<Mode> {
    let mut mode = Mode::default();
    for option in options {
        let (name, argument) = option_of(option)?;
        let on = || -> Option<bool> { argument.and_then(integer).map(|i| i != 0) };
        match name {
            "transaction_isolation" => {
                let text = super::option_text(argument)?.unwrap_or_default();
                mode.isolation = Some(match text.as_str() {
                    "serializable" => "serializable",
                    "repeatable read" => "repeatable read",
                    "read committed" => "read committed",
                    "read uncommitted" => "read uncommitted",
                    _ => return Err(literal::invalid("transaction isolation level", &text)),
                });
            }
            "transaction_read_only" => mode.read_only = Some(on().unwrap_or(false)),
            "transaction_deferrable" => mode.deferrable = Some(on().unwrap_or(false)),
            other => {
                return Err(Error::unsupported(format_args!(
                    "transaction option {other}"
                )));
            }
        }
    }
    Ok(mode)
}
