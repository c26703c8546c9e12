//! COPY and its options.

use super::text::statement_text;
use super::{boolean_option, option_of, option_text};
use crate::catalog::{Relation, Table};
use crate::sql::binder::Binder;
use crate::sql::name::Name;
use crate::sql::node::{inner, kind, optional, strings};
use crate::sql::scope::Clause;
use crate::sql::statement::bind_plan;
use crate::utility::{Copy, CopyFormat, CopyHeader, CopyOptions, CopySource, Utility};
use helios_types::{Error, Result, Type, error};
use pg_query::protobuf::CopyStmt;
use pg_query::{Node, NodeEnum};
use std::sync::Arc;

impl Binder<'_> {
    pub fn copy(&mut self, node: &CopyStmt) -> Result<Utility> {
        let CopyStmt {
            relation,
            query,
            attlist,
            is_from,
            is_program,
            filename,
            options,
            where_clause,
        } = node;
        if *is_program {
            return self.unsupported("COPY ... PROGRAM", -1);
        }
        if !filename.is_empty() {
            return self.unsupported("COPY with a file of the server", -1);
        }
        let (source, names) = match relation {
            Some(var) => {
                let name = Name::of_object(var);
                match self.relation(&name)? {
                    Relation::Table(table) => {
                        let columns = self.copy_columns(&table, attlist)?;
                        let names = columns
                            .iter()
                            .map(|&i| table.columns[i].name.clone())
                            .collect();
                        let filter = match optional(where_clause) {
                            Some(node) => {
                                self.table_expression(
                                    node,
                                    Some(&table),
                                    Clause::CopyWhere,
                                    Some(Type::BOOL),
                                    "WHERE",
                                )?;
                                Some(self.expression_text(node)?)
                            }
                            None => None,
                        };
                        (
                            CopySource::Table {
                                table: table.id,
                                columns,
                                filter,
                            },
                            names,
                        )
                    }
                    Relation::View(_) => {
                        let shown = &name.name;
                        let error = if *is_from {
                            error!(WrongObjectType, "cannot copy to view \"{shown}\"")
                        } else {
                            error!(WrongObjectType, "cannot copy from view \"{shown}\"")
                                .with_hint("Try the COPY (SELECT ...) TO variant.")
                        };
                        return Err(error);
                    }
                    _ => {
                        return Err(error!(
                            WrongObjectType,
                            "cannot copy relation \"{}\"", name.name
                        ));
                    }
                }
            }
            None => {
                let body = optional(query).ok_or_else(|| Error::internal("COPY of nothing"))?;
                let bound = bind_plan(body, self.source().cloned(), &self.cx)?;
                let names: Vec<String> = bound.output.iter().map(|c| c.name.clone()).collect();
                (CopySource::Query(statement_text(body.clone())?), names)
            }
        };
        self.options_once(options)?;
        let options = copy_options(options, &names, *is_from)?;
        Ok(Utility::Copy(Copy {
            source,
            from: *is_from,
            options,
        }))
    }

    /// Refuses an option that is given twice.
    fn options_once(&self, options: &[Node]) -> Result<()> {
        let mut seen = Vec::with_capacity(options.len());
        for node in options {
            let NodeEnum::DefElem(option) = inner(node)? else {
                continue;
            };
            if seen.contains(&option.defname.as_str()) {
                return Err(self.at(
                    error!(SyntaxError, "conflicting or redundant options"),
                    option.location,
                ));
            }
            seen.push(&option.defname);
        }
        Ok(())
    }

    fn copy_columns(&mut self, table: &Arc<Table>, names: &[Node]) -> Result<Vec<usize>> {
        if names.is_empty() {
            return Ok(table
                .live_columns()
                .filter(|(_, c)| c.generated.is_none())
                .map(|(i, _)| i)
                .collect());
        }
        let mut columns = Vec::with_capacity(names.len());
        for name in strings(names)? {
            let position = self.column_position(table, name, -1)?;
            if columns.contains(&position) {
                return Err(error!(
                    DuplicateColumn,
                    "column \"{name}\" specified more than once"
                ));
            }
            if table.columns[position].generated.is_some() {
                return Err(error!(
                    InvalidColumnReference,
                    "column \"{name}\" is a generated column"
                )
                .with_detail("Generated columns cannot be used in COPY."));
            }
            columns.push(position);
        }
        Ok(columns)
    }
}

fn copy_options(nodes: &[Node], columns: &[String], from: bool) -> Result<CopyOptions> {
    let mut options = CopyOptions::default();
    let (mut delimiter, mut null, mut quote, mut escape) = (None, None, None, None);
    let mut forced: Vec<(&str, Option<&NodeEnum>)> = Vec::new();
    for node in nodes {
        let (name, argument) = option_of(node)?;
        match name {
            "format" => {
                options.format = match option_text(argument)?.unwrap_or_default().as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    other => {
                        return Err(error!(
                            InvalidParameterValue,
                            "COPY format \"{other}\" not recognized"
                        ));
                    }
                };
            }
            "delimiter" => delimiter = option_text(argument)?,
            "null" => null = option_text(argument)?,
            "quote" => quote = option_text(argument)?,
            "escape" => escape = option_text(argument)?,
            "header" => {
                options.header = match option_text(argument)?.as_deref() {
                    Some("match") if from => CopyHeader::Match,
                    Some("match") => {
                        return Err(error!(
                            Unsupported,
                            "cannot use \"match\" with HEADER in COPY TO"
                        ));
                    }
                    _ if boolean_option(argument)? => CopyHeader::Write,
                    _ => CopyHeader::None,
                };
            }
            "freeze" => {
                boolean_option(argument)?;
            }
            "encoding" => match option_text(argument)? {
                Some(e) if e.eq_ignore_ascii_case("utf8") || e.eq_ignore_ascii_case("utf-8") => {}
                other => {
                    let shown = other.unwrap_or_default();
                    return Err(Error::unsupported(format_args!(
                        "COPY encoding \"{shown}\""
                    )));
                }
            },
            "force_quote" | "force_not_null" | "force_null" => forced.push((name, argument)),
            other => return Err(error!(SyntaxError, "option \"{other}\" not recognized")),
        }
    }
    finish(
        options, delimiter, null, quote, escape, forced, columns, from,
    )
}

/// The options that depend on the format, checked against each other as PostgreSQL does.
#[allow(clippy::too_many_arguments)]
fn finish(
    mut options: CopyOptions,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    forced: Vec<(&str, Option<&NodeEnum>)>,
    columns: &[String],
    from: bool,
) -> Result<CopyOptions> {
    let csv = options.format == CopyFormat::Csv;
    if options.format == CopyFormat::Binary {
        if delimiter.is_some() {
            return Err(error!(
                SyntaxError,
                "cannot specify DELIMITER in BINARY mode"
            ));
        }
        if null.is_some() {
            return Err(error!(SyntaxError, "cannot specify NULL in BINARY mode"));
        }
        if options.header != CopyHeader::None {
            return Err(error!(Unsupported, "cannot specify HEADER in BINARY mode"));
        }
    }
    options.delimiter = match delimiter.as_deref().map(str::as_bytes) {
        None if csv => b',',
        None => b'\t',
        Some([b'\r' | b'\n']) => {
            return Err(error!(
                InvalidParameterValue,
                "COPY delimiter cannot be newline or carriage return"
            ));
        }
        Some([one]) => {
            if !csv && (one.is_ascii_alphanumeric() || matches!(one, b'\\' | b'.')) {
                let shown = char::from(*one);
                return Err(error!(
                    InvalidParameterValue,
                    "COPY delimiter cannot be \"{shown}\""
                ));
            }
            *one
        }
        Some(_) => {
            return Err(error!(
                Unsupported,
                "COPY delimiter must be a single one-byte character"
            ));
        }
    };
    options.null = match null {
        Some(text) if text.contains(['\r', '\n']) => {
            return Err(error!(
                InvalidParameterValue,
                "COPY null representation cannot use newline or carriage return"
            ));
        }
        Some(text) if text.as_bytes().contains(&options.delimiter) => {
            return Err(error!(
                Unsupported,
                "COPY delimiter must not appear in the NULL specification"
            ));
        }
        Some(text) => text,
        None if csv => String::new(),
        None => "\\N".to_string(),
    };
    let single = |text: Option<String>, name: &str, default: u8| -> Result<u8> {
        match text.as_deref().map(str::as_bytes) {
            None => Ok(default),
            Some(_) if !csv => Err(error!(
                Unsupported,
                "COPY {name} available only in CSV mode"
            )),
            Some([one]) => Ok(*one),
            Some(_) => Err(error!(
                Unsupported,
                "COPY {name} must be a single one-byte character"
            )),
        }
    };
    options.quote = single(quote, "quote", b'"')?;
    let quote = options.quote;
    options.escape = single(escape, "escape", quote)?;
    if csv && options.delimiter == options.quote {
        return Err(error!(
            InvalidParameterValue,
            "COPY delimiter and quote must be different"
        ));
    }
    for (name, argument) in forced {
        let shown = name.replace('_', " ");
        if !csv {
            return Err(error!(
                Unsupported,
                "COPY {shown} available only in CSV mode"
            ));
        }
        if (name == "force_quote") == from {
            let mode = if from { "COPY TO" } else { "COPY FROM" };
            return Err(error!(
                Unsupported,
                "COPY {shown} only available using {mode}"
            ));
        }
        let positions = forced_columns(argument, columns)?;
        match name {
            "force_quote" => options.force_quote = positions,
            "force_not_null" => options.force_not_null = positions,
            _ => options.force_null = positions,
        }
    }
    Ok(options)
}

fn forced_columns(argument: Option<&NodeEnum>, columns: &[String]) -> Result<Vec<usize>> {
    match argument {
        Some(NodeEnum::AStar(_)) => Ok((0..columns.len()).collect()),
        Some(NodeEnum::List(list)) => list
            .items
            .iter()
            .map(|item| {
                let name = match inner(item)? {
                    NodeEnum::String(s) => s.sval.as_str(),
                    other => return Err(Error::internal(kind(other))),
                };
                columns.iter().position(|c| c == name).ok_or_else(|| {
                    error!(
                        InvalidColumnReference,
                        "column \"{name}\" not referenced by COPY"
                    )
                })
            })
            .collect(),
        _ => Err(error!(
            InvalidParameterValue,
            "argument to option must be a list of column names"
        )),
    }
}
