//! Sequences and their options.

use super::{boolean_option, option_of};
use crate::catalog::Relation;
use crate::sql::binder::Binder;
use crate::sql::name::Name;
use crate::sql::node::{integer, strings};
use crate::utility::{CreateSequence, SequenceOptions, Utility};
use helios_types::{Error, Result, Type, error};
use pg_query::protobuf::{AlterSeqStmt, CreateSeqStmt};
use pg_query::{Node, NodeEnum};

impl Binder<'_> {
    pub fn create_sequence(&mut self, node: &CreateSeqStmt) -> Result<Utility> {
        let CreateSeqStmt {
            sequence,
            options,
            owner_id: _,
            for_identity: _,
            if_not_exists,
        } = node;
        let var = sequence
            .as_ref()
            .ok_or_else(|| Error::internal("CREATE SEQUENCE without a name"))?;
        let temporary = var.relpersistence == "t";
        let (schema, name) = self.creation_name(var)?;
        let options = self.sequence_options(options)?;
        Ok(Utility::CreateSequence(CreateSequence {
            schema,
            name,
            temporary,
            if_not_exists: *if_not_exists,
            options,
        }))
    }

    pub fn alter_sequence(&mut self, node: &AlterSeqStmt) -> Result<Utility> {
        let AlterSeqStmt {
            sequence,
            options,
            for_identity: _,
            missing_ok,
        } = node;
        let var = sequence
            .as_ref()
            .ok_or_else(|| Error::internal("ALTER SEQUENCE without a name"))?;
        let name = Name::of_object(var);
        match self.relation(&name) {
            Ok(Relation::Sequence(sequence)) => {
                let options = self.sequence_options(options)?;
                Ok(Utility::AlterSequence {
                    sequence: sequence.id,
                    options,
                })
            }
            Ok(_) => Err(error!(
                WrongObjectType,
                "\"{}\" is not a sequence", name.name
            )),
            Err(_) if *missing_ok => Ok(Utility::Nothing {
                tag: "ALTER SEQUENCE",
                notice: Some(format!("relation \"{name}\" does not exist, skipping")),
            }),
            Err(error) => Err(error),
        }
    }

    pub fn sequence_options(&mut self, nodes: &[Node]) -> Result<SequenceOptions> {
        let mut options = SequenceOptions::default();
        for node in nodes {
            let (name, argument) = option_of(node)?;
            let number = || -> Result<i64> {
                argument
                    .and_then(integer)
                    .ok_or_else(|| error!(SyntaxError, "{name} requires an integer"))
            };
            let optional_number = || -> Result<Option<i64>> {
                match argument {
                    None => Ok(None),
                    Some(node) => integer(node)
                        .map(Some)
                        .ok_or_else(|| error!(SyntaxError, "{name} requires an integer")),
                }
            };
            match name {
                "as" => {
                    let Some(NodeEnum::TypeName(ty)) = argument else {
                        return Err(Error::internal("AS type"));
                    };
                    let ty = self.type_name(ty)?;
                    if !matches!(Type::new(ty.oid), Type::INT2 | Type::INT4 | Type::INT8) {
                        return Err(error!(
                            InvalidParameterValue,
                            "sequence type must be smallint, integer, or bigint"
                        ));
                    }
                    options.ty = Some(ty);
                }
                "start" => options.start = Some(number()?),
                "increment" => {
                    let step = number()?;
                    if step == 0 {
                        return Err(error!(InvalidParameterValue, "INCREMENT must not be zero"));
                    }
                    options.increment = Some(step);
                }
                "minvalue" => options.min = Some(optional_number()?),
                "maxvalue" => options.max = Some(optional_number()?),
                "cache" => options.cache = Some(number()?),
                "cycle" => options.cycle = Some(boolean_option(argument)?),
                "restart" => options.restart = Some(optional_number()?),
                "owned_by" => options.owned_by = Some(self.owned_by(argument)?),
                "sequence_name" => {
                    let parts = argument
                        .map(super::text::name_parts)
                        .transpose()?
                        .unwrap_or_default();
                    options.name = strings(&parts)?.last().map(|s| s.to_string());
                }
                "logged" | "unlogged" => {}
                other => return Err(Error::unsupported(format_args!("sequence option {other}"))),
            }
        }
        Ok(options)
    }

    fn owned_by(
        &mut self,
        argument: Option<&NodeEnum>,
    ) -> Result<Option<(helios_types::ObjectId, usize)>> {
        let parts = argument
            .map(super::text::name_parts)
            .transpose()?
            .unwrap_or_default();
        let names = strings(&parts)?;
        let (column, table) = match names.as_slice() {
            ["none"] => return Ok(None),
            [] | [_] => {
                return Err(error!(SyntaxError, "invalid OWNED BY option")
                    .with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
            }
            [table @ .., column] => (*column, Name::of_list(&parts[..table.len()])?),
        };
        let table = self.table(&table)?;
        let position = self.column_position(&table, column, -1)?;
        Ok(Some((table.id, position)))
    }
}
