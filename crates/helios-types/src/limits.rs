//! Bounds that data from outside is checked against before it allocates.

/// Largest single value (text, bytea, document), in bytes: PostgreSQL's one gigabyte.
pub const VALUE_BYTES_MAX: usize = 1 << 30;
/// Largest primary or index key, in encoded bytes.
pub const KEY_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of JSON, BSON and arrays.
pub const NESTING_MAX: usize = 200;
/// Most columns of a table.
pub const COLUMNS_MAX: usize = 1600;
/// Longest identifier that SQL creates, in bytes.
pub const IDENTIFIER_BYTES_MAX: usize = 63;
/// Longest identifier of any protocol, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Most parameters of a statement.
pub const PARAMETERS_MAX: usize = 65_535;
/// Most dimensions of an array.
pub const ARRAY_DIMENSIONS_MAX: usize = 6;
/// Most elements of an array.
pub const ARRAY_ELEMENTS_MAX: usize = 134_217_727;
