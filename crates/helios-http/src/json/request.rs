//! The fields of a JSON request body, taken by name with the type they must have.
//!
//! Unknown fields are ignored, so that newer clients can talk to older servers; a field of the
//! wrong type is an error that names it.

use crate::error::{Failure, Fault, Result};
use helios_types::ErrorKind;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;

/// The top-level fields of a request body.
#[derive(Debug, Default)]
pub struct Fields(Map<String, Json>);

impl Fields {
    /// An empty body is an empty object.
    pub fn parse(body: &[u8]) -> Result<Self> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Json::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(malformed(
                "the request body must be a JSON object".to_owned(),
            )),
            Err(e) => Err(malformed(format!(
                "the request body is not valid JSON: {e}"
            ))),
        }
    }

    pub fn from_map(map: Map<String, Json>) -> Self {
        Self(map)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    pub fn str(&self, name: &str) -> Result<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", other)),
        }
    }

    pub fn required_str(&self, name: &str) -> Result<&str> {
        self.str(name)?.ok_or_else(|| missing(name))
    }

    pub fn bool(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Json::Bool(v)) => Ok(*v),
            Some(other) => Err(wrong(name, "true or false", other)),
        }
    }

    pub fn u64(&self, name: &str) -> Result<Option<u64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| wrong(name, "a whole number", value)),
        }
    }

    pub fn array(&self, name: &str) -> Result<Option<&[Json]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Array(items)) => Ok(Some(items)),
            Some(other) => Err(wrong(name, "an array", other)),
        }
    }

    pub fn object(&self, name: &str) -> Result<Option<&Map<String, Json>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Object(map)) => Ok(Some(map)),
            Some(other) => Err(wrong(name, "an object", other)),
        }
    }

    /// An array of strings.
    pub fn strings(&self, name: &str) -> Result<Option<Vec<&str>>> {
        let Some(items) = self.array(name)? else {
            return Ok(None);
        };
        items
            .iter()
            .map(|item| {
                item.as_str()
                    .ok_or_else(|| wrong(name, "an array of strings", item))
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    /// An array of objects.
    pub fn objects(&self, name: &str) -> Result<Option<Vec<&Map<String, Json>>>> {
        let Some(items) = self.array(name)? else {
            return Ok(None);
        };
        items
            .iter()
            .map(|item| {
                item.as_object()
                    .ok_or_else(|| wrong(name, "an array of objects", item))
            })
            .collect::<Result<_>>()
            .map(Some)
    }
}

pub fn missing(name: &str) -> Failure {
    Failure::field(format!("field \"{name}\" is required"))
}

fn wrong(name: &str, expected: &str, found: &Json) -> Failure {
    let found: Cow<'static, str> = match found {
        Json::Null => "null".into(),
        Json::Bool(_) => "a boolean".into(),
        Json::Number(number) => number.to_string().into(),
        Json::String(_) => "a string".into(),
        Json::Array(_) => "an array".into(),
        Json::Object(_) => "an object".into(),
    };
    Failure::field(format!("field \"{name}\" must be {expected}, not {found}"))
}

fn malformed(message: String) -> Failure {
    Failure::new(Fault::MalformedJson, ErrorKind::InvalidJson, message)
}
