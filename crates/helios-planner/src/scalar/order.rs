//! The order of a type's values, and keys that group by it.
//!
//! [`helios_types::value`] orders values by their representation, which is PostgreSQL's order for
//! every type but `char(n)`, whose trailing blanks do not count.

use helios_types::value::compare;
use helios_types::{Type, Value};
use std::cmp::Ordering;

/// How values of a type compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Plain,
    /// `char(n)`: trailing blanks do not count.
    Blanks,
}

impl Order {
    pub fn of(ty: Type) -> Self {
        if ty.oid == Type::BPCHAR.oid {
            Order::Blanks
        } else {
            Order::Plain
        }
    }

    /// Order of two values that are not NULL.
    #[inline]
    pub fn compare(self, a: &Value, b: &Value) -> Ordering {
        match (a, b) {
            (Value::Text(a), Value::Text(b)) if self == Order::Blanks => {
                a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))
            }
            _ => compare(a, b),
        }
    }

    /// The value in the form whose plain equality is this order's equality.
    pub fn normal(self, value: Value) -> Value {
        match (self, &value) {
            (Order::Blanks, Value::Text(text)) if text.ends_with(' ') => {
                Value::text(text.trim_end_matches(' '))
            }
            _ => value,
        }
    }
}

/// Values that group, join or are distinct by equality; NULLs are equal to each other. Values of
/// `char(n)` are put into their [`Order::normal`] form before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub Box<[Value]>);

impl Key {
    pub fn new(values: Vec<Value>) -> Self {
        Key(values.into_boxed_slice())
    }
}

/// One ORDER BY column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortOrder {
    pub order: Order,
    pub descending: bool,
    pub nulls_first: bool,
}

impl SortOrder {
    pub fn compare(self, a: &Value, b: &Value) -> Ordering {
        match (a.is_null(), b.is_null()) {
            (false, false) => {
                let order = self.order.compare(a, b);
                if self.descending {
                    order.reverse()
                } else {
                    order
                }
            }
            (true, true) => Ordering::Equal,
            (true, false) => {
                if self.nulls_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if self.nulls_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_blanks_of_char_do_not_count() {
        let (a, b) = (Value::text("a  "), Value::text("a"));
        assert_eq!(Order::Blanks.compare(&a, &b), Ordering::Equal);
        assert_eq!(compare(&a, &b), Ordering::Greater);
        assert_eq!(Key::new(vec![Order::Blanks.normal(a)]), Key::new(vec![b]));
    }

    #[test]
    fn nulls_stand_where_the_order_says_whatever_the_direction() {
        let order = |descending, nulls_first| SortOrder {
            order: Order::Plain,
            descending,
            nulls_first,
        };
        let (one, two) = (Value::Int4(1), Value::Int4(2));
        assert_eq!(order(false, false).compare(&one, &two), Ordering::Less);
        assert_eq!(order(true, false).compare(&one, &two), Ordering::Greater);
        for descending in [false, true] {
            assert_eq!(
                order(descending, false).compare(&Value::Null, &one),
                Ordering::Greater
            );
            assert_eq!(
                order(descending, true).compare(&Value::Null, &one),
                Ordering::Less
            );
        }
    }
}
