//! SORT: the elements of a list, set or sorted set, ordered by themselves or by other keys.

use super::access::Access;
use super::entry::{Kind, wrong_type};
use super::number;
use helios_types::{Result, bail};
use std::cmp::Ordering;

/// The options of SORT.
#[derive(Clone, Debug, Default)]
pub struct SortRequest<'a> {
    /// BY: a pattern whose `*` is replaced by the element; without a `*` nothing is sorted.
    pub by: Option<&'a [u8]>,
    /// GET: patterns as in BY, or `#` for the element itself.
    pub get: Vec<&'a [u8]>,
    /// Elements that are passed over, and how many follow (negative: all).
    pub limit: Option<(i64, i64)>,
    pub descending: bool,
    pub alphabetic: bool,
}

struct Weighted {
    element: Vec<u8>,
    number: f64,
    text: Option<Vec<u8>>,
}

impl Access<'_> {
    pub fn sort(&mut self, key: &[u8], request: &SortRequest<'_>) -> Result<Vec<Option<Vec<u8>>>> {
        self.pin();
        let slot = self.slot(key)?;
        let kind = slot.entry()?.map(|entry| entry.kind);
        let elements: Vec<Vec<u8>> = match kind {
            None => Vec::new(),
            Some(Kind::List) => self.list_items(&slot)?,
            Some(Kind::Set) => self
                .elements(&slot)?
                .into_iter()
                .map(|(member, _)| member)
                .collect(),
            Some(Kind::SortedSet) => {
                let mut members = Vec::new();
                self.zset_visit(&slot, false, &mut |_, member| {
                    members.push(member.to_vec());
                    Ok(true)
                })?;
                members
            }
            Some(_) => return wrong_type(),
        };
        let unsorted = request.by.is_some_and(|by| !by.contains(&b'*'));
        let mut weighted = Vec::with_capacity(elements.len());
        for element in elements {
            weighted.push(self.weigh(element, request, unsorted)?);
        }
        if unsorted {
            if request.descending && kind == Some(Kind::SortedSet) {
                weighted.reverse();
            }
        } else {
            weighted.sort_by(|a, b| {
                let order = order(a, b, request.alphabetic).then_with(|| a.element.cmp(&b.element));
                if request.descending {
                    order.reverse()
                } else {
                    order
                }
            });
        }
        let (skip, take) = match request.limit {
            Some((offset, count)) => (
                usize::try_from(offset).unwrap_or(0),
                usize::try_from(count).unwrap_or(usize::MAX),
            ),
            None => (0, usize::MAX),
        };
        let mut answer = Vec::new();
        for Weighted { element, .. } in weighted.into_iter().skip(skip).take(take) {
            if request.get.is_empty() {
                answer.push(Some(element));
                continue;
            }
            for pattern in &request.get {
                answer.push(if *pattern == b"#" {
                    Some(element.clone())
                } else {
                    self.look_up(pattern, &element)?
                });
            }
        }
        Ok(answer)
    }

    fn weigh(
        &mut self,
        element: Vec<u8>,
        request: &SortRequest<'_>,
        unsorted: bool,
    ) -> Result<Weighted> {
        let mut weighted = Weighted {
            element,
            number: 0.0,
            text: None,
        };
        if unsorted {
            return Ok(weighted);
        }
        let text = match request.by {
            Some(by) => self.look_up(by, &weighted.element)?,
            None => Some(weighted.element.clone()),
        };
        if request.alphabetic {
            weighted.text = text;
        } else if let Some(text) = text {
            match number::parse_f64(&text) {
                Some(number) => weighted.number = number,
                None => bail!(
                    InvalidTextRepresentation,
                    "One or more scores can't be converted into double"
                ),
            }
        }
        Ok(weighted)
    }

    /// The string, or with `->field` the hash field, that `pattern` names for `element`.
    fn look_up(&mut self, pattern: &[u8], element: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(star) = pattern.iter().position(|byte| *byte == b'*') else {
            return Ok(None);
        };
        let arrow = pattern[star..]
            .windows(2)
            .position(|pair| pair == b"->")
            .map(|at| star + at);
        let (name, field) = match arrow {
            Some(at) if at + 2 < pattern.len() => (&pattern[..at], Some(&pattern[at + 2..])),
            _ => (pattern, None),
        };
        let key = [&name[..star], element, &name[star + 1..]].concat();
        let slot = self.slot(&key)?;
        let kind = slot.entry()?.map(|entry| entry.kind);
        Ok(match (field, kind) {
            (Some(field), Some(Kind::Hash)) => self
                .hash_get(&slot, field)?
                .map(|value| value.bytes().to_vec()),
            (None, Some(Kind::String)) => slot.string()?.map(<[u8]>::to_vec),
            _ => None,
        })
    }
}

fn order(a: &Weighted, b: &Weighted, alphabetic: bool) -> Ordering {
    if alphabetic {
        a.text.cmp(&b.text)
    } else {
        a.number.total_cmp(&b.number)
    }
}
