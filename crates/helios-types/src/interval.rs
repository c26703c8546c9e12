//! PostgreSQL's interval: months, days and microseconds, kept apart because a month has no fixed
//! number of days and a day no fixed number of hours.

#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}
