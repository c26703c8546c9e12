//! ALTER TABLE (and the same on views, indexes and sequences where it means something).

use super::cascades;
use super::table::{identity, relation_options};
use crate::catalog::{Relation, Table};
use crate::sql::binder::Binder;
use crate::sql::name::Name;
use crate::sql::node::{inner, kind, optional, required};
use crate::sql::scope::Clause;
use crate::utility::{AlterObject, AlterTable, SequenceOptions, Utility};
use helios_types::{Error, ObjectId, Result, error};
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType as Kind, ConstrType, ObjectType,
};
use pg_query::{Node, NodeEnum};
use std::sync::Arc;

impl Binder<'_> {
    pub fn alter_table(&mut self, node: &AlterTableStmt) -> Result<Utility> {
        let AlterTableStmt {
            relation,
            cmds,
            objtype,
            missing_ok,
        } = node;
        let var = relation
            .as_ref()
            .ok_or_else(|| Error::internal("ALTER TABLE without a table"))?;
        let name = Name::of_object(var);
        let found = match self.relation(&name) {
            Ok(found) => found,
            Err(_) if *missing_ok => {
                return Ok(Utility::Nothing {
                    tag: "ALTER TABLE",
                    notice: Some(format!("relation \"{name}\" does not exist, skipping")),
                });
            }
            Err(error) => return Err(error),
        };
        let table = match found {
            Relation::Table(table) if *objtype == ObjectType::ObjectTable as i32 => table,
            // OWNER TO is the one command that other kinds share with tables.
            other => return self.alter_other(&other, cmds, &name),
        };
        let mut changes = Vec::with_capacity(cmds.len());
        for command in cmds {
            let NodeEnum::AlterTableCmd(command) = inner(command)? else {
                return Err(Error::internal("ALTER TABLE"));
            };
            self.alter_command(command, &table, &mut changes)?;
        }
        Ok(Utility::AlterTable {
            table: table.id,
            changes,
        })
    }

    fn alter_other(&mut self, relation: &Relation, cmds: &[Node], name: &Name) -> Result<Utility> {
        if let [only] = cmds
            && let NodeEnum::AlterTableCmd(command) = inner(only)?
            && command.subtype == Kind::AtChangeOwner as i32
        {
            let owner = self.role_of(command.newowner.as_ref())?;
            return Ok(Utility::AlterRelation {
                relation: relation.id(),
                change: AlterObject::Owner(owner),
            });
        }
        let shown = &name.name;
        Err(error!(
            WrongObjectType,
            "ALTER action cannot be performed on relation \"{shown}\""
        ))
    }

    fn alter_command(
        &mut self,
        node: &AlterTableCmd,
        table: &Arc<Table>,
        changes: &mut Vec<AlterTable>,
    ) -> Result<()> {
        let AlterTableCmd {
            subtype,
            name,
            num: _,
            newowner,
            def,
            behavior,
            missing_ok,
            recurse: _,
        } = node;
        let column = name.clone();
        let kind_of = Kind::try_from(*subtype).map_err(Error::internal)?;
        let change = match kind_of {
            Kind::AtAddColumn => return self.add_column(node, table, changes),
            Kind::AtDropColumn => {
                if !*missing_ok {
                    self.column_position(table, name, -1)?;
                }
                AlterTable::DropColumn {
                    name: column,
                    if_exists: *missing_ok,
                    cascade: cascades(*behavior),
                }
            }
            Kind::AtColumnDefault => {
                let (_, found) = self.existing(table, name)?;
                let (ty, generated) = (found.ty, found.generated.is_some());
                if generated {
                    let relation = &table.name;
                    return Err(error!(
                        SyntaxError,
                        "column \"{name}\" of relation \"{relation}\" is a generated column"
                    ));
                }
                let default = match optional(def) {
                    Some(expr) => Some(self.default_text(expr, ty, name)?),
                    None => None,
                };
                AlterTable::SetDefault { column, default }
            }
            Kind::AtSetNotNull | Kind::AtDropNotNull => {
                self.existing(table, name)?;
                AlterTable::SetNotNull {
                    column,
                    not_null: kind_of == Kind::AtSetNotNull,
                }
            }
            Kind::AtAlterColumnType => self.alter_type(node, table)?,
            Kind::AtAddIdentity | Kind::AtSetIdentity | Kind::AtDropIdentity => {
                self.alter_identity(node, table)?
            }
            Kind::AtDropExpression => {
                self.existing(table, name)?;
                AlterTable::DropExpression {
                    column,
                    if_exists: *missing_ok,
                }
            }
            Kind::AtAddConstraint => {
                let NodeEnum::Constraint(constraint) = required(def)? else {
                    return Err(Error::internal("ADD CONSTRAINT"));
                };
                AlterTable::AddConstraint(self.constraint(constraint, table, None)?)
            }
            Kind::AtDropConstraint => AlterTable::DropConstraint {
                name: column,
                if_exists: *missing_ok,
                cascade: cascades(*behavior),
            },
            Kind::AtValidateConstraint => AlterTable::ValidateConstraint { name: column },
            Kind::AtChangeOwner => {
                AlterTable::Object(AlterObject::Owner(self.role_of(newowner.as_ref())?))
            }
            Kind::AtSetRelOptions => AlterTable::Options(options(def, false)?),
            Kind::AtResetRelOptions => AlterTable::Options(options(def, true)?),
            // What these set has no effect on anything here, and PostgreSQL's own dumps write them.
            Kind::AtSetStatistics => return Ok(()),
            other => return Err(Error::unsupported(alter_name(other))),
        };
        changes.push(change);
        Ok(())
    }

    fn existing<'t>(
        &self,
        table: &'t Table,
        name: &str,
    ) -> Result<(usize, &'t crate::catalog::Column)> {
        let position = self.column_position(table, name, -1)?;
        Ok((position, &table.columns[position]))
    }

    fn add_column(
        &mut self,
        node: &AlterTableCmd,
        table: &Arc<Table>,
        changes: &mut Vec<AlterTable>,
    ) -> Result<()> {
        let NodeEnum::ColumnDef(definition) = required(&node.def)? else {
            return Err(Error::internal("ADD COLUMN"));
        };
        let exists = table.column(&definition.colname).is_some();
        if exists && !node.missing_ok {
            let (column, relation) = (&definition.colname, &table.name);
            return Err(error!(
                DuplicateColumn,
                "column \"{column}\" of relation \"{relation}\" already exists"
            ));
        }
        let (spec, mut constraints, later) = self.column_definition(definition)?;
        let mut widened = table.as_ref().clone();
        widened.columns.push(crate::catalog::Column {
            name: spec.name.clone(),
            ty: spec.ty,
            not_null: spec.not_null,
            default: None,
            identity: None,
            sequence: None,
            generated: spec.generated.clone(),
            dropped: false,
            missing: None,
            comment: None,
        });
        let widened = Arc::new(widened);
        for constraint in &later {
            constraints.push(self.constraint(constraint, &widened, None)?);
        }
        for own in &definition.constraints {
            if let NodeEnum::Constraint(constraint) = inner(own)?
                && constraint.contype == ConstrType::ConstrGenerated as i32
            {
                self.generated_expression(required(&constraint.raw_expr)?, &widened, &spec)?;
            }
        }
        changes.push(AlterTable::AddColumn {
            column: spec,
            constraints,
            if_not_exists: node.missing_ok,
        });
        Ok(())
    }

    fn alter_type(&mut self, node: &AlterTableCmd, table: &Arc<Table>) -> Result<AlterTable> {
        let NodeEnum::ColumnDef(definition) = required(&node.def)? else {
            return Err(Error::internal("ALTER TYPE"));
        };
        let (_, column) = self.existing(table, &node.name)?;
        let (from, name) = (column.ty, column.name.clone());
        let type_name = definition
            .type_name
            .as_ref()
            .ok_or_else(|| Error::internal("ALTER TYPE"))?;
        // PostgreSQL looks the type up after it has left the text behind.
        let ty = self.type_name(type_name).map_err(|mut error| {
            error.fields_mut().position = None;
            error
        })?;
        if let Some(collation) = &definition.coll_clause {
            self.check_collation(&collation.collname, collation.location)?;
        }
        let using = match optional(&definition.raw_default) {
            Some(expr) => {
                let bound = self.table_expression(expr, Some(table), Clause::Using, None, &name)?;
                let shown = crate::sql::type_name::display(ty);
                if self
                    .coerce(bound, ty, crate::function::CastContext::Assignment)?
                    .is_none()
                {
                    return Err(error!(
                        DatatypeMismatch,
                        "result of USING clause for column \"{name}\" cannot be cast automatically to type {shown}"
                    )
                    .with_hint("You might need to add an explicit cast."));
                }
                Some(self.expression_text(expr)?)
            }
            None => {
                if !self.can_coerce(from.oid, ty.oid, crate::function::CastContext::Assignment) {
                    let shown = crate::sql::type_name::display(ty);
                    return Err(error!(
                        DatatypeMismatch,
                        "column \"{name}\" cannot be cast automatically to type {shown}"
                    )
                    .with_hint(format!(
                        "You might need to specify \"USING {}::{shown}\".",
                        crate::sql::construct::quoted(&name)
                    )));
                }
                None
            }
        };
        Ok(AlterTable::AlterType {
            column: name,
            ty,
            using,
        })
    }

    fn alter_identity(&mut self, node: &AlterTableCmd, table: &Arc<Table>) -> Result<AlterTable> {
        let (_, column) = self.existing(table, &node.name)?;
        let name = column.name.clone();
        match (
            Kind::try_from(node.subtype).map_err(Error::internal)?,
            optional(&node.def),
        ) {
            (Kind::AtDropIdentity, _) => Ok(AlterTable::DropIdentity {
                column: name,
                if_exists: node.missing_ok,
            }),
            (Kind::AtAddIdentity, Some(NodeEnum::Constraint(constraint))) => {
                Ok(AlterTable::AddIdentity {
                    column: name,
                    identity: identity(&constraint.generated_when),
                    options: self.sequence_options(&constraint.options)?,
                })
            }
            (Kind::AtSetIdentity, Some(NodeEnum::List(list))) => {
                let mut generated = None;
                let mut rest = Vec::new();
                for item in &list.items {
                    match inner(item)? {
                        NodeEnum::DefElem(option) if option.defname == "generated" => {
                            let letter = optional(&option.arg).and_then(crate::sql::node::integer);
                            generated = Some(identity(if letter == Some(i64::from(b'a')) {
                                "a"
                            } else {
                                "d"
                            }));
                        }
                        _ => rest.push(item.clone()),
                    }
                }
                let options: SequenceOptions = self.sequence_options(&rest)?;
                Ok(AlterTable::SetIdentity {
                    column: name,
                    identity: generated,
                    options,
                })
            }
            (other, _) => Err(Error::unsupported(alter_name(other))),
        }
    }

    /// The role that a role specification means.
    pub fn role_of(&self, spec: Option<&pg_query::protobuf::RoleSpec>) -> Result<ObjectId> {
        use pg_query::protobuf::RoleSpecType;
        let spec = spec.ok_or_else(|| Error::internal("role missing"))?;
        match RoleSpecType::try_from(spec.roletype).map_err(Error::internal)? {
            RoleSpecType::RolespecCstring => self.role_named(&spec.rolename),
            RoleSpecType::RolespecPublic => {
                Err(error!(ReservedName, "role name \"public\" is reserved"))
            }
            _ => Ok(self.cx.role),
        }
    }

    pub fn role_named(&self, name: &str) -> Result<ObjectId> {
        let role = self.cx.catalog.role_named(name).map(|r| r.id);
        role.ok_or_else(|| error!(UndefinedObject, "role \"{name}\" does not exist"))
    }
}

fn options(def: &Option<Box<Node>>, reset: bool) -> Result<Vec<(String, Option<String>)>> {
    let NodeEnum::List(list) = required(def)? else {
        return Err(Error::internal(kind(required(def)?)));
    };
    let options = relation_options(&list.items)?;
    Ok(options
        .into_iter()
        .map(|(name, value)| {
            (
                name,
                if reset {
                    None
                } else {
                    Some(value.unwrap_or_default())
                },
            )
        })
        .collect())
}

/// The clause's name for a refusal: `AtEnableTrig` is ALTER TABLE ... ENABLE TRIG.
fn alter_name(kind: Kind) -> String {
    let name = format!("{kind:?}");
    let mut words = String::from("ALTER TABLE ...");
    for c in name.trim_start_matches("At").chars() {
        if c.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_uppercase());
    }
    words
}
