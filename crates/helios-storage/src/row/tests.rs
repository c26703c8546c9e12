use super::*;
use helios_types::{Array, Jsonb, Value};
use proptest::prelude::*;
use std::sync::Arc;

fn columns() -> Vec<(Type, Value)> {
    let array = Array::from_values(Type::TEXT.oid, vec![Value::text("a"), Value::Null]);
    let record = vec![
        (Type::INT4.oid, Value::Int4(1)),
        (Type::RECORD.oid, Value::Null),
    ];
    vec![
        (Type::BOOL, Value::Bool(true)),
        (Type::TEXT, Value::text("text")),
        (Type::CHAR, Value::Char(b'c')),
        (Type::INT2, Value::Int2(-2)),
        (Type::INT4, Value::Int4(i32::MIN)),
        (Type::VARCHAR, Value::text("")),
        (Type::INT8, Value::Int8(i64::MAX)),
        (Type::OID, Value::Oid(u32::MAX)),
        (Type::FLOAT4, Value::Float4(1.5)),
        (Type::FLOAT8, Value::Float8(-0.0)),
        (
            Type::NUMERIC,
            Value::Numeric("123456789012345678901234567890.10".parse().unwrap()),
        ),
        (Type::BYTEA, Value::bytea([0, 1, 2])),
        (Type::DATE, Value::Date(-1)),
        (Type::TIME, Value::Time(1)),
        (Type::TIMESTAMP, Value::Timestamp(2)),
        (Type::TIMESTAMPTZ, Value::TimestampTz(3)),
        (
            Type::INTERVAL,
            Value::Interval(Arc::new(Interval {
                months: 1,
                days: -2,
                micros: 3,
            })),
        ),
        (Type::UUID, Value::Uuid(Arc::new([7; 16]))),
        (Type::JSONB, Value::Jsonb(Jsonb::new(0x10, &[1, 0, 0, 0]))),
        (Type::new(1009), Value::Array(Arc::new(array))),
        (Type::RECORD, Value::Record(record.into())),
        // An enum label: a type of the user's.
        (Type::new(70_000), Value::text("label")),
    ]
}

/// Values have no equality of their own; their text does for a test.
fn text(value: &ValueRef<'_>) -> String {
    format!("{:?}", value.to_value())
}

fn encode(layout: &RowLayout, values: &[Value]) -> Vec<u8> {
    let refs: Vec<ValueRef<'_>> = values.iter().map(Value::as_ref).collect();
    let mut out = b"before".to_vec();
    layout.encode(&mut out, &refs).unwrap();
    out.split_off(6)
}

#[test]
fn every_type_comes_back_as_written_with_any_column_null() {
    let (types, values): (Vec<Type>, Vec<Value>) = columns().into_iter().unzip();
    let layout = RowLayout::new(&types);
    for null in 0..=values.len() {
        let mut values = values.clone();
        if let Some(value) = values.get_mut(null) {
            *value = Value::Null;
        }
        let bytes = encode(&layout, &values);
        let row = RowRef::new(&layout, &bytes);
        for (k, value) in values.iter().enumerate() {
            assert_eq!(
                text(&row.column(k).unwrap()),
                text(&value.as_ref()),
                "column {k}"
            );
            assert_eq!(row.is_null(k), value.is_null());
        }
        assert!(row.column(values.len()).is_err());
        row.verify().unwrap();
    }
}

#[test]
fn a_large_row_takes_wide_offsets() {
    let layout = RowLayout::new(&[Type::TEXT, Type::INT4, Type::TEXT]);
    for len in [0, 65_534, 65_535, 65_536, 300_000] {
        let values = [
            Value::text("x".repeat(len)),
            Value::Int4(5),
            Value::text("end"),
        ];
        let bytes = encode(&layout, &values);
        let row = RowRef::new(&layout, &bytes);
        assert_eq!(text(&row.column(2).unwrap()), text(&values[2].as_ref()));
        assert_eq!(text(&row.column(0).unwrap()), text(&values[0].as_ref()));
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    let layout = RowLayout::new(&[Type::INT8]);
    assert!(
        layout
            .encode(&mut Vec::new(), &[ValueRef::Int4(1)])
            .is_err()
    );
    assert!(layout.encode(&mut Vec::new(), &[]).is_err());
}

#[test]
fn a_cut_row_is_an_error() {
    let (types, values): (Vec<Type>, Vec<Value>) = columns().into_iter().unzip();
    let layout = RowLayout::new(&types);
    let bytes = encode(&layout, &values);
    for cut in 0..bytes.len() {
        assert!(
            RowRef::new(&layout, &bytes[..cut]).verify().is_err(),
            "cut at {cut}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_change_of_a_row_makes_reading_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (types, values): (Vec<Type>, Vec<Value>) = columns().into_iter().unzip();
        let layout = RowLayout::new(&types);
        let mut bytes = encode(&layout, &values);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = RowRef::new(&layout, &bytes).verify();
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let types: Vec<Type> = columns().into_iter().map(|(ty, _)| ty).collect();
        let layout = RowLayout::new(&types);
        let _ = RowRef::new(&layout, &bytes).verify();
    }
}
