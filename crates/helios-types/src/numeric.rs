//! PostgreSQL's numeric: an exact decimal with a display scale, NaN and the infinities.

/// An exact decimal. (Placeholder until the implementation lands.)
#[derive(Clone, Debug, Default)]
pub struct Numeric(i64);
