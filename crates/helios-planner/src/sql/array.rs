//! Array constructors, subscripts, slices and field selection.

use super::binder::{Binder, Typed};
use super::construct;
use super::node::{inner, kind, optional, required, string};
use super::type_name::display;
use crate::function::CastContext;
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{AArrayExpr, AIndices, AIndirection};

impl Binder<'_> {
    /// `ARRAY[…]`; `target` is the array type of an enclosing cast.
    pub fn array_constructor(&mut self, node: &AArrayExpr, target: Option<Type>) -> Result<Typed> {
        let AArrayExpr {
            elements,
            list_start: _,
            list_end: _,
            location,
        } = node;
        let at = *location;
        let wanted = target.and_then(Type::element).map(|e| Type::new(e.oid));
        let nested = elements
            .iter()
            .any(|e| matches!(e.node, Some(NodeEnum::AArrayExpr(_))));
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            values.push(match inner(element)? {
                NodeEnum::AArrayExpr(array) => self.array_constructor(array, target)?,
                other => self.expression(other)?,
            });
        }
        if values.is_empty() && wanted.is_none() {
            return Err(self.at(
                error!(
                    IndeterminateDatatype,
                    "cannot determine type of empty array"
                )
                .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."),
                at,
            ));
        }
        let all: Vec<&Typed> = values.iter().collect();
        let common = if values.is_empty() {
            Type::TEXT
        } else if nested || wanted.is_none() {
            self.common_type(&all, "ARRAY")?
        } else {
            wanted.unwrap_or(Type::TEXT)
        };
        // Elements that are arrays make one array of more dimensions.
        let multi = nested || common.is_array();
        let (element, array) = if multi {
            let array = match wanted {
                Some(element) => element.array_of().unwrap_or(common),
                None => common,
            };
            (array.element().unwrap_or(common), array)
        } else {
            let element = wanted.unwrap_or(common);
            let Some(array) = element.array_of() else {
                let shown = display(element);
                return Err(self.at(
                    error!(
                        UndefinedObject,
                        "could not find array type for data type {shown}"
                    ),
                    at,
                ));
            };
            (element, array)
        };
        let item = if multi { array } else { element };
        let mut coerced = Vec::with_capacity(values.len());
        for value in values {
            coerced.push(match wanted {
                Some(_) => self.cast_element(value, item, at)?,
                None => self.coerce_to_common(value, item, "ARRAY")?,
            });
        }
        let expr = if multi {
            construct::nested_array(element, coerced, array)
        } else {
            construct::array(element, coerced, array)
        };
        Ok(Typed::new(expr, array, at))
    }

    fn cast_element(&mut self, value: Typed, target: Type, at: i32) -> Result<Typed> {
        let source = value.ty;
        match self.coerce_base(value, target, CastContext::Explicit)? {
            Some(value) => Ok(value),
            None => {
                let (from, to) = (display(source), display(target));
                Err(self.at(error!(CannotCoerce, "cannot cast type {from} to {to}"), at))
            }
        }
    }

    /// Subscripts, slices and fields after an expression.
    pub fn indirection(&mut self, node: &AIndirection) -> Result<Typed> {
        let AIndirection { arg, indirection } = node;
        let base = required(arg)?;
        let at = super::node::location(base);
        let mut steps = indirection.as_slice();
        let mut value = match self.row_field_shortcut(base, steps, at)? {
            Some(found) => {
                steps = &steps[1..];
                found
            }
            None => self.expression(base)?,
        };
        while let Some(first) = steps.first() {
            match inner(first)? {
                NodeEnum::AIndices(_) => {
                    let count = steps
                        .iter()
                        .take_while(|s| matches!(s.node, Some(NodeEnum::AIndices(_))))
                        .count();
                    value = self.subscripts(value, &steps[..count], at)?;
                    steps = &steps[count..];
                }
                NodeEnum::String(name) => {
                    value = self.field_selection(value, &name.sval, base, at)?;
                    steps = &steps[1..];
                }
                NodeEnum::AStar(_) => {
                    return Err(self.at(
                        error!(SyntaxError, "row expansion via \"*\" is not supported here"),
                        at,
                    ));
                }
                other => return Err(Error::internal(kind(other))),
            }
        }
        Ok(value)
    }

    /// `(t).column` of a FROM item is the column itself.
    fn row_field_shortcut(
        &mut self,
        base: &NodeEnum,
        steps: &[pg_query::Node],
        at: i32,
    ) -> Result<Option<Typed>> {
        let NodeEnum::ColumnRef(reference) = base else {
            return Ok(None);
        };
        let ([table], Some(NodeEnum::String(field))) = (
            reference.fields.as_slice(),
            steps.first().and_then(|s| s.node.as_ref()),
        ) else {
            return Ok(None);
        };
        let Ok(table) = string(table) else {
            return Ok(None);
        };
        if self.unqualified_column(table, at)?.is_some() {
            return Ok(None);
        }
        match self.find_item(None, table, at)? {
            Some((depth, index)) => match self.item_column(depth, index, &field.sval, at)? {
                Some(found) => Ok(Some(found)),
                None => Err(self.missing_column(Some(table), &field.sval, at)),
            },
            None => Ok(None),
        }
    }

    fn subscripts(&mut self, value: Typed, steps: &[pg_query::Node], at: i32) -> Result<Typed> {
        if value.ty.oid == Type::JSONB.oid {
            return self.jsonb_subscripts(value, steps, at);
        }
        let Some(element) = value.ty.element() else {
            let shown = display(Type::new(value.ty.oid));
            return Err(self.at(
                error!(
                    DatatypeMismatch,
                    "cannot subscript type {shown} because it does not support subscripting"
                ),
                at,
            ));
        };
        let bounds = self.subscript_bounds(steps, at)?;
        let slice = bounds.iter().any(|(is_slice, ..)| *is_slice);
        let element = element.with_modifier(value.ty.modifier);
        let ty = value.ty;
        if !slice {
            let indexes = bounds
                .into_iter()
                .filter_map(|(_, _, upper)| upper)
                .collect();
            return Ok(Typed::new(
                construct::subscript(value, indexes, element),
                element,
                at,
            ));
        }
        // Beside a slice, a plain subscript [n] means [1:n].
        let bounds = bounds
            .into_iter()
            .map(|(is_slice, lower, upper)| {
                if is_slice {
                    (lower, upper)
                } else {
                    (
                        Some(Typed::new(super::literal::int4(1), Type::INT4, -1)),
                        upper,
                    )
                }
            })
            .collect();
        Ok(Typed::new(construct::slice(value, bounds, ty), ty, at))
    }

    /// Each subscript: whether it is a slice, its lower and its upper bound; the index of one that
    /// is no slice is its upper bound.
    pub fn subscript_bounds(
        &mut self,
        steps: &[pg_query::Node],
        at: i32,
    ) -> Result<Vec<(bool, Option<Typed>, Option<Typed>)>> {
        let mut bounds = Vec::with_capacity(steps.len());
        for step in steps {
            let NodeEnum::AIndices(indices) = inner(step)? else {
                return self.unsupported("a field of a composite value here", at);
            };
            let AIndices {
                is_slice,
                lidx,
                uidx,
            } = indices.as_ref();
            let lower = optional(lidx)
                .map(|n| self.subscript_value(n))
                .transpose()?;
            let upper = optional(uidx)
                .map(|n| self.subscript_value(n))
                .transpose()?;
            bounds.push((*is_slice, lower, upper));
        }
        Ok(bounds)
    }

    fn subscript_value(&mut self, node: &NodeEnum) -> Result<Typed> {
        let value = self.expression(node)?;
        let at = value.at;
        match self.coerce_base(value, Type::INT4, CastContext::Assignment)? {
            Some(value) => Ok(value),
            None => Err(self.at(
                error!(DatatypeMismatch, "array subscript must have type integer"),
                at,
            )),
        }
    }

    /// `document['a'][0]`: a chain of `->`.
    fn jsonb_subscripts(
        &mut self,
        mut value: Typed,
        steps: &[pg_query::Node],
        at: i32,
    ) -> Result<Typed> {
        for step in steps {
            let NodeEnum::AIndices(indices) = inner(step)? else {
                return Err(Error::internal("subscript"));
            };
            let AIndices {
                is_slice,
                lidx: _,
                uidx,
            } = indices.as_ref();
            if *is_slice {
                return Err(self.at(
                    error!(DatatypeMismatch, "jsonb subscript does not support slices"),
                    at,
                ));
            }
            let key = self.expression(required(uidx)?)?;
            let key = self.resolve_unknown(key)?;
            value = self.binary("->", value, key, at)?;
        }
        Ok(value)
    }
}
