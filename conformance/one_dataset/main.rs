//! One dataset behind five protocols: what each writes the others read, as the matrix and the
//! conversion table say; what the matrix refuses is refused in the protocol's own words.

mod clients;
mod counter;
mod document;
mod keyspace;
mod matrix;
mod plan;
mod relational;
