//! DROP, TRUNCATE, RENAME, OWNER TO, SET SCHEMA, COMMENT, and schemas and databases.

use super::text::name_parts;
use super::{cascades, option_of, option_text};
use crate::catalog::Relation;
use crate::sql::binder::Binder;
use crate::sql::name::Name;
use crate::sql::node::{inner, kind, required, string, strings};
use crate::utility::{AlterObject, AlterTable, CommentTarget, Drop, ObjectKind, Utility};
use helios_types::{DatabaseId, Error, ObjectId, Result, error};
use pg_query::protobuf::{
    AlterObjectSchemaStmt, AlterOwnerStmt, CommentStmt, CreateSchemaStmt, CreatedbStmt, DropStmt,
    DropdbStmt, ObjectType, RenameStmt, TruncateStmt,
};
use pg_query::{Node, NodeEnum};

/// Kind and name of what a statement is about.
fn relation_kind(object: ObjectType) -> Option<(ObjectKind, &'static str)> {
    Some(match object {
        ObjectType::ObjectTable => (ObjectKind::Table, "table"),
        ObjectType::ObjectView => (ObjectKind::View, "view"),
        ObjectType::ObjectSequence => (ObjectKind::Sequence, "sequence"),
        ObjectType::ObjectIndex => (ObjectKind::Index, "index"),
        ObjectType::ObjectSchema => (ObjectKind::Schema, "schema"),
        _ => return None,
    })
}

/// `ObjectFunction` is FUNCTION.
fn object_name(object: ObjectType) -> String {
    format!("{object:?}")
        .trim_start_matches("Object")
        .to_ascii_uppercase()
}

fn is_kind(relation: &Relation, kind: ObjectKind) -> bool {
    matches!(
        (relation, kind),
        (Relation::Table(_) | Relation::Virtual(_), ObjectKind::Table)
            | (Relation::View(_), ObjectKind::View)
            | (Relation::Sequence(_), ObjectKind::Sequence)
            | (Relation::Index { .. }, ObjectKind::Index)
    )
}

fn hint(relation: &Relation) -> &'static str {
    match relation {
        Relation::Table(_) | Relation::Virtual(_) => "Use DROP TABLE to remove a table.",
        Relation::View(_) => "Use DROP VIEW to remove a view.",
        Relation::Sequence(_) => "Use DROP SEQUENCE to remove a sequence.",
        Relation::Index { .. } => "Use DROP INDEX to remove an index.",
    }
}

impl Binder<'_> {
    pub fn drop(&mut self, node: &DropStmt) -> Result<Utility> {
        let DropStmt {
            objects,
            remove_type,
            behavior,
            missing_ok,
            concurrent: _,
        } = node;
        let object = ObjectType::try_from(*remove_type).map_err(Error::internal)?;
        let Some((kind, word)) = relation_kind(object) else {
            if object == ObjectType::ObjectExtension && *missing_ok {
                return Ok(Utility::Nothing {
                    tag: "DROP EXTENSION",
                    notice: None,
                });
            }
            return Err(Error::unsupported(format_args!(
                "DROP {}",
                object_name(object)
            )));
        };
        let mut drop = Drop {
            kind,
            objects: Vec::new(),
            cascade: cascades(*behavior),
            notices: Vec::new(),
        };
        for node in objects {
            let parts = name_parts(inner(node)?)?;
            let found = if kind == ObjectKind::Schema {
                let name = strings(&parts)?
                    .last()
                    .map(|s| s.to_string())
                    .unwrap_or_default();
                match self.schema(&name, -1) {
                    Ok(schema) if schema.database == DatabaseId(0) => {
                        return Err(error!(
                            DependentObjectsStillExist,
                            "cannot drop schema {name} because it is required by the database system"
                        ));
                    }
                    Ok(schema) => Ok(schema.id),
                    Err(error) => Err((error, name)),
                }
            } else {
                self.droppable(&Name::of_list(&parts)?, kind, word)?
            };
            match found {
                Ok(id) => drop.objects.push(id),
                Err((_, name)) if *missing_ok => {
                    drop.notices
                        .push(format!("{word} \"{name}\" does not exist, skipping"));
                }
                Err((error, _)) => return Err(error),
            }
        }
        Ok(Utility::Drop(drop))
    }

    /// The object's id, or the error and the name for its notice.
    fn droppable(
        &mut self,
        name: &Name,
        kind: ObjectKind,
        word: &str,
    ) -> Result<std::result::Result<ObjectId, (Error, String)>> {
        let shown = &name.name;
        if let Some(schema) = &name.schema
            && self
                .cx
                .catalog
                .schema_named(self.cx.database, schema)
                .is_none()
            && schema != "pg_temp"
        {
            let error = error!(UndefinedSchema, "schema \"{schema}\" does not exist");
            return Ok(Err((error, shown.clone())));
        }
        match self.find_relation(name.database.as_deref(), name.schema.as_deref(), &name.name) {
            Some(relation) if is_kind(&relation, kind) => {
                if matches!(relation, Relation::Virtual(_)) {
                    return Err(error!(
                        InsufficientPrivilege,
                        "permission denied: \"{shown}\" is a system catalog"
                    ));
                }
                Ok(Ok(relation.id()))
            }
            Some(relation) => {
                let article = if word == "index" { "an" } else { "a" };
                Err(
                    error!(WrongObjectType, "\"{shown}\" is not {article} {word}")
                        .with_hint(hint(&relation)),
                )
            }
            None => {
                // PostgreSQL says only the name in the notice, and what kind it is in the error.
                Ok(Err((
                    error!(UndefinedTable, "{word} \"{name}\" does not exist").with_sqlstate(
                        if word == "index" {
                            *b"42704"
                        } else {
                            *b"42P01"
                        },
                    ),
                    shown.clone(),
                )))
            }
        }
    }

    pub fn truncate(&mut self, node: &TruncateStmt) -> Result<Utility> {
        let TruncateStmt {
            relations,
            restart_seqs,
            behavior,
        } = node;
        let mut tables = Vec::with_capacity(relations.len());
        for node in relations {
            let NodeEnum::RangeVar(var) = inner(node)? else {
                return Err(Error::internal("TRUNCATE"));
            };
            tables.push(self.table(&Name::of_object(var))?.id);
        }
        Ok(Utility::Truncate {
            tables,
            restart_identity: *restart_seqs,
            cascade: cascades(*behavior),
        })
    }

    pub fn rename(&mut self, node: &RenameStmt) -> Result<Utility> {
        let RenameStmt {
            rename_type,
            relation_type: _,
            relation,
            object: _,
            subname,
            newname,
            behavior: _,
            missing_ok,
        } = node;
        let what = ObjectType::try_from(*rename_type).map_err(Error::internal)?;
        let to = newname.clone();
        match what {
            ObjectType::ObjectSchema => {
                let schema = self.schema(subname, -1)?;
                return Ok(Utility::AlterSchema {
                    schema: schema.id,
                    change: AlterObject::Rename(to),
                });
            }
            ObjectType::ObjectDatabase => {
                let database = self.database(subname)?;
                return Ok(Utility::AlterDatabase {
                    database,
                    change: AlterObject::Rename(to),
                });
            }
            ObjectType::ObjectRole => {
                return Ok(Utility::RenameRole {
                    role: self.role_named(subname)?,
                    name: to,
                });
            }
            ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectSequence
            | ObjectType::ObjectIndex
            | ObjectType::ObjectColumn
            | ObjectType::ObjectTabconstraint => {}
            other => {
                return Err(Error::unsupported(format_args!(
                    "ALTER {} ... RENAME",
                    object_name(other)
                )));
            }
        }
        let var = relation
            .as_ref()
            .ok_or_else(|| Error::internal("RENAME without a relation"))?;
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
        match (&found, what) {
            (Relation::Table(table), ObjectType::ObjectColumn) => {
                if table.column(subname).is_none() {
                    return Err(error!(
                        UndefinedColumn,
                        "column \"{subname}\" does not exist"
                    ));
                }
                if table.column(newname).is_some() {
                    let relation = &table.name;
                    return Err(error!(
                        DuplicateColumn,
                        "column \"{newname}\" of relation \"{relation}\" already exists"
                    ));
                }
                let change = AlterTable::RenameColumn {
                    from: subname.clone(),
                    to,
                };
                Ok(Utility::AlterTable {
                    table: table.id,
                    changes: vec![change],
                })
            }
            (Relation::Table(table), ObjectType::ObjectTabconstraint) => {
                let change = AlterTable::RenameConstraint {
                    from: subname.clone(),
                    to,
                };
                Ok(Utility::AlterTable {
                    table: table.id,
                    changes: vec![change],
                })
            }
            (_, ObjectType::ObjectColumn | ObjectType::ObjectTabconstraint) => Err(
                Error::unsupported("renaming a column of a relation that is not a table"),
            ),
            (Relation::Table(table), _) => Ok(Utility::AlterTable {
                table: table.id,
                changes: vec![AlterTable::Object(AlterObject::Rename(to))],
            }),
            (Relation::Virtual(_), _) => Err(error!(
                InsufficientPrivilege,
                "permission denied: \"{name}\" is a system catalog"
            )),
            (other, _) => Ok(Utility::AlterRelation {
                relation: other.id(),
                change: AlterObject::Rename(to),
            }),
        }
    }

    pub fn set_schema(&mut self, node: &AlterObjectSchemaStmt) -> Result<Utility> {
        let AlterObjectSchemaStmt {
            object_type,
            relation,
            object: _,
            newschema,
            missing_ok,
        } = node;
        let what = ObjectType::try_from(*object_type).map_err(Error::internal)?;
        let Some(var) = relation else {
            return Err(Error::unsupported(format_args!(
                "ALTER {} ... SET SCHEMA",
                object_name(what)
            )));
        };
        let name = Name::of_object(var);
        let schema = self.schema(newschema, -1)?.id;
        match self.relation(&name) {
            Ok(Relation::Table(table)) => Ok(Utility::AlterTable {
                table: table.id,
                changes: vec![AlterTable::Object(AlterObject::Schema(schema))],
            }),
            Ok(other) => Ok(Utility::AlterRelation {
                relation: other.id(),
                change: AlterObject::Schema(schema),
            }),
            Err(_) if *missing_ok => Ok(Utility::Nothing {
                tag: "ALTER TABLE",
                notice: Some(format!("relation \"{name}\" does not exist, skipping")),
            }),
            Err(error) => Err(error),
        }
    }

    pub fn set_owner(&mut self, node: &AlterOwnerStmt) -> Result<Utility> {
        let AlterOwnerStmt {
            object_type,
            relation,
            object,
            newowner,
        } = node;
        let what = ObjectType::try_from(*object_type).map_err(Error::internal)?;
        let owner = AlterObject::Owner(self.role_of(newowner.as_ref())?);
        if let Some(var) = relation {
            let found = self.relation(&Name::of_object(var))?;
            return Ok(Utility::AlterRelation {
                relation: found.id(),
                change: owner,
            });
        }
        let name = match required(object)? {
            NodeEnum::String(s) => s.sval.clone(),
            other => {
                return Err(Error::unsupported(format_args!(
                    "ALTER {} ... OWNER TO ({})",
                    object_name(what),
                    kind(other)
                )));
            }
        };
        match what {
            ObjectType::ObjectSchema => Ok(Utility::AlterSchema {
                schema: self.schema(&name, -1)?.id,
                change: owner,
            }),
            ObjectType::ObjectDatabase => Ok(Utility::AlterDatabase {
                database: self.database(&name)?,
                change: owner,
            }),
            other => Err(Error::unsupported(format_args!(
                "ALTER {} ... OWNER TO",
                object_name(other)
            ))),
        }
    }

    pub fn database(&self, name: &str) -> Result<DatabaseId> {
        let found = self.cx.catalog.database_named(name).map(|d| d.id);
        found.ok_or_else(|| error!(UndefinedDatabase, "database \"{name}\" does not exist"))
    }

    pub fn comment(&mut self, node: &CommentStmt) -> Result<Utility> {
        let CommentStmt {
            objtype,
            object,
            comment,
        } = node;
        let what = ObjectType::try_from(*objtype).map_err(Error::internal)?;
        let object = required(object)?;
        let text = (!comment.is_empty()).then(|| comment.clone());
        let plain = || -> Result<String> {
            match object {
                NodeEnum::String(s) => Ok(s.sval.clone()),
                other => Err(Error::internal(kind(other))),
            }
        };
        let target = match what {
            ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectSequence
            | ObjectType::ObjectIndex => {
                CommentTarget::Relation(self.relation(&Name::of_list(&name_parts(object)?)?)?.id())
            }
            ObjectType::ObjectColumn => {
                let parts = name_parts(object)?;
                let (column, table) = parts
                    .split_last()
                    .ok_or_else(|| Error::internal("COMMENT ON COLUMN"))?;
                let table = self.table(&Name::of_list(table)?)?;
                let column = self.column_position(&table, string(column)?, -1)?;
                CommentTarget::Column {
                    table: table.id,
                    column,
                }
            }
            ObjectType::ObjectTabconstraint => {
                let parts = name_parts(object)?;
                let (name, table) = parts
                    .split_last()
                    .ok_or_else(|| Error::internal("COMMENT ON CONSTRAINT"))?;
                let table = self.table(&Name::of_list(table)?)?;
                CommentTarget::Constraint {
                    table: table.id,
                    name: string(name)?.to_string(),
                }
            }
            ObjectType::ObjectSchema => CommentTarget::Schema(self.schema(&plain()?, -1)?.id),
            ObjectType::ObjectDatabase => CommentTarget::Database(self.database(&plain()?)?),
            ObjectType::ObjectRole => CommentTarget::Role(self.role_named(&plain()?)?),
            other => {
                return Err(Error::unsupported(format_args!(
                    "COMMENT ON {}",
                    object_name(other)
                )));
            }
        };
        Ok(Utility::Comment { target, text })
    }

    pub fn create_schema(&mut self, node: &CreateSchemaStmt) -> Result<Utility> {
        let CreateSchemaStmt {
            schemaname,
            authrole,
            schema_elts,
            if_not_exists,
        } = node;
        let owner = match authrole {
            Some(role) => Some(self.role_of(Some(role))?),
            None => None,
        };
        let name = match (schemaname.as_str(), owner) {
            ("", Some(owner)) => self
                .cx
                .catalog
                .roles
                .get(&owner)
                .map(|r| r.name.clone())
                .unwrap_or_default(),
            (name, _) => name.to_string(),
        };
        if name.starts_with("pg_") {
            return Err(error!(ReservedName, "unacceptable schema name \"{name}\"")
                .with_detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        if !schema_elts.is_empty() {
            return self.unsupported("elements in CREATE SCHEMA", -1);
        }
        Ok(Utility::CreateSchema {
            name,
            if_not_exists: *if_not_exists,
            owner,
            elements: Vec::new(),
        })
    }

    pub fn create_database(&mut self, node: &CreatedbStmt) -> Result<Utility> {
        let CreatedbStmt { dbname, options } = node;
        let mut owner = None;
        for option in options {
            let (name, argument) = option_of(option)?;
            let value = option_text(argument)?;
            match (name, value.as_deref()) {
                ("owner", Some(role)) => owner = Some(self.role_named(role)?),
                ("owner", None) => {}
                // The one encoding, the one collation, and copies of nothing.
                ("encoding", Some(e))
                    if e.eq_ignore_ascii_case("utf8")
                        || e.eq_ignore_ascii_case("utf-8")
                        || e == "6" => {}
                (
                    "locale" | "lc_collate" | "lc_ctype",
                    Some("C" | "POSIX" | "C.UTF-8" | "C.utf8"),
                ) => {}
                ("template", Some("template0" | "template1")) => {}
                (_, None) => {}
                (other, Some(value)) => {
                    return Err(Error::unsupported(format_args!(
                        "CREATE DATABASE option {other} = {value}"
                    )));
                }
            }
        }
        Ok(Utility::CreateDatabase {
            name: dbname.clone(),
            owner,
        })
    }

    pub fn drop_database(&mut self, node: &DropdbStmt) -> Result<Utility> {
        let DropdbStmt {
            dbname,
            missing_ok,
            options,
        } = node;
        if let Some(option) = options.first() {
            let (name, _) = option_of(option)?;
            if name != "force" {
                return Err(error!(
                    SyntaxError,
                    "unrecognized DROP DATABASE option \"{name}\""
                ));
            }
            return self.unsupported("DROP DATABASE ... WITH (FORCE)", -1);
        }
        Ok(Utility::DropDatabase {
            name: dbname.clone(),
            if_exists: *missing_ok,
        })
    }
}

/// The relations that a list of range variables names.
pub(super) fn relations(binder: &Binder<'_>, nodes: &[Node]) -> Result<Vec<Relation>> {
    nodes
        .iter()
        .map(|n| match inner(n)? {
            NodeEnum::RangeVar(var) => binder.relation_of(var),
            other => Err(Error::internal(kind(other))),
        })
        .collect()
}
