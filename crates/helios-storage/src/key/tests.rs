use super::*;
use helios_types::{Jsonb, Numeric, Oid};
use proptest::prelude::*;
use std::cmp::Ordering;

fn encode(value: &Value, column: KeyColumn) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(&mut out, value.as_ref(), column).unwrap();
    out
}

const COLUMNS: [KeyColumn; 4] = [
    KeyColumn {
        descending: false,
        nulls_first: false,
    },
    KeyColumn {
        descending: false,
        nulls_first: true,
    },
    KeyColumn {
        descending: true,
        nulls_first: false,
    },
    KeyColumn {
        descending: true,
        nulls_first: true,
    },
];

fn float_order(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(&b).unwrap(),
    }
}

/// PostgreSQL's comparison, written without regard to the encoding. `None` for values of
/// different types.
fn compare(a: &Value, b: &Value) -> Ordering {
    use Value::*;
    match (a, b) {
        (Null, Null) => Ordering::Equal,
        (Null, _) => Ordering::Greater,
        (_, Null) => Ordering::Less,
        (Bool(a), Bool(b)) => a.cmp(b),
        (Char(a), Char(b)) => a.cmp(b),
        (Int2(a), Int2(b)) => a.cmp(b),
        (Int4(a), Int4(b)) | (Date(a), Date(b)) => a.cmp(b),
        (Int8(a), Int8(b))
        | (Time(a), Time(b))
        | (Timestamp(a), Timestamp(b))
        | (TimestampTz(a), TimestampTz(b)) => a.cmp(b),
        (Oid(a), Oid(b)) => a.cmp(b),
        (Float4(a), Float4(b)) => float_order(f64::from(*a), f64::from(*b)),
        (Float8(a), Float8(b)) => float_order(*a, *b),
        (Numeric(a), Numeric(b)) => a.cmp(b),
        (Text(a), Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Bytea(a), Bytea(b)) => a.cmp(b),
        (Interval(a), Interval(b)) => {
            let length = |v: &helios_types::Interval| {
                i128::from(v.micros)
                    + 86_400_000_000 * (i128::from(v.days) + 30 * i128::from(v.months))
            };
            length(a).cmp(&length(b))
        }
        (Uuid(a), Uuid(b)) => a.cmp(b),
        (Jsonb(a), Jsonb(b)) => a.cmp(b),
        (Array(a), Array(b)) => {
            let elements = a.values.iter().zip(&b.values).map(|(a, b)| compare(a, b));
            let dims = |a: &helios_types::Array| {
                let lens: Vec<_> = a.dimensions.iter().map(|d| d.len).collect();
                let lowers: Vec<_> = a.dimensions.iter().map(|d| d.lower).collect();
                (a.values.len(), a.dimensions.len(), lens, lowers)
            };
            elements
                .fold(Ordering::Equal, Ordering::then)
                .then_with(|| dims(a).cmp(&dims(b)))
        }
        (Record(a), Record(b)) => a
            .iter()
            .zip(b.iter())
            .map(|(a, b)| compare(&a.1, &b.1))
            .fold(Ordering::Equal, Ordering::then)
            .then(a.len().cmp(&b.len())),
        _ => panic!("values of different types"),
    }
}

fn numeric() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => (any::<i64>(), 0u32..19, 0u16..30).prop_map(|(m, shrink, scale)| {
            Numeric::from_mantissa(i128::from(m) / 10i128.pow(shrink), scale)
        }),
        4 => (-1000i128..1000, 0u16..6).prop_map(|(m, s)| Numeric::from_mantissa(m, s)),
        4 => (any::<i128>(), 0u16..40).prop_map(|(m, s)| Numeric::from_mantissa(m, s)),
        1 => Just(Numeric::NAN),
        1 => Just(Numeric::INFINITY),
        1 => Just(Numeric::NEG_INFINITY),
    ]
    .prop_map(Value::Numeric)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![Just(0u8), Just(1), Just(0xff), Just(0xfe), any::<u8>()],
        0..8,
    )
}

fn text() -> impl Strategy<Value = String> {
    "[\u{0}\u{1}a-cé😀]{0,6}"
}

fn float8() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(-f64::NAN),
        -5.0..5.0f64
    ]
}

fn interval() -> impl Strategy<Value = Value> {
    let small = (-3..3i32, -90..90i32, -3..3i64).prop_map(|(months, days, d)| Interval {
        months,
        days,
        micros: d * 43_200_000_000,
    });
    let any =
        (any::<i32>(), any::<i32>(), any::<i64>()).prop_map(|(months, days, micros)| Interval {
            months,
            days,
            micros,
        });
    prop_oneof![small, any].prop_map(|v| Value::Interval(Arc::new(v)))
}

fn array() -> impl Strategy<Value = Value> {
    let element = prop_oneof![1 => Just(Value::Null), 4 => (-2..2i32).prop_map(Value::Int4)];
    (prop::collection::vec(element, 0..5), 0..3i32, any::<bool>()).prop_map(
        |(values, lower, split)| {
            let mut array = Array::from_values(Type::INT4.oid, values);
            if let Some(dimension) = array.dimensions.first_mut() {
                dimension.lower = lower;
            }
            if split && array.values.len() == 4 {
                array.dimensions =
                    vec![Dimension { len: 2, lower: 1 }, Dimension { len: 2, lower }];
            }
            Value::Array(Arc::new(array))
        },
    )
}

fn record() -> impl Strategy<Value = Value> {
    let fields = (
        prop::option::of(-2..2i32),
        prop::option::of("[ab]{0,2}"),
        0..3usize,
    );
    fields.prop_map(|(a, b, len)| {
        let fields: Vec<(Oid, Value)> =
            vec![(Type::INT4.oid, a.into()), (Type::TEXT.oid, b.into())];
        Value::Record(fields[..len].into())
    })
}

/// Two values of one type, and the type.
fn pair() -> impl Strategy<Value = (Type, Value, Value)> {
    fn two<S: Strategy<Value = Value> + 'static>(
        ty: Type,
        values: impl Fn() -> S + 'static,
    ) -> BoxedStrategy<(Type, Value, Value)> {
        let nullable = || prop_oneof![1 => Just(Value::Null), 12 => values()];
        (nullable(), nullable())
            .prop_map(move |(a, b)| (ty, a, b))
            .boxed()
    }
    prop_oneof![
        two(Type::BOOL, || any::<bool>().prop_map(Value::Bool)),
        two(Type::CHAR, || any::<u8>().prop_map(Value::Char)),
        two(Type::INT2, || any::<i16>().prop_map(Value::Int2)),
        two(Type::INT4, || any::<i32>().prop_map(Value::Int4)),
        two(Type::INT8, || any::<i64>().prop_map(Value::Int8)),
        two(Type::OID, || any::<u32>().prop_map(Value::Oid)),
        two(Type::FLOAT4, || float8()
            .prop_map(|v| Value::Float4(v as f32))),
        two(Type::FLOAT8, || float8().prop_map(Value::Float8)),
        two(Type::NUMERIC, numeric),
        two(Type::TEXT, || text().prop_map(Value::text)),
        two(Type::BYTEA, || bytes().prop_map(Value::bytea)),
        two(Type::DATE, || any::<i32>().prop_map(Value::Date)),
        two(Type::TIME, || any::<i64>().prop_map(Value::Time)),
        two(Type::TIMESTAMP, || any::<i64>().prop_map(Value::Timestamp)),
        two(Type::TIMESTAMPTZ, || any::<i64>()
            .prop_map(Value::TimestampTz)),
        two(Type::INTERVAL, interval),
        two(Type::UUID, || any::<[u8; 16]>()
            .prop_map(|v| Value::Uuid(Arc::new(v)))),
        two(Type::new(1007), array),
        two(Type::RECORD, record),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn bytes_compare_as_the_values_do((_, a, b) in pair()) {
        for column in COLUMNS {
            let mut expected = compare(&a, &b);
            prop_assert_eq!(a.cmp(&b), expected, "{:?} {:?}", a, b);
            match (a.is_null(), b.is_null()) {
                (false, false) if column.descending => expected = expected.reverse(),
                (true, true) | (false, false) => {}
                _ if column.nulls_first => expected = expected.reverse(),
                _ => {}
            }
            let (x, y) = (encode(&a, column), encode(&b, column));
            prop_assert_eq!(x.cmp(&y), expected, "{:?} {:?} {:?}", a, b, column);
            // No key is a prefix of another, whatever columns follow.
            prop_assert!(x == y || !x.starts_with(&y) && !y.starts_with(&x));
        }
    }

    #[test]
    fn a_decoded_key_equals_its_value((ty, a, b) in pair()) {
        for column in COLUMNS {
            let mut key = encode(&a, column);
            encode_key(&mut key, b.as_ref(), column).unwrap();
            let (first, rest) = decode_key(&key, ty, column).unwrap();
            let (second, rest) = decode_key(rest, ty, column).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(compare(&first, &a), Ordering::Equal, "{:?}", first);
            prop_assert_eq!(compare(&second, &b), Ordering::Equal, "{:?}", second);
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(key in bytes(), ty in 0..types().len(), column in 0..4usize) {
        let _ = decode_key(&key, types()[ty], COLUMNS[column]);
        let mut key = key;
        key.insert(0, VALUE);
        let _ = decode_key(&key, types()[ty], COLUMNS[column]);
    }

    #[test]
    fn the_successor_of_a_prefix_ends_its_range(prefix in bytes(), tail in bytes()) {
        let inside = [&prefix[..], &tail[..]].concat();
        if let Some(end) = prefix_successor(&prefix) {
            prop_assert!(inside < end);
            prop_assert!(!end.starts_with(&prefix));
        } else {
            prop_assert!(prefix.iter().all(|b| *b == 0xff));
        }
    }
}

fn types() -> Vec<Type> {
    let oids = [
        16, 17, 18, 20, 21, 23, 25, 26, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 2249,
    ];
    oids.into_iter()
        .chain([2950, 3802, 1007, 1009])
        .map(Type::new)
        .collect()
}

fn document(fields: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut out = vec![0; 4];
    for (name, element, value) in fields {
        out.push(*element);
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend_from_slice(value);
    }
    out.push(0);
    let len = out.len() as i32;
    out[..4].copy_from_slice(&len.to_le_bytes());
    out
}

fn bson_string(text: &str) -> Vec<u8> {
    let mut out = (text.len() as i32 + 1).to_le_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    out
}

fn int(v: i32) -> Jsonb {
    Jsonb::new(0x10, &v.to_le_bytes())
}

fn long(v: i64) -> Jsonb {
    Jsonb::new(0x12, &v.to_le_bytes())
}

fn double(v: f64) -> Jsonb {
    Jsonb::new(0x01, &v.to_le_bytes())
}

/// decimal128 `coefficient × 10^exponent`.
fn decimal128(negative: bool, coefficient: u128, exponent: i32) -> Jsonb {
    let bits = u128::from(negative) << 127 | ((exponent + 6176) as u128) << 113 | coefficient;
    Jsonb::new(0x13, &bits.to_le_bytes())
}

fn string(text: &str) -> Jsonb {
    Jsonb::new(0x02, &bson_string(text))
}

fn bson_key(v: &Jsonb) -> Vec<u8> {
    let mut out = Vec::new();
    encode_bson_key(&mut out, v.as_ref(), false).unwrap();
    out
}

fn jsonb_key(v: &Jsonb) -> Vec<u8> {
    encode(&Value::Jsonb(v.clone()), KeyColumn::ASC)
}

fn assert_ascending(groups: &[Vec<Jsonb>], key: fn(&Jsonb) -> Vec<u8>) {
    let keys: Vec<Vec<Vec<u8>>> = groups.iter().map(|g| g.iter().map(key).collect()).collect();
    for (i, group) in keys.iter().enumerate() {
        for k in group {
            assert_eq!(k, &group[0], "values of group {i} are equal");
        }
        if let Some(next) = keys.get(i + 1) {
            assert!(group[0] < next[0], "group {i} comes before group {}", i + 1);
        }
    }
}

#[test]
fn documents_are_in_the_order_of_mongodb() {
    let array = |v: &[i32]| {
        let names: Vec<String> = (0..v.len()).map(|i| i.to_string()).collect();
        let values: Vec<[u8; 4]> = v.iter().map(|v| v.to_le_bytes()).collect();
        let fields: Vec<(&str, u8, &[u8])> = names
            .iter()
            .zip(&values)
            .map(|(n, v)| (n.as_str(), 0x10, &v[..]))
            .collect();
        Jsonb::new(0x04, &document(&fields))
    };
    let object = |fields: &[(&str, u8, &[u8])]| Jsonb::new(0x03, &document(fields));
    let binary = |subtype: u8, content: &[u8]| {
        let mut out = (content.len() as i32).to_le_bytes().to_vec();
        out.push(subtype);
        out.extend_from_slice(content);
        Jsonb::new(0x05, &out)
    };
    assert_ascending(
        &[
            vec![Jsonb::new(0xff, &[])],
            vec![Jsonb::new(0x06, &[])],
            vec![Jsonb::new(0x0a, &[])],
            vec![double(f64::NAN)],
            vec![double(f64::NEG_INFINITY)],
            vec![decimal128(true, 1, 6000)],
            vec![decimal128(true, 1, 400)],
            vec![double(f64::MIN)],
            vec![long(i64::MIN), double(-9_223_372_036_854_775_808.0)],
            vec![long(i64::MIN + 1)],
            vec![int(-1), double(-1.0), long(-1), decimal128(true, 10, -1)],
            vec![decimal128(true, 1, -1)],
            vec![decimal128(true, 1, -6000)],
            vec![int(0), double(-0.0), double(0.0), decimal128(true, 0, 3)],
            vec![decimal128(false, 1, -6000)],
            vec![decimal128(false, 1, -400)],
            vec![double(f64::from_bits(1))],
            // 0.1 as a double is a little more than 0.1.
            vec![decimal128(false, 1, -1), decimal128(false, 10, -2)],
            vec![double(0.1)],
            vec![int(1), double(1.0), long(1), decimal128(false, 1, 0)],
            vec![double(1.5), decimal128(false, 15, -1)],
            vec![long((1 << 53) + 1)],
            vec![long((1 << 53) + 2), double(9_007_199_254_740_994.0)],
            vec![long(i64::MAX)],
            vec![double(9_223_372_036_854_775_808.0)],
            vec![double(f64::MAX)],
            vec![decimal128(false, 1, 400)],
            vec![decimal128(false, 1, 6000)],
            vec![double(f64::INFINITY)],
            vec![string("")],
            vec![string("a"), Jsonb::new(0x0e, &bson_string("a"))],
            vec![string("a\0")],
            vec![string("ab")],
            vec![object(&[])],
            vec![object(&[("b", 0x10, &1i32.to_le_bytes())])],
            vec![object(&[
                ("b", 0x10, &1i32.to_le_bytes()),
                ("a", 0x0a, &[]),
            ])],
            vec![object(&[("a", 0x02, &bson_string("x"))])],
            vec![array(&[])],
            vec![array(&[1])],
            vec![array(&[1, 0])],
            vec![array(&[2])],
            vec![binary(0, b"zz")],
            vec![binary(4, b"aa")],
            vec![binary(0, b"aaa")],
            vec![Jsonb::new(0x07, &[1; 12])],
            vec![Jsonb::new(0x07, &[2; 12])],
            vec![Jsonb::new(0x08, &[0])],
            vec![Jsonb::new(0x08, &[1])],
            vec![Jsonb::new(0x09, &(-5i64).to_le_bytes())],
            vec![Jsonb::new(0x09, &5i64.to_le_bytes())],
            vec![Jsonb::new(0x11, &5u64.to_le_bytes())],
            vec![Jsonb::new(0x11, &(1u64 << 63).to_le_bytes())],
            vec![Jsonb::new(0x0b, b"a\0i\0")],
            vec![Jsonb::new(0x0b, b"b\0\0")],
            vec![Jsonb::new(0x0d, &bson_string("f()"))],
            vec![Jsonb::new(0x7f, &[])],
        ],
        bson_key,
    );
}

#[test]
fn descending_documents_are_in_the_opposite_order() {
    let key = |v: &Jsonb| {
        let mut out = Vec::new();
        encode_bson_key(&mut out, v.as_ref(), true).unwrap();
        out
    };
    for pair in [int(-7), int(3), double(3.5), string("a"), string("b")].windows(2) {
        assert!(key(&pair[0]) > key(&pair[1]));
    }
}

#[test]
fn jsonb_is_in_the_order_of_postgresql() {
    let list = |values: &[&Jsonb]| {
        let names: Vec<String> = (0..values.len()).map(|i| i.to_string()).collect();
        let fields: Vec<(&str, u8, &[u8])> = names
            .iter()
            .zip(values)
            .map(|(n, v)| (n.as_str(), v.as_ref().element, v.as_ref().bytes))
            .collect();
        Jsonb::new(0x04, &document(&fields))
    };
    let object = |fields: &[(&str, &Jsonb)]| {
        let fields: Vec<(&str, u8, &[u8])> = fields
            .iter()
            .map(|(n, v)| (*n, v.as_ref().element, v.as_ref().bytes))
            .collect();
        Jsonb::new(0x03, &document(&fields))
    };
    let (one, two) = (int(1), int(2));
    let null = Jsonb::new(0x0a, &[]);
    let groups = [
        vec![list(&[])],
        vec![null.clone()],
        vec![string("")],
        vec![string("b")],
        vec![string("bb")],
        vec![int(-2), double(-2.0)],
        vec![double(0.1), decimal128(false, 1, -1)],
        vec![one.clone(), long(1), double(1.0)],
        vec![double(1e300)],
        vec![Jsonb::new(0x08, &[0])],
        vec![Jsonb::new(0x08, &[1])],
        vec![list(&[&two])],
        vec![list(&[&one, &one])],
        vec![list(&[&one, &list(&[])])],
        vec![object(&[])],
        vec![object(&[("b", &one)])],
        vec![object(&[("b", &two)]), object(&[("b", &one), ("b", &two)])],
        vec![
            object(&[("b", &one), ("aa", &one)]),
            object(&[("aa", &one), ("b", &one)]),
        ],
        vec![object(&[("b", &one), ("cc", &one)])],
    ];
    assert_ascending(&groups, jsonb_key);
    for value in groups.iter().flatten() {
        let key = jsonb_key(value);
        let (decoded, rest) = decode_key(&key, Type::JSONB, KeyColumn::ASC).unwrap();
        assert!(rest.is_empty());
        assert_eq!(encode(&decoded, KeyColumn::ASC), key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn numbers_of_all_document_types_are_in_one_order(a in number(), b in number()) {
        let expected = exact(&a).partial_cmp(&exact(&b)).unwrap();
        prop_assert_eq!(bson_key(&a.1).cmp(&bson_key(&b.1)), expected, "{:?} {:?}", a, b);
    }

    #[test]
    fn corrupt_documents_are_errors(bytes in bytes(), element in any::<u8>()) {
        let value = Jsonb::new(element, &bytes);
        let mut out = Vec::new();
        let _ = encode_bson_key(&mut out, value.as_ref(), false);
        let _ = json::encode_jsonb(&mut out, value.as_ref());
    }
}

fn json() -> impl Strategy<Value = Jsonb> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|v| v.to_string()),
        (-3..4i32).prop_map(|v| v.to_string()),
        (-300..300i32).prop_map(|v| format!("{}.{:02}", v / 100, v.abs() % 100)),
        any::<i64>().prop_map(|v| v.to_string()),
        (any::<i64>(), -30..30i32).prop_map(|(v, e)| format!("{v}e{e}")),
        "[ab]{0,3}".prop_map(|v| format!("\"{v}\"")),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let members = prop::collection::vec(("[ab]{1,2}", inner), 0..4);
        prop_oneof![
            list.prop_map(|v| format!("[{}]", v.join(","))),
            members.prop_map(|members| {
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(k, v)| format!("\"{k}\":{v}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    value.prop_map(|text| Jsonb::parse(&text).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn jsonb_keys_are_in_the_order_of_the_values(a in json(), b in json()) {
        let (x, y) = (jsonb_key(&a), jsonb_key(&b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b), "{} {}", a.as_ref(), b.as_ref());
        let (decoded, rest) = decode_key(&x, Type::JSONB, KeyColumn::ASC).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(compare(&decoded, &Value::Jsonb(a)), Ordering::Equal);
    }
}

/// A number as sign and exact multiple of 2^-60 × 10^-6, and its document.
fn number() -> impl Strategy<Value = (i128, Jsonb)> {
    const UNIT: i128 = 1_000_000;
    prop_oneof![
        (-4..4i32).prop_map(|v| (i128::from(v) * UNIT, int(v))),
        any::<i64>().prop_map(|v| (i128::from(v) * UNIT, long(v))),
        ((1i64 << 53) - 4..(1i64 << 53) + 4).prop_map(|v| (i128::from(v) * UNIT, long(v))),
        // Doubles with at most six binary places are multiples of 10^-6.
        (-1000..1000i64).prop_map(|v| (i128::from(v) * (UNIT / 64), double(v as f64 / 64.0))),
        ((1i64 << 53) - 4..(1i64 << 53) + 4)
            .prop_map(|v| (i128::from(v as f64 as i64) * UNIT, double(v as f64))),
        (any::<bool>(), 0..20_000_000u128).prop_map(|(negative, m)| {
            (
                if negative { -(m as i128) } else { m as i128 },
                decimal128(negative, m, -6),
            )
        }),
    ]
}

fn exact(v: &(i128, Jsonb)) -> i128 {
    v.0
}
