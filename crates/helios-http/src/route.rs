//! Which endpoint a method and path name, and which dialects document it.

use crate::accept::Media;
use crate::dialect::Dialect;
use hyper::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Query,
    QueryStream,
    QueryCancel,
    QueryExplain,
    TableList,
    TableDetail,
    TableCreate,
    TableAlter,
    TableDrop,
    RowList,
    RowInsert,
    RowUpdate,
    RowDelete,
    RowById,
    RowPatch,
    RowDeleteById,
    TransactionBegin,
    TransactionQuery,
    TransactionCommit,
    TransactionRollback,
    Health,
    HealthShort,
    Ready,
    Live,
    Info,
    Metrics,
    BranchQuery,
}

/// The variable segments of a path, still percent-encoded.
pub type Captures<'a> = smallvec::SmallVec<[&'a str; 2]>;

#[allow(clippy::enum_variant_names)]
pub enum Found<'a> {
    Endpoint(Endpoint, Captures<'a>),
    /// The path exists with other methods.
    MethodNotAllowed(Vec<Method>),
    NotFound,
}

type Methods = &'static [(Method, Endpoint)];

pub fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let mut captures = Captures::new();
    let Some(methods) = methods(path, &mut captures) else {
        return Found::NotFound;
    };
    // HEAD is GET without the body.
    let wanted = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    match methods.iter().find(|(m, _)| m == wanted) {
        Some((_, endpoint)) => Found::Endpoint(*endpoint, captures),
        None => Found::MethodNotAllowed(methods.iter().map(|(m, _)| m.clone()).collect()),
    }
}

fn methods<'a>(path: &'a str, captures: &mut Captures<'a>) -> Option<Methods> {
    let mut segments: smallvec::SmallVec<[&'a str; 8]> = smallvec::SmallVec::new();
    for segment in path.strip_prefix('/')?.split('/') {
        if segments.len() == 8 {
            return None;
        }
        segments.push(segment);
    }
    match segments.as_slice() {
        ["api", "v1", rest @ ..] => api_v1(rest, captures),
        ["v1", "branches", branch, "query"] => {
            captures.push(branch);
            Some(&[(Method::POST, Endpoint::BranchQuery)])
        }
        ["health"] => Some(&[(Method::GET, Endpoint::HealthShort)]),
        ["ready"] => Some(READY),
        ["live"] => Some(LIVE),
        ["metrics"] => Some(METRICS),
        _ => None,
    }
}

const READY: Methods = &[(Method::GET, Endpoint::Ready)];
const LIVE: Methods = &[(Method::GET, Endpoint::Live)];
const METRICS: Methods = &[(Method::GET, Endpoint::Metrics)];

fn api_v1<'a>(segments: &[&'a str], captures: &mut Captures<'a>) -> Option<Methods> {
    Some(match segments {
        ["query"] => &[(Method::POST, Endpoint::Query)],
        ["query", "stream"] => &[(Method::POST, Endpoint::QueryStream)],
        ["query", "explain"] => &[(Method::POST, Endpoint::QueryExplain)],
        ["query", id] => {
            captures.push(id);
            &[(Method::DELETE, Endpoint::QueryCancel)]
        }
        ["tables"] => &[
            (Method::GET, Endpoint::TableList),
            (Method::POST, Endpoint::TableCreate),
        ],
        ["tables", table] => {
            captures.push(table);
            &[
                (Method::GET, Endpoint::TableDetail),
                (Method::PATCH, Endpoint::TableAlter),
                (Method::DELETE, Endpoint::TableDrop),
            ]
        }
        ["tables", table, "rows"] => {
            captures.push(table);
            &[
                (Method::GET, Endpoint::RowList),
                (Method::POST, Endpoint::RowInsert),
                (Method::PUT, Endpoint::RowUpdate),
                (Method::DELETE, Endpoint::RowDelete),
            ]
        }
        ["tables", table, "rows", id] => {
            captures.extend([*table, *id]);
            &[
                (Method::GET, Endpoint::RowById),
                (Method::PATCH, Endpoint::RowPatch),
                (Method::DELETE, Endpoint::RowDeleteById),
            ]
        }
        ["transactions"] => &[(Method::POST, Endpoint::TransactionBegin)],
        ["transactions", id, "query"] => {
            captures.push(id);
            &[(Method::POST, Endpoint::TransactionQuery)]
        }
        ["transactions", id, "commit"] => {
            captures.push(id);
            &[(Method::POST, Endpoint::TransactionCommit)]
        }
        ["transactions", id, "rollback"] => {
            captures.push(id);
            &[(Method::POST, Endpoint::TransactionRollback)]
        }
        ["health"] => &[(Method::GET, Endpoint::Health)],
        ["ready"] => READY,
        ["live"] => LIVE,
        ["info"] => &[(Method::GET, Endpoint::Info)],
        ["metrics"] => METRICS,
        _ => return None,
    })
}

impl Endpoint {
    /// The dialects that document it.
    pub fn owners(self) -> &'static [Dialect] {
        match self {
            Endpoint::Query => &[Dialect::V7, Dialect::Nano],
            Endpoint::BranchQuery | Endpoint::HealthShort => &[Dialect::Branch],
            _ => &[Dialect::V7],
        }
    }

    /// The forms of its successful reply, the one for clients that do not choose first.
    pub fn media(self) -> &'static [Media] {
        match self {
            Endpoint::Query => &[Media::Json, Media::Lines],
            Endpoint::QueryStream => &[Media::Lines],
            Endpoint::Metrics => &[Media::Metrics],
            _ => &[Media::Json],
        }
    }

    /// The dialect that a field of the body points to.
    pub fn discriminate(self, has_field: &dyn Fn(&str) -> bool) -> Option<Dialect> {
        match self {
            Endpoint::Query if has_field("include_metadata") || has_field("max_rows") => {
                Some(Dialect::V7)
            }
            _ => None,
        }
    }

    /// Open to everybody, with credentials or without.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Endpoint::Health | Endpoint::HealthShort | Endpoint::Ready | Endpoint::Live
        )
    }

    /// Whether a body is read and must be JSON.
    pub fn takes_json(self) -> bool {
        match self {
            Endpoint::Query
            | Endpoint::BranchQuery
            | Endpoint::QueryStream
            | Endpoint::QueryExplain
            | Endpoint::TableCreate
            | Endpoint::TableAlter
            | Endpoint::RowInsert
            | Endpoint::RowUpdate
            | Endpoint::RowDelete
            | Endpoint::RowPatch
            | Endpoint::TransactionBegin
            | Endpoint::TransactionQuery => true,
            Endpoint::QueryCancel
            | Endpoint::TableList
            | Endpoint::TableDetail
            | Endpoint::TableDrop
            | Endpoint::RowList
            | Endpoint::RowById
            | Endpoint::RowDeleteById
            | Endpoint::TransactionCommit
            | Endpoint::TransactionRollback
            | Endpoint::Health
            | Endpoint::HealthShort
            | Endpoint::Ready
            | Endpoint::Live
            | Endpoint::Info
            | Endpoint::Metrics => false,
        }
    }
}

/// A path segment or query value with its percent escapes resolved; `None` when they are not
/// UTF-8.
pub fn percent_decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                (high << 4 | low) as u8
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_path_with_another_method_names_the_methods_it_has() {
        let Found::MethodNotAllowed(methods) = find(&Method::PUT, "/api/v1/tables") else {
            panic!()
        };
        assert_eq!(methods, [Method::GET, Method::POST]);
        assert!(matches!(
            find(&Method::GET, "/api/v1/galaxies"),
            Found::NotFound
        ));
        assert!(matches!(
            find(&Method::GET, "/a/b/c/d/e/f/g/h/i/j"),
            Found::NotFound
        ));
    }

    #[test]
    fn a_segment_stays_encoded_until_it_is_used() {
        let Found::Endpoint(Endpoint::RowById, captures) =
            find(&Method::GET, "/api/v1/tables/a%2Fb/rows/1")
        else {
            panic!()
        };
        assert_eq!(percent_decode(captures[0], false).unwrap(), "a/b");
        assert_eq!(percent_decode("a+b%20c", true).unwrap(), "a b c");
        assert_eq!(percent_decode("%ff", false), None);
        assert_eq!(percent_decode("%4", false), None);
    }
}
