//! Regular expressions with MongoDB's options.
//!
//! MongoDB uses PCRE; the engine here is linear-time and has neither look-around nor
//! back-references. A pattern that needs them is refused, it never matches something else.

use super::error::{DocResult, fail};
use regex::{Regex, RegexBuilder};

/// Compiles a pattern with the options `i`, `m`, `s`, `x` and `u`.
pub fn compile(source: &str, options: &str, error: i32) -> DocResult<Regex> {
    if source.contains('\0') {
        fail!(
            error,
            "Regular expression cannot contain an embedded null byte"
        );
    }
    let mut builder = RegexBuilder::new(source);
    builder.size_limit(1 << 22).unicode(true);
    for option in options.chars() {
        match option {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            'u' => builder.unicode(true),
            other => fail!(51108, "invalid flag in regex options: {other}"),
        };
    }
    match builder.build() {
        Ok(regex) => Ok(regex),
        Err(reason) => {
            let reason = reason.to_string();
            let last = reason
                .lines()
                .last()
                .unwrap_or("")
                .trim()
                .trim_start_matches("error: ");
            fail!(error, "Regular expression is invalid: {last}")
        }
    }
}
