//! Objects: fields, merging, and conversion from and to arrays.

use super::*;

pub(super) fn operator(name: &str) -> Option<Operator> {
    let op = |name, min, max, call| {
        Some(Operator {
            name,
            min,
            max,
            call,
        })
    };
    match name {
        "$mergeObjects" => op("$mergeObjects", 0, usize::MAX, merge),
        "$objectToArray" => op("$objectToArray", 1, 1, object_to_array),
        "$arrayToObject" => op("$arrayToObject", 1, 1, array_to_object),
        "$getField" => None,
        _ => None,
    }
}

pub(super) fn named(name: &str) -> Option<NamedOperator> {
    let op = |name, parameters, call| {
        Some(NamedOperator {
            name,
            parameters,
            call,
        })
    };
    match name {
        "$getField" => op("$getField", &[("field", true), ("input", true)], get_field),
        "$setField" => op(
            "$setField",
            &[("field", true), ("input", true), ("value", true)],
            set_field,
        ),
        "$unsetField" => op(
            "$unsetField",
            &[("field", true), ("input", true)],
            set_field,
        ),
        _ => None,
    }
}

/// A document's fields with one set; a missing value removes it.
pub(crate) fn with_field(document: Bson<'_>, name: &str, value: Bson<'_>) -> BsonBuf {
    let mut out = Writer::with_capacity(document.bytes.len() + value.bytes.len() + name.len() + 2);
    let mut found = false;
    for (n, v) in document.fields() {
        if n == name {
            if !found {
                out.put(name, value);
            }
            found = true;
        } else {
            out.put(n, v);
        }
    }
    if !found {
        out.put(name, value);
    }
    BsonBuf::document(out.finish())
}

/// Fields in order of first appearance, each with its last value.
pub(crate) fn merge_documents<'v>(documents: impl IntoIterator<Item = Bson<'v>>) -> BsonBuf {
    let mut fields: Vec<(&str, Bson<'_>)> = Vec::new();
    for document in documents {
        for (name, value) in document.fields() {
            match fields.iter_mut().find(|(n, _)| *n == name) {
                Some(field) => field.1 = value,
                None => fields.push((name, value)),
            }
        }
    }
    let mut out = Writer::new();
    for (name, value) in fields {
        out.put(name, value);
    }
    BsonBuf::document(out.finish())
}

fn merge<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let items = match arguments {
        [only] if only.as_bson().is_array() => only.as_bson().elements().collect::<Vec<_>>(),
        _ => arguments.iter().map(Val::as_bson).collect(),
    };
    for item in &items {
        if !item.is_document() && !item.is_nullish() {
            fail!(
                40400,
                "{name} requires object inputs, but input {} is of type {}",
                crate::document::display::render(*item),
                item.type_name()
            );
        }
    }
    Ok(merge_documents(items).into())
}

fn object_to_array<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    if !value.is_document() {
        fail!(
            40390,
            "{name} requires a document input, found: {}",
            value.type_name()
        );
    }
    let mut out = ArrayWriter::new();
    for (field, v) in value.fields() {
        let mut pair = Writer::new();
        pair.put_str("k", field);
        pair.put("v", v);
        out.push(Bson::document(&pair.finish()));
    }
    Ok(out.finish_buf().into())
}

fn array_to_object<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    if !value.is_array() {
        fail!(
            40386,
            "{name} requires an array input, found: {}",
            value.type_name()
        );
    }
    let mut fields: Vec<(&str, Bson<'_>)> = Vec::new();
    let mut form = None;
    for element in value.elements() {
        let (key, v) = match element.tag {
            ARRAY => {
                if form.replace(ARRAY).is_some_and(|f| f != ARRAY) {
                    fail!(
                        40396,
                        "{name} requires a consistent input format. Elements must all be arrays or all be objects. Array was detected, now found: {}",
                        element.type_name()
                    );
                }
                if element.len() != 2 {
                    fail!(
                        40397,
                        "{name} requires an array of size 2 arrays,found array of size: {}",
                        element.len()
                    );
                }
                (element.element(0), element.element(1))
            }
            DOCUMENT => {
                if form.replace(DOCUMENT).is_some_and(|f| f != DOCUMENT) {
                    fail!(
                        40391,
                        "{name} requires a consistent input format. Elements must all be arrays or all be objects. Object was detected, now found: {}",
                        element.type_name()
                    );
                }
                if element.len() != 2 {
                    fail!(
                        40392,
                        "{name} requires an object keys of 'k' and 'v'. Found incorrect number of keys:{}",
                        element.len()
                    );
                }
                let (key, v) = (element.get("k"), element.get("v"));
                if key.is_missing() || v.is_missing() {
                    fail!(
                        40393,
                        "{name} requires an object with keys 'k' and 'v'. Missing either or both keys from: {}",
                        crate::document::display::render(element)
                    );
                }
                (key, v)
            }
            _ => fail!(
                40398,
                "Unrecognised input type format for {name}: {}",
                element.type_name()
            ),
        };
        let Some(key) = key.as_str().filter(|_| key.tag == STRING) else {
            let error = if form == Some(ARRAY) { 40395 } else { 40394 };
            fail!(
                error,
                "{name} requires an object with keys 'k' and 'v', where the value of 'k' must be of type string. Found type: {}",
                key.type_name()
            );
        };
        check_name(key)?;
        match fields.iter_mut().find(|(n, _)| *n == key) {
            Some(field) => field.1 = v,
            None => fields.push((key, v)),
        }
    }
    let mut out = Writer::new();
    for (key, v) in fields {
        out.put(key, v);
    }
    Ok(BsonBuf::document(out.finish()).into())
}

/// A name made from a string must not end early in its BSON form.
fn check_name(name: &str) -> DocResult<()> {
    if name.contains('\0') {
        fail!(4940400, "Key field cannot contain an embedded null byte");
    }
    Ok(())
}

fn field_name<'v>(operator: &str, value: Bson<'v>) -> DocResult<&'v str> {
    let Some(name) = value.as_str().filter(|_| value.tag == STRING) else {
        fail!(
            3041704,
            "{operator} requires 'field' to evaluate to type String, but got {}",
            value.type_name()
        );
    };
    check_name(name)?;
    Ok(name)
}

fn get_field<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let field = arguments[0].as_ref().map_or(Bson::MISSING, Val::as_bson);
    let field = field_name(name, field)?;
    match &arguments[1] {
        Some(Val::Ref(v)) if v.is_document() => Ok(Val::Ref(v.get(field))),
        Some(Val::Own(v)) if v.tag == DOCUMENT => Ok(Val::Own(v.as_bson().get(field).to_buf())),
        Some(v) if v.is_nullish() && !v.is_missing() => Ok(Val::NULL),
        _ => Ok(Val::MISSING),
    }
}

fn set_field<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let get = |i: usize| {
        arguments
            .get(i)
            .and_then(Option::as_ref)
            .map_or(Bson::MISSING, Val::as_bson)
    };
    let field = field_name(name, get(0))?;
    let input = get(1);
    if input.is_nullish() {
        return Ok(Val::NULL);
    }
    if !input.is_document() {
        fail!(
            4161105,
            "{name} requires 'input' to evaluate to type Object"
        );
    }
    Ok(with_field(input, field, get(2)).into())
}
