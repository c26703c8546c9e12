//! The syntax of a command as COMMAND DOCS describes it, made from the line of the command table.
//!
//! ```text
//! key value [NX | XX] [EX seconds | KEEPTTL] element...
//! ```
//!
//! Capitals are written as they are; small letters name an argument; brackets are optional; ` | `
//! separates alternatives, `A|B` is a choice of words; `...` repeats what stands before it.

use crate::codec::ReplyWriter;

/// One argument, or a group of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    name: String,
    kind: &'static str,
    token: Option<String>,
    optional: bool,
    multiple: bool,
    parts: Vec<Argument>,
}

pub fn parse(syntax: &str) -> Vec<Argument> {
    let spaced = syntax.replace('[', " [ ").replace(']', " ] ");
    let mut words = spaced.split_ascii_whitespace().peekable();
    sequence(&mut words)
}

type Words<'w> = std::iter::Peekable<std::str::SplitAsciiWhitespace<'w>>;

/// Arguments up to the end or a closing bracket.
fn sequence(words: &mut Words<'_>) -> Vec<Argument> {
    let mut alternatives: Vec<Vec<Argument>> = vec![Vec::new()];
    let mut inside_or = false;
    while let Some(word) = words.next() {
        let current = alternatives.len() - 1;
        match word {
            "]" => break,
            "|" => {
                inside_or = true;
                alternatives.push(Vec::new());
            }
            "..." => {
                if let Some(last) = alternatives[current].last_mut() {
                    last.multiple = true;
                }
            }
            "[" => {
                let mut inner = sequence(words);
                let mut group = match inner.len() {
                    1 => inner.remove(0),
                    _ => Argument {
                        name: inner.first().map_or_else(String::new, |a| a.name.clone()),
                        kind: "block",
                        parts: inner,
                        ..Argument::default()
                    },
                };
                group.optional = true;
                alternatives[current].push(group);
            }
            word => {
                let argument = plain(word, words);
                alternatives[current].push(argument);
            }
        }
    }
    if !inside_or {
        return alternatives.remove(0);
    }
    vec![one_of(alternatives.into_iter().map(block).collect())]
}

fn one_of(parts: Vec<Argument>) -> Argument {
    Argument {
        name: parts
            .first()
            .map_or_else(String::new, |part| part.name.clone()),
        kind: "oneof",
        parts,
        ..Argument::default()
    }
}

fn block(mut parts: Vec<Argument>) -> Argument {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    Argument {
        name: parts.first().map_or_else(String::new, |a| a.name.clone()),
        kind: "block",
        parts,
        ..Argument::default()
    }
}

fn plain(word: &str, words: &mut Words<'_>) -> Argument {
    if word.contains('|') {
        return one_of(
            word.split('|')
                .map(|token| pure_token(token, false))
                .collect(),
        );
    }
    let (word, multiple) = match word.strip_suffix("...") {
        Some(word) => (word, true),
        None => (word, false),
    };
    let token = word.starts_with(|c: char| c.is_ascii_uppercase());
    if !token {
        return Argument {
            name: word.to_owned(),
            kind: kind_of(word),
            multiple,
            ..Argument::default()
        };
    }
    // A word in capitals belongs to the argument behind it.
    let follows = words
        .peek()
        .is_some_and(|next| next.starts_with(|c: char| c.is_ascii_lowercase()));
    if follows && let Some(next) = words.next() {
        let mut argument = plain(next, words);
        argument.token = Some(word.to_owned());
        return argument;
    }
    pure_token(word, multiple)
}

fn pure_token(word: &str, multiple: bool) -> Argument {
    Argument {
        name: word.to_ascii_lowercase(),
        kind: "pure-token",
        token: Some(word.to_owned()),
        multiple,
        ..Argument::default()
    }
}

fn kind_of(name: &str) -> &'static str {
    match name {
        "key" | "key1" | "key2" | "source" | "destination" | "destkey" | "newkey" | "src"
        | "dst" => "key",
        "pattern" => "pattern",
        "score" | "weight" => "double",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        "count" | "index" | "start" | "stop" | "end" | "offset" | "seconds" | "milliseconds"
        | "increment" | "decrement" | "numkeys" | "limit" | "rank" | "len" | "num-matches"
        | "cursor" | "db" | "destination-db" | "protover" | "client-id" | "bit" => "integer",
        _ => "string",
    }
}

/// The list of arguments in the form of COMMAND DOCS.
pub fn write(out: &mut ReplyWriter, arguments: &[Argument]) {
    out.array(arguments.len());
    for argument in arguments {
        let flags = usize::from(argument.optional) + usize::from(argument.multiple);
        let entries = 2
            + usize::from(argument.token.is_some())
            + usize::from(flags > 0)
            + usize::from(!argument.parts.is_empty());
        out.map(entries);
        out.bulk(b"name");
        out.bulk(argument.name.as_bytes());
        out.bulk(b"type");
        out.bulk(argument.kind.as_bytes());
        if let Some(token) = &argument.token {
            out.bulk(b"token");
            out.bulk(token.as_bytes());
        }
        if flags > 0 {
            out.bulk(b"flags");
            out.array(flags);
            if argument.optional {
                out.status("optional");
            }
            if argument.multiple {
                out.status("multiple");
            }
        }
        if !argument.parts.is_empty() {
            out.bulk(b"arguments");
            write(out, &argument.parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_alternatives_become_a_tree() {
        let arguments = parse("key value [NX | XX] [EX seconds | KEEPTTL]");
        assert_eq!(arguments.len(), 4);
        assert_eq!(arguments[0].kind, "key");
        assert_eq!(arguments[2].kind, "oneof");
        assert!(arguments[2].optional);
        assert_eq!(arguments[3].parts[0].token.as_deref(), Some("EX"));
        assert_eq!(arguments[3].parts[1].kind, "pure-token");
    }

    #[test]
    fn a_choice_of_words_stands_among_arguments() {
        let arguments = parse("key BEFORE|AFTER pivot element");
        let names: Vec<_> = arguments
            .iter()
            .map(|a| (a.name.as_str(), a.kind))
            .collect();
        assert_eq!(
            names,
            [
                ("key", "key"),
                ("before", "oneof"),
                ("pivot", "string"),
                ("element", "string")
            ]
        );
    }
}
