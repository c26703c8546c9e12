//! Which arguments of a command are keys.

use crate::codec::Args;
use helios_engine::keyspace::number::parse_i64;
use smallvec::SmallVec;

/// Positions of keys among the arguments.
pub type Positions = SmallVec<[usize; 4]>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// From `first` on every `step`th argument, up to `last` behind it; a negative `last` counts
    /// from the end of the arguments.
    Range {
        first: usize,
        last: i64,
        step: usize,
    },
    /// The argument at `at` says how many keys follow it.
    Counted { at: usize },
    /// The argument behind a keyword.
    Keyword(&'static str),
    /// Names that are made from the data.
    Unknown,
}

/// A group of keys and how they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub place: Place,
    /// `RO`, `RW`, `OW` or `RM`, then what is done with the value.
    pub flags: &'static str,
}

impl KeySpec {
    pub fn writes(&self) -> bool {
        !self.flags.starts_with("RO")
    }

    /// Whether these arguments are no keys although they stand where keys could: channels.
    fn is_key(&self) -> bool {
        self.flags != "not_key"
    }
}

/// Reads the column of the command table: `range 1 0 1 RW insert; counted 2 RO access`.
pub fn parse(text: &'static str) -> Vec<KeySpec> {
    text.split("; ")
        .filter(|part| !part.is_empty())
        .filter_map(parse_one)
        .collect()
}

fn parse_one(text: &'static str) -> Option<KeySpec> {
    let (word, rest) = text.split_once(' ')?;
    let number = |text: &str| text.parse::<i64>().ok();
    Some(match word {
        "range" => {
            let mut parts = rest.splitn(4, ' ');
            let first = usize::try_from(number(parts.next()?)?).ok()?;
            let last = number(parts.next()?)?;
            let step = usize::try_from(number(parts.next()?)?).ok()?.max(1);
            KeySpec {
                place: Place::Range { first, last, step },
                flags: parts.next()?,
            }
        }
        "counted" => {
            let (at, flags) = rest.split_once(' ')?;
            KeySpec {
                place: Place::Counted {
                    at: at.parse().ok()?,
                },
                flags,
            }
        }
        "keyword" => {
            let (keyword, flags) = rest.split_once(' ')?;
            KeySpec {
                place: Place::Keyword(keyword),
                flags,
            }
        }
        _ => KeySpec {
            place: Place::Unknown,
            flags: rest,
        },
    })
}

/// The positions of the keys of one group in a request.
pub fn positions(spec: &KeySpec, args: Args<'_>) -> Positions {
    let mut found = Positions::new();
    if !spec.is_key() {
        return found;
    }
    match spec.place {
        Place::Range { first, last, step } => {
            let end = if last < 0 {
                args.len() as i64 + last
            } else {
                first as i64 + last
            };
            let mut at = first;
            while at as i64 <= end && at < args.len() {
                found.push(at);
                at += step;
            }
        }
        Place::Counted { at } => {
            let count = parse_i64(args.get(at)).and_then(|count| usize::try_from(count).ok());
            let count = count.unwrap_or(0);
            if count <= args.len().saturating_sub(at + 1) {
                found.extend(at + 1..at + 1 + count);
            }
        }
        Place::Keyword(keyword) => {
            // The last one counts, as it does when the command is read.
            for at in 2..args.len().saturating_sub(1) {
                if args.get(at).eq_ignore_ascii_case(keyword.as_bytes()) {
                    found.clear();
                    found.push(at + 1);
                }
            }
        }
        Place::Unknown => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::request::OwnedArgs;
    use crate::command::commands;

    #[test]
    fn keys_are_found_where_the_table_says() {
        for (line, keys) in [
            ("get a", vec!["a"]),
            ("mset a 1 b 2", vec!["a", "b"]),
            ("blpop a b c 0", vec!["a", "b", "c"]),
            ("zunionstore d 2 a b weights 1 2", vec!["d", "a", "b"]),
            ("lmpop 2 a b left", vec!["a", "b"]),
            ("lmpop 9 a b left", vec![]),
            ("sort a by x* store d", vec!["a", "d"]),
            ("object encoding a", vec!["a"]),
            ("publish c m", vec![]),
        ] {
            let args: OwnedArgs = line.split(' ').collect();
            let args = args.args();
            let command = commands().resolve(args).unwrap();
            let found: Vec<_> = command
                .keys
                .iter()
                .flat_map(|spec| positions(spec, args))
                .map(|at| String::from_utf8_lossy(args.get(at)).into_owned())
                .collect();
            assert_eq!(found, keys, "{line}");
        }
    }
}
