//! What of the session's settings the wire depends on.

use crate::encode::{ColumnFormat, Names, RowFormat, TextForm, prints_name};
use helios_engine::Session;
use helios_types::Type;
use helios_types::datetime::{DateContext, TimeZone};
use helios_types::text::TextContext;
use std::sync::Arc;

/// The settings that text forms depend on, kept until they change, and the values of reported
/// settings that the client knows.
#[derive(Debug, Default)]
pub struct Presentation {
    context: TextContext,
    /// The session makes a new one whenever settings may have changed.
    mark: Option<Arc<str>>,
    reported: Vec<(&'static str, String)>,
}

impl Presentation {
    /// How this session reads and prints values now.
    pub fn context(&mut self, session: &Session) -> &TextContext {
        let zone = session.time_zone();
        if !self
            .mark
            .as_ref()
            .is_some_and(|mark| Arc::ptr_eq(mark, zone))
        {
            self.mark = Some(zone.clone());
            let setting = |name| session.setting(name).unwrap_or_default();
            self.context = TextContext {
                dates: DateContext {
                    zone: TimeZone::parse(zone).unwrap_or(TimeZone::UTC),
                    ..DateContext::default()
                },
                bytea_escape: setting("bytea_output") == "escape",
                extra_float_digits: setting("extra_float_digits").parse().unwrap_or(1),
                ..TextContext::default()
            };
        }
        // `now` and `today` in text mean the moment of reading.
        self.context.dates.now = now_us();
        &self.context
    }

    /// Reported settings whose value changed since the last call.
    pub fn changes(&mut self, session: &Session) -> Vec<(&'static str, String)> {
        let mut changes = Vec::new();
        for (name, value) in session.reported_settings() {
            match self.reported.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) if known == value => {}
                Some((_, known)) => {
                    value.clone_into(known);
                    changes.push((name, value.to_owned()));
                }
                None => {
                    self.reported.push((name, value.to_owned()));
                    changes.push((name, value.to_owned()));
                }
            }
        }
        changes
    }

    /// The form of rows with these columns.
    pub fn row_format(
        &mut self,
        session: &Session,
        columns: impl Iterator<Item = ColumnFormat>,
    ) -> RowFormat {
        let mut format = RowFormat {
            columns: columns.collect(),
            form: TextForm::default(),
        };
        if format.columns.iter().any(|c| depends_on_settings(c.ty)) {
            format.form.context = *self.context(session);
        }
        if format
            .columns
            .iter()
            .any(|c| !c.binary && prints_name(c.ty))
        {
            format.form.names = Some(names(session));
        }
        format
    }
}

/// What the names of regclass and its like are looked up in.
pub fn names(session: &Session) -> Names {
    Names {
        catalog: session.catalog(),
        database: session.database_id(),
        search_path: session.search_path(),
    }
}

/// Whether the text of this type depends on a setting.
fn depends_on_settings(ty: Type) -> bool {
    !matches!(
        ty.oid,
        16 | 18..=21 | 23 | 25 | 26 | 1042 | 1043 | 1700 | 2950 | 3802 | 114
    )
}

/// The settings' client-side name as PostgreSQL spells it.
pub fn display_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        name => name,
    }
}

/// A timeout setting as SHOW prints it; `None` when it is off.
pub fn milliseconds(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let unit = match text.get(digits..)?.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(number.saturating_mul(unit)).filter(|ms| *ms > 0)
}

fn now_us() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}
