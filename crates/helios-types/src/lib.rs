//! The vocabulary that every HeliosDB crate shares: error kinds, identifiers, SQL types, values
//! and limits. Nothing here does I/O, spawns a task or knows a protocol.
//!
//! * [`error`]: one closed [`ErrorKind`] and the [`Error`] that carries it.
//! * [`id`]: identifiers of databases, branches and objects, and the commit timestamp [`Ts`].
//! * [`types`]: SQL types, named by PostgreSQL's OID and type modifier.
//! * [`value`]: a value of such a type, owned ([`Value`]) or borrowed from a stored row
//!   ([`ValueRef`]).
//! * [`numeric`], [`interval`], [`datetime`], [`json`], [`array`]: the values that need more than
//!   a machine word.
//! * [`text`]: PostgreSQL's text form of every type, in and out.
//! * [`conversion`]: the one table of how a value looks in each protocol.
//! * [`limits`]: the bounds that outside data is checked against before anything allocates.

pub mod array;
pub mod conversion;
pub mod datetime;
pub mod error;
pub mod id;
pub mod interval;
pub mod json;
pub mod limits;
pub mod numeric;
pub mod text;
pub mod types;
pub mod value;

pub use array::Array;
pub use error::{Error, ErrorKind, Result, Retry};
pub use id::{BranchId, DatabaseId, ObjectId, Ts};
pub use interval::Interval;
pub use json::{Jsonb, JsonbRef};
pub use numeric::Numeric;
pub use types::{Oid, Type};
pub use value::{Value, ValueRef};
