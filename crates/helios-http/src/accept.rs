//! `Accept`: which of the forms that an endpoint has a client wants.
//!
//! Of each form the most specific range that covers it says how much it is wanted (`q`, 0 is not
//! at all); the form that is wanted most is sent, and of equals the one that the endpoint names
//! first. Without the header, and when it is empty, everything is wanted. Parameters but `q` are
//! not told apart: each form has one charset and version. What is not a media range is passed over,
//! but for the lone `*` that old clients send.

use crate::error::{Failure, Fault, Result};
use helios_types::ErrorKind;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderValue};

/// The form of a successful reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Json,
    /// One JSON object a line.
    Lines,
    /// Prometheus' text format.
    Metrics,
}

impl Media {
    /// Type and subtype.
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Media::Json => ("application", "json"),
            Media::Lines => ("application", "x-ndjson"),
            Media::Metrics => ("text", "plain"),
        }
    }

    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Media::Json => "application/json",
            Media::Lines => "application/x-ndjson",
            Media::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        })
    }
}

/// The form to answer in, of those that an endpoint has.
pub fn negotiate(headers: &HeaderMap, offered: &[Media]) -> Result<Media> {
    let mut ranges = Ranges::default();
    for value in headers.get_all(ACCEPT) {
        ranges.read(value.as_bytes());
    }
    let mut best: Option<(u16, Media)> = None;
    for &media in offered {
        let weight = ranges.weight(media);
        if weight > best.map_or(0, |(most, _)| most) {
            best = Some((weight, media));
        }
    }
    best.map(|(_, media)| media)
        .ok_or_else(|| not_acceptable(offered))
}

fn not_acceptable(offered: &[Media]) -> Failure {
    let names: Vec<String> = offered
        .iter()
        .map(|media| {
            let (kind, subtype) = media.name();
            format!("{kind}/{subtype}")
        })
        .collect();
    Failure::new(
        Fault::NotAcceptable,
        ErrorKind::InvalidParameterValue,
        format!(
            "header \"Accept\" takes no form that this endpoint has: expected {}",
            names.join(" or ")
        ),
    )
}

/// What each form is worth so far: how specific the range was, and its weight in thousandths.
#[derive(Default)]
struct Ranges {
    any: bool,
    best: [Option<(u8, u16)>; 3],
}

impl Ranges {
    fn read(&mut self, header: &[u8]) {
        for range in header.split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            self.any = true;
            let weight = parts.find_map(quality).unwrap_or(1000);
            for (place, media) in [Media::Json, Media::Lines, Media::Metrics]
                .into_iter()
                .enumerate()
            {
                let Some(specific) = specificity(name, media) else {
                    continue;
                };
                if self.best[place].is_none_or(|(known, _)| specific > known) {
                    self.best[place] = Some((specific, weight));
                }
            }
        }
    }

    fn weight(&self, media: Media) -> u16 {
        if !self.any {
            return 1000;
        }
        self.best[media as usize].map_or(0, |(_, weight)| weight)
    }
}

/// How closely a range names a form; `None` when it does not cover it.
fn specificity(range: &[u8], media: Media) -> Option<u8> {
    if range == b"*/*" || range == b"*" {
        return Some(0);
    }
    let slash = range.iter().position(|byte| *byte == b'/')?;
    let (kind, subtype) = (&range[..slash], &range[slash + 1..]);
    let (own_kind, own_subtype) = media.name();
    if !kind.eq_ignore_ascii_case(own_kind.as_bytes()) {
        return None;
    }
    if subtype == b"*" {
        return Some(1);
    }
    subtype
        .eq_ignore_ascii_case(own_subtype.as_bytes())
        .then_some(2)
}

/// The thousandths of `q=…`; a number that is none counts as 1.
fn quality(parameter: &[u8]) -> Option<u16> {
    let value = parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))?;
    let number: f32 = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1.0);
    Some(if number.is_finite() {
        (number.clamp(0.0, 1.0) * 1000.0) as u16
    } else {
        1000
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[Media] = &[Media::Json, Media::Lines];

    /// Header lines, what is offered, what is chosen.
    #[test]
    fn the_form_that_is_wanted_most_is_chosen() {
        let json = Some(Media::Json);
        let lines = Some(Media::Lines);
        let cases: &[(&[&str], &[Media], Option<Media>)] = &[
            (&[], BOTH, json),
            (&[""], BOTH, json),
            (&["*/*"], BOTH, json),
            (&["application/*"], BOTH, json),
            (&["application/json"], BOTH, json),
            (&["application/x-ndjson"], BOTH, lines),
            (&["Application/X-NDJSON; charset=utf-8"], BOTH, lines),
            (&["application/x-ndjson, application/json"], BOTH, json),
            (&["application/x-ndjson, */*;q=0.1"], BOTH, lines),
            (
                &["application/json;q=0.5, application/x-ndjson;q=0.8"],
                BOTH,
                lines,
            ),
            (
                &["application/json;q=0.5", "application/x-ndjson;q=0.8"],
                BOTH,
                lines,
            ),
            (&["application/json;q=0, */*"], BOTH, lines),
            (&["application/json;q=0"], BOTH, None),
            (&["*/*;q=0"], BOTH, None),
            (&["text/html"], BOTH, None),
            (&["text/html, application/xhtml+xml, */*;q=0.8"], BOTH, json),
            (&["text/html, image/gif, *; q=.2, */*; q=.2"], BOTH, json),
            (&["nonsense"], BOTH, None),
            (&[",,;q=1"], BOTH, json),
            (&["application/json;q=many"], BOTH, json),
            (&["application/json"], &[Media::Lines], None),
            (&["application/json"], &[Media::Metrics], None),
            (
                &[
                    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ],
                &[Media::Metrics],
                Some(Media::Metrics),
            ),
        ];
        for (lines, offered, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(ACCEPT, HeaderValue::from_static(line));
            }
            let chosen = negotiate(&headers, offered);
            assert_eq!(chosen.as_ref().ok(), expected.as_ref(), "{lines:?}");
        }
    }

    #[test]
    fn a_refusal_names_what_there_is() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("image/png"));
        let failure = negotiate(&headers, BOTH).unwrap_err();
        assert_eq!(failure.fault, Fault::NotAcceptable);
        let message = failure.error.message();
        assert!(
            message.ends_with("application/json or application/x-ndjson"),
            "{message}"
        );
    }
}
