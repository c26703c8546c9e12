//! SQL types, named as PostgreSQL names them: by OID, with a type modifier.
//!
//! The OID is the identity of a type everywhere: in the catalog, in bound expressions (beside the
//! Arrow type), on the PostgreSQL wire. The modifier holds a length or precision in PostgreSQL's
//! own encoding: `varchar(n)` is `n + 4`, `numeric(p,s)` is `((p << 16) | s) + 4`, times and
//! timestamps hold their precision as it is; `-1` means none.

use serde::{Deserialize, Serialize};

pub type Oid = u32;

/// A type and its modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Type {
    pub oid: Oid,
    pub modifier: i32,
}

macro_rules! types {
    ($($(#[$doc:meta])* $constant:ident = $oid:literal, $name:literal, $display:literal, $array:literal, $category:literal, $len:literal;)*) => {
        impl Type {
            $($(#[$doc])* pub const $constant: Type = Type::new($oid);)*
        }
        /// Every built-in scalar type.
        pub const BUILTIN: &[TypeInfo] = &[
            $(TypeInfo { oid: $oid, name: $name, display: $display, array: $array, category: $category, len: $len },)*
        ];
    };
}

/// What the catalog says of a built-in type.
#[derive(Clone, Copy, Debug)]
pub struct TypeInfo {
    pub oid: Oid,
    /// `pg_type.typname`
    pub name: &'static str,
    /// What `format_type` prints without a modifier.
    pub display: &'static str,
    /// OID of the array type over it; 0 for none.
    pub array: Oid,
    /// `pg_type.typcategory`
    pub category: char,
    /// `pg_type.typlen`: bytes, or -1 for variable length, -2 for a C string.
    pub len: i16,
}

types! {
    BOOL = 16, "bool", "boolean", 1000, 'B', 1;
    BYTEA = 17, "bytea", "bytea", 1001, 'U', -1;
    /// PostgreSQL's one-byte `"char"`, used in its catalogs.
    CHAR = 18, "char", "\"char\"", 1002, 'Z', 1;
    NAME = 19, "name", "name", 1003, 'S', 64;
    INT8 = 20, "int8", "bigint", 1016, 'N', 8;
    INT2 = 21, "int2", "smallint", 1005, 'N', 2;
    INT2VECTOR = 22, "int2vector", "int2vector", 1006, 'A', -1;
    INT4 = 23, "int4", "integer", 1007, 'N', 4;
    REGPROC = 24, "regproc", "regproc", 1008, 'N', 4;
    TEXT = 25, "text", "text", 1009, 'S', -1;
    OID = 26, "oid", "oid", 1028, 'N', 4;
    TID = 27, "tid", "tid", 1010, 'U', 6;
    XID = 28, "xid", "xid", 1011, 'U', 4;
    OIDVECTOR = 30, "oidvector", "oidvector", 1013, 'A', -1;
    JSON = 114, "json", "json", 199, 'U', -1;
    PG_NODE_TREE = 194, "pg_node_tree", "pg_node_tree", 0, 'Z', -1;
    FLOAT4 = 700, "float4", "real", 1021, 'N', 4;
    FLOAT8 = 701, "float8", "double precision", 1022, 'N', 8;
    /// A literal whose type is not decided yet.
    UNKNOWN = 705, "unknown", "unknown", 0, 'X', -2;
    ACLITEM = 1033, "aclitem", "aclitem", 1034, 'U', 12;
    BPCHAR = 1042, "bpchar", "character", 1014, 'S', -1;
    VARCHAR = 1043, "varchar", "character varying", 1015, 'S', -1;
    DATE = 1082, "date", "date", 1182, 'D', 4;
    TIME = 1083, "time", "time without time zone", 1183, 'D', 8;
    TIMESTAMP = 1114, "timestamp", "timestamp without time zone", 1115, 'D', 8;
    TIMESTAMPTZ = 1184, "timestamptz", "timestamp with time zone", 1185, 'D', 8;
    INTERVAL = 1186, "interval", "interval", 1187, 'T', 16;
    TIMETZ = 1266, "timetz", "time with time zone", 1270, 'D', 12;
    NUMERIC = 1700, "numeric", "numeric", 1231, 'N', -1;
    REGPROCEDURE = 2202, "regprocedure", "regprocedure", 2207, 'N', 4;
    REGOPER = 2203, "regoper", "regoper", 2208, 'N', 4;
    REGOPERATOR = 2204, "regoperator", "regoperator", 2209, 'N', 4;
    REGCLASS = 2205, "regclass", "regclass", 2210, 'N', 4;
    REGTYPE = 2206, "regtype", "regtype", 2211, 'N', 4;
    REGROLE = 4096, "regrole", "regrole", 4097, 'N', 4;
    REGNAMESPACE = 4089, "regnamespace", "regnamespace", 4090, 'N', 4;
    RECORD = 2249, "record", "record", 2287, 'P', -1;
    ANY = 2276, "any", "\"any\"", 0, 'P', 4;
    ANYARRAY = 2277, "anyarray", "anyarray", 0, 'P', -1;
    VOID = 2278, "void", "void", 0, 'P', 4;
    ANYELEMENT = 2283, "anyelement", "anyelement", 0, 'P', 4;
    ANYNONARRAY = 2776, "anynonarray", "anynonarray", 0, 'P', 4;
    UUID = 2950, "uuid", "uuid", 2951, 'U', 16;
    JSONB = 3802, "jsonb", "jsonb", 3807, 'U', -1;
}

impl Type {
    pub const fn new(oid: Oid) -> Self {
        Type { oid, modifier: -1 }
    }

    pub const fn with_modifier(self, modifier: i32) -> Self {
        Type {
            oid: self.oid,
            modifier,
        }
    }

    /// The array type over this element type; `None` when there is none.
    pub fn array_of(self) -> Option<Type> {
        info(self.oid).filter(|i| i.array != 0).map(|i| Type {
            oid: i.array,
            modifier: self.modifier,
        })
    }

    /// The element type when this is an array type (`int2vector` and `oidvector` included).
    pub fn element(self) -> Option<Type> {
        match self.oid {
            22 => Some(Type::INT2),
            30 => Some(Type::OID),
            oid => BUILTIN
                .iter()
                .find(|i| i.array != 0 && i.array == oid)
                .map(|i| Type {
                    oid: i.oid,
                    modifier: self.modifier,
                }),
        }
    }

    pub fn is_array(self) -> bool {
        self.element().is_some()
    }

    /// text, varchar, char(n), name.
    pub fn is_string(self) -> bool {
        matches!(self.oid, 25 | 1043 | 1042 | 19)
    }

    /// oid and the reg* types, which share its representation.
    pub fn is_oid_like(self) -> bool {
        matches!(self.oid, 26 | 24 | 2202..=2206 | 4096 | 4089)
    }

    /// `numeric(p, s)` from its modifier.
    pub fn numeric_precision_scale(self) -> Option<(u16, i16)> {
        if self.oid != Type::NUMERIC.oid || self.modifier < 4 {
            return None;
        }
        let packed = (self.modifier - 4) as u32;
        // PostgreSQL 15 keeps the scale as an 11-bit signed number.
        let scale = ((packed & 0x7ff) ^ 1024) as i32 - 1024;
        Some(((packed >> 16) as u16, scale as i16))
    }

    /// The declared length of `varchar(n)` and `char(n)`, in characters.
    pub fn char_length(self) -> Option<u32> {
        (matches!(self.oid, 1042 | 1043) && self.modifier >= 4).then(|| (self.modifier - 4) as u32)
    }
}

/// The built-in type with this OID; array types are found through [`Type::element`].
pub fn info(oid: Oid) -> Option<&'static TypeInfo> {
    BUILTIN
        .binary_search_by_key(&oid, |i| i.oid)
        .ok()
        .map(|i| &BUILTIN[i])
        .or_else(|| BUILTIN.iter().find(|i| i.oid == oid))
}
