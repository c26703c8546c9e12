//! Projections: of `find`, of `$project`, `$addFields` and `$unset`.
//!
//! All are one tree of field names. In an inclusion only what the tree names is kept, in an
//! exclusion what it names is dropped, in an addition everything is kept; computed fields replace
//! what is there or are appended. Nested names apply to each document of an array.

use super::error::{DocResult, code, fail};
use super::expression::{Expression, Val};
use super::matcher::Matcher;
use super::number::Number;
use super::raw::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Inclusion,
    Exclusion,
    Addition,
}

#[derive(Clone, Debug)]
enum Entry {
    Keep,
    Drop,
    Compute(Expression),
    Slice {
        skip: Option<i64>,
        limit: i64,
    },
    ElementMatch(Matcher),
    /// The element that the filter matched.
    Positional,
    Nested(Tree),
}

#[derive(Clone, Debug, Default)]
struct Tree {
    entries: Vec<(Box<str>, Entry)>,
}

/// A compiled projection.
#[derive(Clone, Debug)]
pub struct Projection {
    mode: Mode,
    tree: Tree,
}

/// Who asks, which decides what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Find,
    Stage,
}

impl Projection {
    pub fn compile(spec: Bson<'_>, dialect: Dialect) -> DocResult<Projection> {
        let mut parser = Parser {
            dialect,
            mode: None,
            tree: Tree::default(),
            id: None,
            weak: None,
        };
        if spec.is_empty() && dialect == Dialect::Stage {
            fail!(
                51272,
                "Invalid $project :: caused by :: projection specification must have at least one field"
            );
        }
        for (name, value) in spec.fields() {
            parser.field(name, value)?;
        }
        parser.finish()
    }

    /// `$addFields` and `$set`.
    pub fn add_fields(spec: Bson<'_>) -> DocResult<Projection> {
        if !spec.is_document() {
            fail!(
                40272,
                "$addFields specification stage must be an object, got {}",
                spec.type_name()
            );
        }
        if spec.is_empty() {
            fail!(
                40177,
                "Invalid $addFields :: caused by :: specification must have at least one field"
            );
        }
        let mut tree = Tree::default();
        for (name, value) in spec.fields() {
            check_path(name)?;
            addition(&mut tree, name, value)?;
        }
        Ok(Projection {
            mode: Mode::Addition,
            tree,
        })
    }

    /// `$unset`: a name or an array of names.
    pub fn unset(spec: Bson<'_>) -> DocResult<Projection> {
        let names: Vec<Bson<'_>> = if spec.is_array() {
            spec.elements().collect()
        } else {
            vec![spec]
        };
        if names.is_empty() {
            fail!(
                31119,
                "$unset specification must be a string or an array with at least one field"
            );
        }
        let mut tree = Tree::default();
        for name in names {
            let Some(name) = name.as_str().filter(|_| name.tag == STRING) else {
                fail!(
                    31120,
                    "$unset specification must be a string or an array containing only string values"
                );
            };
            check_path(name)?;
            tree.insert(name, Entry::Drop)?;
        }
        Ok(Projection {
            mode: Mode::Exclusion,
            tree,
        })
    }

    /// Whether the projection needs the position that the filter matched.
    pub fn is_positional(&self) -> bool {
        self.tree.has_positional()
    }

    pub fn apply(&self, document: Bson<'_>) -> DocResult<Vec<u8>> {
        self.apply_at(document, None)
    }

    /// `index` is the array position that the filter matched.
    pub fn apply_at(&self, document: Bson<'_>, index: Option<usize>) -> DocResult<Vec<u8>> {
        let run = Run {
            mode: self.mode,
            root: document,
            index,
        };
        let mut out = Writer::with_capacity(document.bytes.len());
        run.tree(&self.tree, document, &mut out)?;
        Ok(out.finish())
    }

    /// The only names that the result can have at top level, when they are all plain
    /// inclusions: lets a table be read column by column.
    pub fn included_names(&self) -> Option<Vec<&str>> {
        let plain = |e: &Entry| matches!(e, Entry::Keep | Entry::Nested(_));
        (self.mode == Mode::Inclusion && self.tree.entries.iter().all(|(_, e)| plain(e)))
            .then(|| self.tree.entries.iter().map(|(n, _)| &**n).collect())
    }
}

fn check_path(name: &str) -> DocResult<()> {
    if name.is_empty() {
        fail!(40352, "FieldPath cannot be constructed with empty string");
    }
    for part in name.split('.') {
        if part.is_empty() {
            if name.ends_with('.') {
                fail!(40353, "FieldPath must not end with a '.'.");
            }
            fail!(15998, "FieldPath field names may not be empty strings.");
        }
        if part.starts_with('$') {
            fail!(
                16410,
                "FieldPath field names may not start with '$'. Consider using $getField or $setField."
            );
        }
    }
    Ok(())
}

fn addition(tree: &mut Tree, name: &str, value: Bson<'_>) -> DocResult<()> {
    // A document without operators names nested fields; an empty one is a value.
    if value.is_document()
        && value
            .fields()
            .next()
            .is_some_and(|(n, _)| !n.starts_with('$'))
    {
        for (inner, v) in value.fields() {
            if inner.starts_with('$') {
                fail!(40181, "cannot use an operator beside fields in {name}");
            }
            if inner.contains('.') {
                fail!(
                    40183,
                    "FieldPath field names may not contain '.' in a nested object."
                );
            }
            addition(tree, &format!("{name}.{inner}"), v)?;
        }
        return Ok(());
    }
    tree.insert(name, Entry::Compute(Expression::compile(value)?))
}

impl Tree {
    fn insert(&mut self, path: &str, entry: Entry) -> DocResult<()> {
        self.insert_at(path, path, entry)
    }

    fn insert_at(&mut self, whole: &str, path: &str, entry: Entry) -> DocResult<()> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let known = self.entries.iter_mut().find(|(n, _)| **n == *first);
        match (known, rest) {
            (None, None) => self.entries.push((first.into(), entry)),
            (None, Some(rest)) => {
                let mut nested = Tree::default();
                nested.insert_at(whole, rest, entry)?;
                self.entries.push((first.into(), Entry::Nested(nested)));
            }
            (Some((_, Entry::Nested(nested))), Some(rest)) => {
                nested.insert_at(whole, rest, entry)?
            }
            (Some(_), Some(rest)) => {
                fail!(31249, "Path collision at {whole} remaining portion {rest}")
            }
            (Some((_, Entry::Nested(_))), None) => fail!(31250, "Path collision at {whole}"),
            (Some(_), None) => fail!(31250, "Path collision at {whole}"),
        }
        Ok(())
    }

    fn has_positional(&self) -> bool {
        self.entries.iter().any(|(_, e)| match e {
            Entry::Positional => true,
            Entry::Nested(tree) => tree.has_positional(),
            _ => false,
        })
    }

    fn has_computed(&self) -> bool {
        self.entries.iter().any(|(_, e)| match e {
            Entry::Compute(_) => true,
            Entry::Nested(tree) => tree.has_computed(),
            _ => false,
        })
    }
}

struct Parser {
    dialect: Dialect,
    /// Decided by the first field that is not `_id`.
    mode: Option<Mode>,
    tree: Tree,
    id: Option<Entry>,
    /// What `$slice` alone means.
    weak: Option<Mode>,
}

impl Parser {
    fn field(&mut self, name: &str, value: Bson<'_>) -> DocResult<()> {
        if let Some(path) = name
            .strip_suffix(".$")
            .filter(|_| self.dialect == Dialect::Find)
        {
            check_path(path)?;
            self.want(Mode::Inclusion, name)?;
            if self.tree.has_positional() {
                fail!(
                    31276,
                    "Cannot specify more than one positional projection per query."
                );
            }
            return self.tree.insert(path, Entry::Positional);
        }
        check_path(name)?;
        if value.is_document() {
            return self.document(name, value);
        }
        let flag = value.is_number() || value.tag == BOOL;
        if !flag {
            self.want_computed(name)?;
            return self.put(name, Entry::Compute(Expression::compile(value)?));
        }
        let keep = value.truthy();
        if name == "_id" {
            self.id = Some(if keep { Entry::Keep } else { Entry::Drop });
            return Ok(());
        }
        self.want(
            if keep {
                Mode::Inclusion
            } else {
                Mode::Exclusion
            },
            name,
        )?;
        self.put(name, if keep { Entry::Keep } else { Entry::Drop })
    }

    fn put(&mut self, name: &str, entry: Entry) -> DocResult<()> {
        if name == "_id" {
            self.id = Some(entry);
            return Ok(());
        }
        self.tree.insert(name, entry)
    }

    fn document(&mut self, name: &str, value: Bson<'_>) -> DocResult<()> {
        let Some((first, argument)) = value.fields().next() else {
            fail!(
                51270,
                "An empty sub-projection is not a valid value. Found empty object at path"
            );
        };
        if self.dialect == Dialect::Find && value.len() == 1 {
            match first {
                "$slice"
                    if !argument.is_array()
                        || argument.elements().next().is_some_and(Bson::is_number) =>
                {
                    let entry = slice(argument)?;
                    self.weak.get_or_insert(Mode::Exclusion);
                    return self.tree.insert(name, entry);
                }
                "$elemMatch" => {
                    if !argument.is_document() {
                        fail!(
                            31274,
                            "elemMatch: Invalid argument, object required, but got {}",
                            argument.type_name()
                        );
                    }
                    if name.contains('.') {
                        fail!(31275, "Cannot use $elemMatch projection on a nested field.");
                    }
                    self.want(Mode::Inclusion, name)?;
                    return self
                        .tree
                        .insert(name, Entry::ElementMatch(element_matcher(argument)?));
                }
                "$meta" => fail!(code::COMMAND_NOT_SUPPORTED, "$meta is not supported"),
                _ => {}
            }
        }
        if first.starts_with('$') {
            self.want_computed(name)?;
            return self.put(name, Entry::Compute(Expression::compile(value)?));
        }
        for (inner, v) in value.fields() {
            if inner.starts_with('$') {
                fail!(
                    16410,
                    "FieldPath field names may not start with '$'. Consider using $getField or $setField."
                );
            }
            self.field(&format!("{name}.{inner}"), v)?;
        }
        Ok(())
    }

    fn want(&mut self, mode: Mode, name: &str) -> DocResult<()> {
        match self.mode {
            None => self.mode = Some(mode),
            Some(known) if known == mode => {}
            Some(Mode::Exclusion) => fail!(
                31253,
                "Cannot do inclusion on field {name} in exclusion projection"
            ),
            Some(_) => fail!(
                31254,
                "Cannot do exclusion on field {name} in inclusion projection"
            ),
        }
        Ok(())
    }

    fn want_computed(&mut self, name: &str) -> DocResult<()> {
        match self.mode {
            Some(Mode::Exclusion) => fail!(
                31252,
                "Cannot use expression other than $meta in exclusion projection: {name}"
            ),
            Some(_) => {}
            None if name == "_id" => {}
            None => self.mode = Some(Mode::Inclusion),
        }
        Ok(())
    }

    fn finish(mut self) -> DocResult<Projection> {
        let mode = self.mode.or(self.weak).unwrap_or(match &self.id {
            Some(Entry::Drop) | None => Mode::Exclusion,
            Some(_) => Mode::Inclusion,
        });
        match (self.id.take(), mode) {
            (None, Mode::Inclusion) if !self.tree.entries.iter().any(|(n, _)| &**n == "_id") => {
                self.tree.entries.insert(0, ("_id".into(), Entry::Keep));
            }
            (None, _) | (Some(Entry::Drop), Mode::Inclusion) => {}
            (Some(Entry::Keep), Mode::Exclusion) => {}
            (Some(entry), _) => {
                if self.tree.entries.iter().any(|(n, _)| &**n == "_id") {
                    fail!(31250, "Path collision at _id");
                }
                self.tree.entries.insert(0, ("_id".into(), entry));
            }
        }
        Ok(Projection {
            mode,
            tree: self.tree,
        })
    }
}

/// `$elemMatch` of a projection takes conditions on the element like that of a filter.
fn element_matcher(argument: Bson<'_>) -> DocResult<Matcher> {
    let mut inner = Writer::new();
    inner.put("$elemMatch", argument);
    let inner = inner.finish();
    let mut filter = Writer::new();
    filter.put("a", Bson::document(&inner));
    Matcher::compile(Bson::document(&filter.finish()))
}

fn slice(argument: Bson<'_>) -> DocResult<Entry> {
    let whole = |v: Bson<'_>| match Number::of(v).and_then(Number::to_truncated_i64) {
        Some(v) => Ok(v.clamp(i64::from(i32::MIN), i64::from(i32::MAX))),
        None => fail!(
            28667,
            "Invalid $slice syntax. The given syntax did not match the find() syntax because :: $slice only supports numbers and [skip, limit] arrays"
        ),
    };
    if !argument.is_array() {
        return Ok(Entry::Slice {
            skip: None,
            limit: whole(argument)?,
        });
    }
    if argument.len() != 2 {
        fail!(
            28667,
            "Invalid $slice syntax. The given syntax did not match the find() syntax because :: $slice array argument should be of form [skip, limit]"
        );
    }
    let limit = whole(argument.element(1))?;
    if limit <= 0 {
        fail!(
            28724,
            "First argument to $slice must be an array, but is of type: int"
        );
    }
    Ok(Entry::Slice {
        skip: Some(whole(argument.element(0))?),
        limit,
    })
}

struct Run<'a> {
    mode: Mode,
    root: Bson<'a>,
    index: Option<usize>,
}

impl<'a> Run<'a> {
    fn tree(&self, tree: &Tree, input: Bson<'_>, out: &mut Writer) -> DocResult<()> {
        let mut seen = 0u64;
        for (name, value) in input.fields() {
            let found = tree.entries.iter().position(|(n, _)| **n == *name);
            let Some(at) = found else {
                if self.mode != Mode::Inclusion {
                    out.put(name, value);
                }
                continue;
            };
            let entry = &tree.entries[at].1;
            // Of an inclusion the computed fields follow the kept ones.
            let later = matches!(entry, Entry::Compute(_)) && self.mode == Mode::Inclusion;
            if !later {
                if at < 64 {
                    seen |= 1 << at;
                }
                self.entry(entry, name, value, out)?;
            }
        }
        for (at, (name, entry)) in tree.entries.iter().enumerate() {
            if at < 64 && seen >> at & 1 == 1
                || at >= 64 && !input.get(name).is_missing() && !matches!(entry, Entry::Compute(_))
            {
                continue;
            }
            match entry {
                Entry::Compute(_) => self.entry(entry, name, Bson::MISSING, out)?,
                Entry::Nested(nested) if nested.has_computed() => {
                    self.entry(entry, name, Bson::MISSING, out)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&self, entry: &Entry, name: &str, value: Bson<'_>, out: &mut Writer) -> DocResult<()> {
        match entry {
            Entry::Keep => {
                out.put(name, value);
            }
            Entry::Drop => {}
            Entry::Compute(expression) => {
                let computed: Val<'a> = expression.evaluate(self.root)?;
                out.put(name, computed.as_bson());
            }
            Entry::Slice { skip, limit } if value.is_array() => {
                let (skip, limit) = slice_bounds(value.len() as i64, *skip, *limit);
                out.put(
                    name,
                    array_of(value.elements().skip(skip).take(limit)).as_bson(),
                );
            }
            Entry::Slice { .. } => {
                out.put(name, value);
            }
            Entry::ElementMatch(matcher) => {
                let mut holder = Writer::new();
                holder.put("a", value);
                let holder = holder.finish();
                let (matched, index) = matcher.matches_at(Bson::document(&holder))?;
                if let (true, Some(index)) = (matched, index) {
                    out.put(name, array_of([value.element(index)]).as_bson());
                }
            }
            Entry::Positional => self.positional(name, value, out)?,
            Entry::Nested(tree) => {
                out.put(name, self.nested(tree, value)?.as_bson());
            }
        }
        Ok(())
    }

    fn positional(&self, name: &str, value: Bson<'_>, out: &mut Writer) -> DocResult<()> {
        if !value.is_array() {
            out.put(name, value);
            return Ok(());
        }
        match self.index.map(|i| value.element(i)) {
            Some(element) if !element.is_missing() => {
                out.put(name, array_of([element]).as_bson());
                Ok(())
            }
            _ => fail!(
                51246,
                "Executor error during find command :: caused by :: positional operator '.$' couldn't find a matching element in the array"
            ),
        }
    }

    fn nested(&self, tree: &Tree, value: Bson<'_>) -> DocResult<BsonBuf> {
        let fresh = |run: &Self| -> DocResult<BsonBuf> {
            let mut out = Writer::new();
            run.tree(tree, Bson::document(EMPTY), &mut out)?;
            Ok(BsonBuf::document(out.finish()))
        };
        match value.tag {
            DOCUMENT => {
                let mut out = Writer::with_capacity(value.bytes.len());
                self.tree(tree, value, &mut out)?;
                Ok(BsonBuf::document(out.finish()))
            }
            ARRAY => {
                let mut out = ArrayWriter::new();
                for element in value.elements() {
                    let element = self.nested(tree, element)?;
                    if element.tag != MISSING {
                        out.push(element.as_bson());
                    }
                }
                Ok(out.finish_buf())
            }
            _ if self.mode == Mode::Exclusion => Ok(value.to_buf()),
            _ if tree.has_computed() => fresh(self),
            _ if self.mode == Mode::Addition => Ok(value.to_buf()),
            _ => Ok(BsonBuf::missing()),
        }
    }
}

/// Where a slice of an array of `len` elements starts and how long it is.
pub(super) fn slice_bounds(len: i64, skip: Option<i64>, limit: i64) -> (usize, usize) {
    match skip {
        None if limit >= 0 => (0, limit as usize),
        None => ((len + limit).max(0) as usize, len as usize),
        Some(skip) if skip < 0 => ((len + skip).max(0) as usize, limit as usize),
        Some(skip) => (skip as usize, limit as usize),
    }
}
