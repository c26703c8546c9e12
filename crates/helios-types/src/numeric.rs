//! PostgreSQL's numeric: an exact decimal with a display scale, NaN and the infinities.
