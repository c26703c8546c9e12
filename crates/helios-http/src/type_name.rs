//! Type names as dialect v7 writes them: SQL's own, in capitals.

use helios_types::Type;
use helios_types::text::format_type;

/// `VARCHAR`, `BIGINT`, `TIMESTAMP WITH TIME ZONE`, …
pub fn without_modifier(ty: Type) -> String {
    with_modifier(Type::new(ty.oid))
}

/// The same with length or precision: `VARCHAR(255)`, `DECIMAL(10,2)`.
pub fn with_modifier(ty: Type) -> String {
    let name = format_type(ty).to_uppercase();
    for (long, short) in [
        ("CHARACTER VARYING", "VARCHAR"),
        ("NUMERIC", "DECIMAL"),
        (" WITHOUT TIME ZONE", ""),
        ("CHARACTER", "CHAR"),
    ] {
        if name.contains(long) {
            return name.replace(long, short);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_the_contract_names_them() {
        let cases = [
            (Type::INT8, "BIGINT"),
            (Type::INT4, "INTEGER"),
            (Type::VARCHAR.with_modifier(259), "VARCHAR(255)"),
            (Type::VARCHAR, "VARCHAR"),
            (
                Type::NUMERIC.with_modifier(((10 << 16) | 2) + 4),
                "DECIMAL(10,2)",
            ),
            (Type::TIMESTAMPTZ, "TIMESTAMP WITH TIME ZONE"),
            (Type::TIMESTAMP, "TIMESTAMP"),
            (Type::JSONB, "JSONB"),
        ];
        for (ty, name) in cases {
            assert_eq!(with_modifier(ty), name);
        }
    }
}
