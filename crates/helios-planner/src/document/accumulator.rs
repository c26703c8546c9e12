//! Accumulators: what `$group` computes over the documents of a group.

use super::decimal::Decimal;
use super::error::{DocResult, code, fail};
use super::expression::Expression;
use super::number::Number;
use super::order::{compare, compare_sort};
use super::path::Path;
use super::raw::*;
use super::sort::SortSpec;

/// Which accumulator.
#[derive(Clone, Debug)]
pub enum Kind {
    Sum,
    Average,
    Min,
    Max,
    First,
    Last,
    Push,
    AddToSet,
    Count,
    MergeObjects,
    StdDev {
        sample: bool,
    },
    FirstN(usize),
    LastN(usize),
    MinN(usize),
    MaxN(usize),
    /// `$top`, `$bottom` and their N forms, on `{sort key…, output}` pairs.
    Extreme {
        sort: SortSpec,
        bottom: bool,
        n: usize,
        single: bool,
    },
}

/// One accumulator of a group and what it is fed.
#[derive(Clone, Debug)]
pub struct Accumulator {
    pub kind: Kind,
    pub input: Expression,
}

/// `n` of the N forms.
pub fn count_argument(name: &str, value: Bson<'_>) -> DocResult<usize> {
    match Number::of(value).and_then(Number::to_exact_i64) {
        Some(v) if v > 0 => Ok(v as usize),
        Some(v) => fail!(5787908, "'n' must be greater than 0, found {v} in {name}"),
        None => fail!(
            5787902,
            "Value for 'n' must be of integral type, but found {}",
            super::display::render(value)
        ),
    }
}

impl Accumulator {
    /// Compiles `{$sum: "$x"}` and its like.
    pub fn compile(name: &str, argument: Bson<'_>) -> DocResult<Accumulator> {
        let simple = |kind| {
            Ok(Accumulator {
                kind,
                input: Expression::compile(argument)?,
            })
        };
        match name {
            "$sum" => simple(Kind::Sum),
            "$avg" => simple(Kind::Average),
            "$min" => simple(Kind::Min),
            "$max" => simple(Kind::Max),
            "$first" => simple(Kind::First),
            "$last" => simple(Kind::Last),
            "$push" => simple(Kind::Push),
            "$addToSet" => simple(Kind::AddToSet),
            "$mergeObjects" => simple(Kind::MergeObjects),
            "$stdDevPop" => simple(Kind::StdDev { sample: false }),
            "$stdDevSamp" => simple(Kind::StdDev { sample: true }),
            "$count" => {
                if !argument.is_document() || !argument.is_empty() {
                    fail!(
                        code::TYPE_MISMATCH,
                        "$count takes no arguments, i.e. $count:{{}}"
                    );
                }
                simple(Kind::Count)
            }
            "$firstN" | "$lastN" | "$minN" | "$maxN" => Self::many(name, argument),
            "$top" | "$bottom" | "$topN" | "$bottomN" => Self::extreme(name, argument),
            _ => fail!(15952, "unknown group operator '{name}'"),
        }
    }

    fn many(name: &str, argument: Bson<'_>) -> DocResult<Accumulator> {
        if !argument.is_document() {
            fail!(
                5787801,
                "specification must be an object; found {name}: {}",
                super::display::render(argument)
            );
        }
        if let Some((field, _)) = argument
            .fields()
            .find(|(n, _)| !matches!(*n, "n" | "input"))
        {
            fail!(5787901, "Unknown argument for 'n' operator: {field}");
        }
        let (n, input) = (argument.get("n"), argument.get("input"));
        if n.is_missing() {
            fail!(5787906, "Missing value for 'n'");
        }
        if input.is_missing() {
            fail!(5787907, "Missing value for 'input'");
        }
        let n = constant_count(name, n)?;
        let kind = match name {
            "$firstN" => Kind::FirstN(n),
            "$lastN" => Kind::LastN(n),
            "$minN" => Kind::MinN(n),
            _ => Kind::MaxN(n),
        };
        Ok(Accumulator {
            kind,
            input: Expression::compile(input)?,
        })
    }

    fn extreme(name: &str, argument: Bson<'_>) -> DocResult<Accumulator> {
        if !argument.is_document() {
            fail!(
                5788001,
                "specification must be an object; found {name}: {}",
                super::display::render(argument)
            );
        }
        let single = !name.ends_with('N');
        for (field, _) in argument.fields() {
            let known = matches!(field, "sortBy" | "output") || (field == "n" && !single);
            if !known {
                fail!(5788002, "Unknown argument to {name} '{field}'");
            }
        }
        let (sort, output, n) = (
            argument.get("sortBy"),
            argument.get("output"),
            argument.get("n"),
        );
        if sort.is_missing() {
            fail!(5788005, "Missing value for 'sortBy'");
        }
        if output.is_missing() {
            fail!(5788004, "Missing value for 'output'");
        }
        if !single && n.is_missing() {
            fail!(5788003, "Missing value for 'n'");
        }
        let n = if single { 1 } else { constant_count(name, n)? };
        let sort = SortSpec::parse(sort)?;
        let bottom = name.starts_with("$bottom");
        // The sort reads the document, so the input carries the document beside the output.
        let mut pair = Writer::new();
        pair.put_str("d", "$$ROOT").put("o", output);
        let pair = pair.finish();
        let input = Expression::compile(Bson::document(&pair))?;
        Ok(Accumulator {
            kind: Kind::Extreme {
                sort,
                bottom,
                n,
                single,
            },
            input,
        })
    }
}

fn constant_count(name: &str, value: Bson<'_>) -> DocResult<usize> {
    let expression = Expression::compile(value)?;
    match expression.as_constant() {
        Some(v) => count_argument(name, v),
        None => fail!(5787902, "'n' of {name} must be a constant"),
    }
}

/// The running value of one accumulator.
#[derive(Clone, Debug)]
pub enum State {
    Sum(Sum),
    Deviation {
        count: u64,
        mean: f64,
        squares: f64,
        bad: bool,
    },
    Value(Option<BsonBuf>),
    Values(Vec<BsonBuf>),
    Count(i64),
    Fields(Vec<(String, BsonBuf)>),
}

/// A sum that loses nothing: integers in 128 bits, doubles with a compensation term.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    integers: i128,
    long: bool,
    double: f64,
    compensation: f64,
    has_double: bool,
    decimal: Option<Decimal>,
    count: i64,
}

impl Sum {
    fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Int(v) => self.integers += i128::from(v),
            Number::Long(v) => {
                self.long = true;
                self.integers += i128::from(v);
            }
            Number::Double(v) => {
                self.has_double = true;
                let sum = self.double + v;
                if sum.is_finite() {
                    // Neumaier's form: the larger operand's lost digits are kept.
                    self.compensation += if self.double.abs() >= v.abs() {
                        (self.double - sum) + v
                    } else {
                        (v - sum) + self.double
                    };
                }
                self.double = sum;
            }
            Number::Decimal(v) => {
                self.decimal = Some(self.decimal.unwrap_or(Decimal::ZERO).plus(v));
            }
        }
    }

    fn double(&self) -> f64 {
        let double = if self.double.is_finite() {
            self.double + self.compensation
        } else {
            self.double
        };
        double + self.integers as f64
    }

    fn total(&self) -> Number {
        if let Some(decimal) = self.decimal {
            let integers = Decimal::parse(&self.integers.to_string()).unwrap_or(Decimal::ZERO);
            let mut total = decimal.plus(integers);
            if self.has_double {
                total = total.plus(Decimal::from_f64(self.double + self.compensation, 15));
            }
            return Number::Decimal(total);
        }
        if self.has_double {
            return Number::Double(self.double());
        }
        match (i32::try_from(self.integers), i64::try_from(self.integers)) {
            (Ok(v), _) if !self.long => Number::Int(v),
            (_, Ok(v)) => Number::Long(v),
            _ => Number::Double(self.integers as f64),
        }
    }

    fn average(&self) -> BsonBuf {
        if self.count == 0 {
            return BsonBuf::null();
        }
        match self.total() {
            Number::Decimal(v) => Number::Decimal(v.over(Decimal::from_i64(self.count))).to_buf(),
            _ => BsonBuf::double(self.double() / self.count as f64),
        }
    }
}

impl State {
    pub fn new(kind: &Kind) -> State {
        match kind {
            Kind::Sum | Kind::Average => State::Sum(Sum::default()),
            Kind::StdDev { .. } => State::Deviation {
                count: 0,
                mean: 0.0,
                squares: 0.0,
                bad: false,
            },
            Kind::Min | Kind::Max | Kind::First | Kind::Last => State::Value(None),
            Kind::Count => State::Count(0),
            Kind::MergeObjects => State::Fields(Vec::new()),
            _ => State::Values(Vec::new()),
        }
    }

    pub fn add(&mut self, kind: &Kind, value: Bson<'_>) -> DocResult<()> {
        match (self, kind) {
            (State::Sum(sum), _) => {
                if let Some(number) = Number::of(value) {
                    sum.add(number);
                }
            }
            (
                State::Deviation {
                    count,
                    mean,
                    squares,
                    bad,
                },
                _,
            ) => {
                if let Some(number) = Number::of(value) {
                    let v = number.to_f64();
                    *bad |= !v.is_finite();
                    *count += 1;
                    let delta = v - *mean;
                    *mean += delta / *count as f64;
                    *squares += delta * (v - *mean);
                }
            }
            (State::Count(count), _) => *count += 1,
            (State::Value(best), kind) => add_single(best, kind, value),
            (State::Fields(fields), _) => {
                if !value.is_document() && !value.is_nullish() {
                    fail!(
                        40400,
                        "$mergeObjects requires object inputs, but input {} is of type {}",
                        super::display::render(value),
                        value.type_name()
                    );
                }
                for (name, v) in value.fields() {
                    match fields.iter_mut().find(|(n, _)| n == name) {
                        Some(field) => field.1 = v.to_buf(),
                        None => fields.push((name.to_owned(), v.to_buf())),
                    }
                }
            }
            (State::Values(values), kind) => add_many(values, kind, value),
        }
        Ok(())
    }

    pub fn finish(&self, kind: &Kind) -> DocResult<BsonBuf> {
        Ok(match self {
            State::Sum(sum) if matches!(kind, Kind::Average) => sum.average(),
            State::Sum(sum) => sum.total().to_buf(),
            State::Deviation {
                count,
                squares,
                bad,
                ..
            } => {
                let sample = matches!(kind, Kind::StdDev { sample: true });
                let divisor = if sample {
                    count.saturating_sub(1)
                } else {
                    *count
                };
                if divisor == 0 {
                    BsonBuf::null()
                } else if *bad {
                    if sample {
                        BsonBuf::null()
                    } else {
                        BsonBuf::double(f64::NAN)
                    }
                } else {
                    BsonBuf::double((squares / divisor as f64).sqrt())
                }
            }
            State::Count(count) => super::number::fitting_integer(*count),
            State::Value(value) => match value {
                Some(value) if value.tag == MISSING => BsonBuf::null(),
                Some(value) => value.clone(),
                None => BsonBuf::null(),
            },
            State::Fields(fields) => {
                let mut out = Writer::new();
                for (name, value) in fields {
                    out.put(name, value.as_bson());
                }
                BsonBuf::document(out.finish())
            }
            State::Values(values) => finish_many(values, kind),
        })
    }

    /// Bytes that the state holds, for memory limits.
    pub fn size(&self) -> usize {
        match self {
            State::Values(values) => values.iter().map(|v| v.bytes.len() + 32).sum(),
            State::Value(Some(value)) => value.bytes.len() + 32,
            State::Fields(fields) => fields
                .iter()
                .map(|(n, v)| n.len() + v.bytes.len() + 64)
                .sum(),
            _ => 64,
        }
    }
}

fn add_single(best: &mut Option<BsonBuf>, kind: &Kind, value: Bson<'_>) {
    let replace = match (kind, best.as_ref()) {
        (Kind::First, known) => known.is_none(),
        (Kind::Last, _) => true,
        (_, _) if value.is_nullish() => false,
        (_, None) => true,
        (Kind::Min, Some(known)) => compare(value, known.as_bson()).is_lt(),
        (_, Some(known)) => compare(value, known.as_bson()).is_gt(),
    };
    if replace {
        *best = Some(value.to_buf());
    }
}

fn add_many(values: &mut Vec<BsonBuf>, kind: &Kind, value: Bson<'_>) {
    match kind {
        Kind::Push if value.is_missing() => {}
        Kind::Push => values.push(value.to_buf()),
        Kind::AddToSet => {
            if !value.is_missing()
                && let Err(at) = values.binary_search_by(|v| compare(v.as_bson(), value))
            {
                values.insert(at, value.to_buf());
            }
        }
        Kind::FirstN(n) if values.len() >= *n => {}
        Kind::FirstN(_) => values.push(or_null(value)),
        Kind::LastN(n) => {
            if values.len() >= *n {
                values.remove(0);
            }
            values.push(or_null(value));
        }
        Kind::MinN(n) | Kind::MaxN(n) => {
            if value.is_nullish() {
                return;
            }
            let descending = matches!(kind, Kind::MaxN(_));
            let at = values.partition_point(|v| {
                let order = compare(v.as_bson(), value);
                if descending {
                    order.is_ge()
                } else {
                    order.is_le()
                }
            });
            if at < *n {
                values.insert(at, value.to_buf());
                values.truncate(*n);
            }
        }
        Kind::Extreme {
            sort, bottom, n, ..
        } => {
            let key = |v: Bson<'_>, other: Bson<'_>| sort.compare(v.get("d"), other.get("d"));
            let at = values.partition_point(|v| key(v.as_bson(), value).is_le());
            values.insert(at, value.to_buf());
            if values.len() > *n {
                if *bottom {
                    values.remove(0);
                } else {
                    values.truncate(*n);
                }
            }
        }
        _ => {}
    }
}

fn or_null(value: Bson<'_>) -> BsonBuf {
    if value.is_missing() {
        BsonBuf::null()
    } else {
        value.to_buf()
    }
}

fn finish_many(values: &[BsonBuf], kind: &Kind) -> BsonBuf {
    match kind {
        Kind::Extreme { single: true, .. } => values
            .first()
            .map_or(BsonBuf::null(), |v| or_null(v.as_bson().get("o"))),
        Kind::Extreme { .. } => array_of(values.iter().map(|v| v.as_bson().get("o"))),
        _ => array_of(values.iter().map(BsonBuf::as_bson)),
    }
}

/// `$group`: the id and the accumulated fields.
#[derive(Clone, Debug)]
pub struct Group {
    pub id: Expression,
    pub fields: Vec<(String, Accumulator)>,
}

impl Group {
    pub fn compile(spec: Bson<'_>) -> DocResult<Group> {
        if !spec.is_document() {
            fail!(15947, "a group's fields must be specified in an object");
        }
        let mut id = None;
        let mut fields = Vec::new();
        for (name, value) in spec.fields() {
            if name == "_id" {
                id = Some(Expression::compile(value)?);
                continue;
            }
            if name.contains('.') {
                fail!(40235, "The field name '{name}' cannot contain '.'");
            }
            if name.starts_with('$') {
                fail!(40236, "The field name '{name}' cannot be an operator name");
            }
            if !value.is_document() {
                fail!(40234, "The field '{name}' must be an accumulator object");
            }
            let mut operators = value.fields();
            match (operators.next(), operators.next()) {
                (Some((operator, argument)), None) => {
                    fields.push((name.to_owned(), Accumulator::compile(operator, argument)?));
                }
                _ => fail!(40238, "The field '{name}' must specify one accumulator"),
            }
        }
        match id {
            Some(id) => Ok(Group { id, fields }),
            None => fail!(15955, "a group specification must include an _id"),
        }
    }

    /// The field that is the whole id, when it is one.
    pub fn id_field(&self) -> Option<&Path> {
        self.id.as_field()
    }

    pub fn start(&self) -> Vec<State> {
        self.fields
            .iter()
            .map(|(_, a)| State::new(&a.kind))
            .collect()
    }

    pub fn add(&self, states: &mut [State], document: Bson<'_>) -> DocResult<()> {
        for ((_, accumulator), state) in self.fields.iter().zip(states) {
            let value = accumulator.input.evaluate(document)?;
            state.add(&accumulator.kind, value.as_bson())?;
        }
        Ok(())
    }

    pub fn finish(&self, id: Bson<'_>, states: &[State]) -> DocResult<Vec<u8>> {
        let mut out = Writer::new();
        out.put("_id", if id.is_missing() { Bson::NULL } else { id });
        for ((name, accumulator), state) in self.fields.iter().zip(states) {
            out.put(name, state.finish(&accumulator.kind)?.as_bson());
        }
        Ok(out.finish())
    }

    /// The key by which documents are grouped.
    pub fn key(&self, id: Bson<'_>) -> Vec<u8> {
        let mut key = Vec::with_capacity(16);
        super::key::encode_sort(&mut key, id);
        key
    }
}

/// Whether two values sort alike; for callers that merge groups in order.
pub fn same_key(a: Bson<'_>, b: Bson<'_>) -> bool {
    compare_sort(a, b).is_eq()
}
