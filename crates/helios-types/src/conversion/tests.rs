use super::*;
use crate::text::{parse_text, to_text};
use crate::{Jsonb, Type, Value};

#[test]
fn each_row_of_the_table_converts_as_it_says_and_back() {
    for row in CONVERSIONS {
        for oid in row.types {
            let ty = Type::new(*oid);
            let [text, bson, json, redis] = row.example;
            let text = match *oid {
                // The examples of the arrays and of "char" fit each of their types.
                114 => "{\"a\":1}",
                _ => text,
            };
            let Ok(value) = parse_text(ty, text, &TextContext::default()) else {
                panic!("{oid}: {text}")
            };
            let element = to_bson(ty, &value).unwrap();
            if *oid != 1009 {
                assert_eq!(element.to_string(), bson, "{oid} to BSON");
                assert_eq!(
                    to_json(ty, &value).unwrap().to_string(),
                    json,
                    "{oid} to JSON"
                );
                let bytes = to_redis_text(ty, &value).unwrap().unwrap();
                assert_eq!(String::from_utf8_lossy(&bytes), redis, "{oid} to Redis");
            }
            // json keeps its spelling, BSON does not.
            let shown = |v: &Value| to_text(ty, v, &TextContext::default()).replace(": ", ":");
            if !row.loss.contains("milliseconds") {
                assert_eq!(
                    shown(&from_bson(ty, element.as_ref()).unwrap()),
                    shown(&value)
                );
            }
            let json = to_json(ty, &value).unwrap();
            assert_eq!(shown(&from_json(ty, &json).unwrap()), shown(&value));
            let bytes = to_redis_text(ty, &value).unwrap().unwrap();
            assert_eq!(shown(&from_redis_text(ty, &bytes).unwrap()), shown(&value));
        }
    }
}

#[test]
fn bson_values_are_taken_only_when_they_fit_exactly() {
    let double = |v: f64| Jsonb::new(1, &v.to_le_bytes());
    let json = |s: &str| Jsonb::parse(s).unwrap();
    let taken = |ty: Type, v: &Jsonb| {
        from_bson(ty, v.as_ref())
            .map(|v| to_text(ty, &v, &TextContext::default()))
            .ok()
    };
    for (ty, value, expected) in [
        (Type::INT4, double(5.0), Some("5")),
        (Type::INT4, double(5.5), None),
        (Type::INT4, json("5.00"), Some("5")),
        (Type::INT4, json("2147483648"), None),
        (Type::INT4, json("\"5\""), None),
        (Type::INT2, json("40000"), None),
        (Type::FLOAT8, json("9007199254740993"), None),
        (
            Type::FLOAT8,
            json("9007199254740992"),
            Some("9.007199254740992e+15"),
        ),
        (Type::FLOAT4, double(0.1), Some("0.1")),
        (Type::FLOAT4, double(0.123456789), None),
        (Type::NUMERIC, double(0.1), Some("0.1")),
        (Type::NUMERIC, double(f64::NAN), Some("NaN")),
        (Type::BOOL, json("1"), None),
        (Type::TEXT, json("1"), None),
        (Type::TIMESTAMPTZ, json("\"2024-01-01\""), None),
        (
            Type::DATE,
            Jsonb::new(9, &86_400_000i64.to_le_bytes()),
            Some("1970-01-02"),
        ),
        (
            Type::DATE,
            Jsonb::new(9, &86_400_001i64.to_le_bytes()),
            None,
        ),
        (
            Type::TIMESTAMP,
            Jsonb::new(9, &i64::MAX.to_le_bytes()),
            Some("infinity"),
        ),
        (Type::INT4, Jsonb::null(), Some("")),
    ] {
        assert_eq!(taken(ty, &value).as_deref(), expected, "{ty:?} {value}");
    }
}

#[test]
fn a_timestamp_read_in_milliseconds_and_written_back_changes_nothing() {
    let stored = Value::TimestampTz(1_700_000_000_123_456);
    let element = to_bson(Type::TIMESTAMPTZ, &stored).unwrap();
    let incoming = from_bson(Type::TIMESTAMPTZ, element.as_ref()).unwrap();
    assert!(keeps_stored(&stored, &incoming));
    assert!(!keeps_stored(
        &stored,
        &Value::TimestampTz(1_700_000_000_124_000)
    ));
}
