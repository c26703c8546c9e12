//! Which of several functions or operators of one name a call means: PostgreSQL's rules of
//! "Function Type Resolution" and "Operator Type Resolution", and its polymorphic types.

use super::binder::Binder;
use super::coerce::{
    ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLENONARRAY, category, is_polymorphic,
    is_preferred,
};
use super::type_name::display;
use crate::function::CastContext;
use helios_types::{Oid, Result, Type, error};

const UNKNOWN: Oid = Type::UNKNOWN.oid;

/// A candidate with its argument types laid out for this call.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<T> {
    pub item: T,
    pub args: Vec<Oid>,
}

#[derive(Debug)]
pub(crate) enum Choice<T> {
    One(T),
    None,
    Ambiguous,
}

impl Binder<'_> {
    /// Candidates that all arguments can be implicitly cast to.
    fn applicable<T: Clone>(
        &self,
        candidates: &[Candidate<T>],
        inputs: &[Oid],
    ) -> Vec<Candidate<T>> {
        candidates
            .iter()
            .filter(|c| {
                c.args.len() == inputs.len()
                    && c.args
                        .iter()
                        .zip(inputs)
                        .all(|(to, from)| self.can_coerce(*from, *to, CastContext::Implicit))
                    && self.consistent(&c.args, inputs)
            })
            .cloned()
            .collect()
    }

    /// PostgreSQL's `check_generic_type_consistency`: whether the polymorphic arguments can agree.
    fn consistent(&self, declared: &[Oid], inputs: &[Oid]) -> bool {
        if !declared.iter().any(|d| is_polymorphic(*d)) {
            return true;
        }
        let inputs: Vec<Type> = inputs.iter().map(|oid| Type::new(*oid)).collect();
        let needs_common = declared.iter().any(|d| {
            matches!(
                *d,
                ANYCOMPATIBLE | ANYCOMPATIBLEARRAY | ANYCOMPATIBLENONARRAY
            )
        });
        let all_unknown = inputs.iter().all(|ty| ty.oid == UNKNOWN);
        self.simple_element(declared, &inputs).is_ok()
            && (!needs_common
                || all_unknown
                || self.compatible_element(declared, &inputs).is_some())
    }

    /// The candidate that the call means.
    pub fn choose<T: Clone>(
        &self,
        candidates: &[Candidate<T>],
        inputs: &[Oid],
    ) -> Choice<Candidate<T>> {
        if let Some(exact) = candidates.iter().find(|c| c.args == inputs) {
            return Choice::One(exact.clone());
        }
        let mut left = self.applicable(candidates, inputs);
        match left.len() {
            0 => return Choice::None,
            1 => return Choice::One(left.swap_remove(0)),
            _ => {}
        }
        best_by(&mut left, |c| {
            c.args
                .iter()
                .zip(inputs)
                .filter(|(to, from)| **from != UNKNOWN && to == from)
                .count()
        });
        if left.len() == 1 {
            return Choice::One(left.swap_remove(0));
        }
        best_by(&mut left, |c| {
            c.args
                .iter()
                .zip(inputs)
                .filter(|(to, from)| {
                    **from != UNKNOWN
                        && (to == from
                            || (is_preferred(**to) && category(**to) == category(**from)))
                })
                .count()
        });
        if left.len() == 1 {
            return Choice::One(left.swap_remove(0));
        }
        if !inputs.contains(&UNKNOWN) {
            return Choice::Ambiguous;
        }
        if let Some(one) = by_category(&left, inputs) {
            match one {
                Narrowed::One(c) => return Choice::One(c),
                Narrowed::Some(list) => left = list,
            }
        }
        self.assume_known(&left, inputs)
    }

    /// The last resort: unknown arguments have the type that all known ones share.
    fn assume_known<T: Clone>(
        &self,
        left: &[Candidate<T>],
        inputs: &[Oid],
    ) -> Choice<Candidate<T>> {
        let mut known = inputs.iter().filter(|t| **t != UNKNOWN);
        let Some(first) = known.next() else {
            return Choice::Ambiguous;
        };
        if known.any(|t| t != first) {
            return Choice::Ambiguous;
        }
        let all = vec![*first; inputs.len()];
        let mut fitting = left.iter().filter(|c| {
            c.args
                .iter()
                .all(|to| self.can_coerce(*first, *to, CastContext::Implicit))
                && self.consistent(&c.args, &all)
        });
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Choice::One(one.clone()),
            _ => Choice::Ambiguous,
        }
    }

    /// PostgreSQL's `enforce_generic_type_consistency`: concrete argument types and result type of
    /// a polymorphic signature; `None` when the arguments do not agree.
    pub fn concrete(
        &self,
        declared: &[Oid],
        result: Oid,
        inputs: &[Type],
        location: i32,
    ) -> Result<Option<(Vec<Type>, Type)>> {
        let any_polymorphic = declared.iter().any(|d| is_polymorphic(*d));
        if !any_polymorphic {
            let args = declared
                .iter()
                .zip(inputs)
                .map(|(d, i)| {
                    if *d == Type::ANY.oid {
                        *i
                    } else {
                        Type::new(*d)
                    }
                })
                .collect();
            return Ok(Some((args, Type::new(result))));
        }
        let element = match self.simple_element(declared, inputs) {
            Ok(element) => element,
            Err(()) => return Ok(None),
        };
        let common = self.compatible_element(declared, inputs);
        let needs_element = declared
            .iter()
            .any(|d| matches!(d, 2277 | 2283 | 2776 | 3500));
        let needs_common = declared.iter().any(|d| {
            matches!(
                *d,
                ANYCOMPATIBLE | ANYCOMPATIBLEARRAY | ANYCOMPATIBLENONARRAY
            )
        });
        if (needs_element && element.is_none()) || (needs_common && common.is_none()) {
            return Err(self.at(
                error!(
                    DatatypeMismatch,
                    "could not determine polymorphic type because input has type unknown"
                ),
                location,
            ));
        }
        let resolve = |declared: Oid, input: Option<Type>| -> Option<Type> {
            match declared {
                2283 | 2776 | 3500 => element,
                2277 => element.and_then(Type::array_of),
                ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY => common,
                ANYCOMPATIBLEARRAY => common.and_then(Type::array_of),
                2276 => input,
                other => Some(Type::new(other)),
            }
        };
        let mut args = Vec::with_capacity(declared.len());
        for (declared, input) in declared.iter().zip(inputs) {
            // A vector stays what it is where any array will do.
            if *declared == 2277 && matches!(input.oid, 22 | 30) {
                args.push(*input);
                continue;
            }
            match resolve(*declared, Some(*input)) {
                Some(ty) => args.push(ty),
                None => return Ok(None),
            }
        }
        match resolve(result, None) {
            Some(ty) => Ok(Some((args, ty))),
            None => {
                let shown = element.or(common).map_or_else(String::new, display);
                Err(self.at(
                    error!(
                        UndefinedObject,
                        "could not find array type for data type {shown}"
                    ),
                    location,
                ))
            }
        }
    }

    /// The one type behind anyelement, anyarray and anynonarray.
    fn simple_element(&self, declared: &[Oid], inputs: &[Type]) -> Result<Option<Type>, ()> {
        let mut element: Option<Type> = None;
        for (declared, input) in declared.iter().zip(inputs) {
            let seen = match declared {
                2283 | 2776 | 3500 if input.oid != UNKNOWN => Type::new(input.oid),
                2277 if input.oid == Type::ANYARRAY.oid => return Ok(Some(Type::TEXT)),
                2277 if input.oid != UNKNOWN => Type::new(input.element().ok_or(())?.oid),
                _ => continue,
            };
            if *declared == 2776 && seen.is_array() {
                return Err(());
            }
            match element {
                None => element = Some(seen),
                Some(e) if e.oid == seen.oid => {}
                Some(_) => return Err(()),
            }
        }
        Ok(element)
    }

    /// The common type behind anycompatible and its array.
    fn compatible_element(&self, declared: &[Oid], inputs: &[Type]) -> Option<Type> {
        let mut common: Option<Type> = None;
        let mut seen_unknown = false;
        for (declared, input) in declared.iter().zip(inputs) {
            let seen = match *declared {
                ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY if input.oid != UNKNOWN => {
                    Type::new(input.oid)
                }
                ANYCOMPATIBLEARRAY if input.oid != UNKNOWN => Type::new(input.element()?.oid),
                ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY => {
                    seen_unknown = true;
                    continue;
                }
                _ => continue,
            };
            common = match common {
                None => Some(seen),
                Some(c) if c.oid == seen.oid => Some(c),
                Some(c) if category(c.oid) != category(seen.oid) => return None,
                Some(c)
                    if !is_preferred(c.oid)
                        && self.can_coerce(c.oid, seen.oid, CastContext::Implicit)
                        && !self.can_coerce(seen.oid, c.oid, CastContext::Implicit) =>
                {
                    Some(seen)
                }
                Some(c) => Some(c),
            };
        }
        common.or(seen_unknown.then_some(Type::TEXT))
    }
}

/// Keeps the candidates with the highest score.
fn best_by<T>(candidates: &mut Vec<Candidate<T>>, score: impl Fn(&Candidate<T>) -> usize) {
    let best = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.retain(|c| score(c) == best);
}

enum Narrowed<T> {
    One(Candidate<T>),
    Some(Vec<Candidate<T>>),
}

/// Decides unknown arguments by the categories that candidates accept: the string category when
/// any does, else the one that all share.
fn by_category<T: Clone>(candidates: &[Candidate<T>], inputs: &[Oid]) -> Option<Narrowed<T>> {
    let mut wanted: Vec<Option<(char, bool)>> = vec![None; inputs.len()];
    for (slot, input) in inputs.iter().enumerate() {
        if *input != UNKNOWN {
            continue;
        }
        let categories: Vec<(char, bool)> = candidates
            .iter()
            .map(|c| (category(c.args[slot]), is_preferred(c.args[slot])))
            .collect();
        let chosen = if categories.iter().any(|(c, _)| *c == 'S') {
            'S'
        } else if categories.iter().all(|(c, _)| *c == categories[0].0) {
            categories[0].0
        } else {
            return None;
        };
        let preferred = categories.iter().any(|(c, p)| *c == chosen && *p);
        wanted[slot] = Some((chosen, preferred));
    }
    let kept: Vec<Candidate<T>> = candidates
        .iter()
        .filter(|candidate| {
            wanted
                .iter()
                .zip(&candidate.args)
                .all(|(wanted, arg)| match wanted {
                    None => true,
                    Some((c, preferred)) => {
                        category(*arg) == *c && (!preferred || is_preferred(*arg))
                    }
                })
        })
        .cloned()
        .collect();
    match kept.len() {
        0 => None,
        1 => kept.into_iter().next().map(Narrowed::One),
        _ => Some(Narrowed::Some(kept)),
    }
}
