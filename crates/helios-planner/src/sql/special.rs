//! CURRENT_DATE and its kind: syntax without a function of its own in PostgreSQL's catalog.

use super::binder::{Binder, Typed};
use crate::function::PgFunction;
use helios_types::{Error, Result, Type};
use pg_query::protobuf::{SqlValueFunction, SqlValueFunctionOp as Op};

impl Binder<'_> {
    pub fn sql_value_function(&mut self, node: &SqlValueFunction) -> Result<Typed> {
        let SqlValueFunction {
            xpr: _,
            op,
            r#type: _,
            typmod,
            location,
        } = node;
        let at = *location;
        let op = Op::try_from(*op).map_err(Error::internal)?;
        let precision = |ty: Type, wanted: bool| {
            if wanted {
                ty.with_modifier((*typmod).clamp(0, 6))
            } else {
                ty
            }
        };
        let (function, target) = match op {
            Op::SvfopCurrentDate => ("now", Some(Type::DATE)),
            Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => (
                "now",
                Some(precision(Type::TIMETZ, op == Op::SvfopCurrentTimeN)),
            ),
            Op::SvfopCurrentTimestamp => ("now", None),
            Op::SvfopCurrentTimestampN => ("now", Some(precision(Type::TIMESTAMPTZ, true))),
            Op::SvfopLocaltime | Op::SvfopLocaltimeN => (
                "now",
                Some(precision(Type::TIME, op == Op::SvfopLocaltimeN)),
            ),
            Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => (
                "now",
                Some(precision(Type::TIMESTAMP, op == Op::SvfopLocaltimestampN)),
            ),
            Op::SvfopCurrentRole | Op::SvfopCurrentUser | Op::SvfopUser => ("current_user", None),
            Op::SvfopSessionUser => ("session_user", None),
            Op::SvfopCurrentCatalog => ("current_database", None),
            Op::SvfopCurrentSchema => ("current_schema", None),
            Op::SqlvalueFunctionOpUndefined => {
                return Err(Error::internal("SQL value function of no kind"));
            }
        };
        let value = self.niladic(function, at)?;
        match target {
            Some(target) => self.cast(value, target, at),
            None => Ok(value),
        }
    }

    /// A call without arguments of a function that is known by name.
    pub fn niladic(&mut self, name: &str, at: i32) -> Result<Typed> {
        let def = self
            .cx
            .registry
            .functions_named(name)
            .iter()
            .find(|d| d.args.is_empty())
            .copied();
        let Some(def) = def else {
            return self.unsupported(format_args!("function {name}()"), at);
        };
        let result = Type::new(def.result);
        Ok(Typed::new(
            PgFunction::new(def, Vec::new(), result).call(Vec::new()),
            result,
            at,
        ))
    }
}
