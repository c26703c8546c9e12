use super::*;
use crate::encode::TextForm;
use helios_types::text::{TextContext, to_text};
use helios_types::{Result, Value};

fn columns(types: &[Type]) -> Vec<CopyColumn> {
    types
        .iter()
        .enumerate()
        .map(|(i, ty)| CopyColumn {
            name: format!("c{i}"),
            ty: *ty,
            force_quote: false,
            force_not_null: false,
            force_null: false,
        })
        .collect()
}

/// Reads `data` in pieces of `piece` bytes and prints the rows.
fn read(options: &CopyOptions, types: &[Type], data: &[u8], piece: usize) -> Result<Vec<String>> {
    let context = TextContext::default();
    let mut reader = CopyReader::new(options.clone(), columns(types), context);
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut show = |row: &[Value]| {
        let fields: Vec<String> = row
            .iter()
            .zip(types)
            .map(|(v, ty)| {
                if v.is_null() {
                    "NULL".into()
                } else {
                    to_text(*ty, v, &context)
                }
            })
            .collect();
        rows.push(fields.join("|"));
    };
    for part in data.chunks(piece) {
        reader.push(part)?;
        while reader.next_row(&mut row, false)? {
            show(&row);
        }
    }
    while reader.next_row(&mut row, true)? {
        show(&row);
    }
    Ok(rows)
}

const TEXT_INT: &[Type] = &[Type::TEXT, Type::INT4];

#[test]
fn text_data_is_read_the_same_however_it_is_cut() {
    let options = default_options(CopyFormat::Text);
    let data = b"plain\t1\ntab\\tand\\\\slash\t2\n\\N\t\\N\nend\\\nof line\t3\n\\x41\\102\t4\n\\\\N\t5\n\\.\nrest";
    let expected = [
        "plain|1",
        "tab\tand\\slash|2",
        "NULL|NULL",
        "end\nof line|3",
        "AB|4",
        "\\N|5",
    ];
    for piece in 1..=data.len() {
        assert_eq!(
            read(&options, TEXT_INT, data, piece).unwrap(),
            expected,
            "pieces of {piece}"
        );
    }
}

#[test]
fn csv_data_is_read_the_same_however_it_is_cut() {
    let options = default_options(CopyFormat::Csv);
    let data = b"plain,1\r\n\"a,\"\"b\"\"\r\nc\",2\r\n,\r\n\"\",3\r\nx\"y z\"w,4";
    let expected = ["plain|1", "a,\"b\"\r\nc|2", "NULL|NULL", "|3", "xy zw|4"];
    for piece in 1..=data.len() {
        assert_eq!(
            read(&options, TEXT_INT, data, piece).unwrap(),
            expected,
            "pieces of {piece}"
        );
    }
}

#[test]
fn damaged_data_is_refused_with_postgresql_s_words() {
    let text = default_options(CopyFormat::Text);
    let csv = default_options(CopyFormat::Csv);
    for (options, data, message) in [
        (&text, &b"a\n"[..], "missing data for column \"c1\""),
        (&text, b"a\t1\t2\n", "extra data after last expected column"),
        (
            &text,
            b"a\tx\n",
            "invalid input syntax for type integer: \"x\"",
        ),
        (
            &text,
            b"a\t1\nb\t2\r\n",
            "literal carriage return found in data",
        ),
        (
            &text,
            b"\xff\t1\n",
            "invalid byte sequence for encoding \"UTF8\": 0xff",
        ),
        (&csv, b"\"a,1\n", "unterminated CSV quoted field"),
        (&csv, b"a,1\r\nb,2\n", "unquoted newline found in data"),
    ] {
        let error = read(options, TEXT_INT, data, 1000).unwrap_err();
        assert_eq!(error.message(), message);
    }
}

#[test]
fn what_is_written_is_read_back() {
    let rows = [
        vec![Value::text("a\tb\\c\nd\re,\"f\""), Value::Int4(-7)],
        vec![Value::Null, Value::Null],
        vec![Value::text(""), Value::Int4(0)],
        vec![Value::text("\\N"), Value::Int4(1)],
    ];
    for format in [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary] {
        let options = default_options(format);
        let mut writer = CopyWriter::new(options.clone(), columns(TEXT_INT), TextForm::default());
        let mut data = writer.header();
        for row in &rows {
            let values: Vec<_> = row.iter().map(Value::as_ref).collect();
            writer.write_row(&mut data, &values).unwrap();
        }
        data.extend_from_slice(writer.trailer());
        for piece in [1, 3, 1000] {
            assert_eq!(
                read(&options, TEXT_INT, &data, piece).unwrap(),
                ["a\tb\\c\nd\re,\"f\"|-7", "NULL|NULL", "|0", "\\N|1"],
                "{format:?} in pieces of {piece}"
            );
        }
    }
}

#[test]
fn a_header_line_is_skipped_or_compared() {
    let mut options = default_options(CopyFormat::Csv);
    options.header = CopyHeader::Write;
    assert_eq!(
        read(&options, TEXT_INT, b"x,y\na,1\n", 1000).unwrap(),
        ["a|1"]
    );
    options.header = CopyHeader::Match;
    let error = read(&options, TEXT_INT, b"c0,y\na,1\n", 1000).unwrap_err();
    assert_eq!(
        error.message(),
        "column name mismatch in header line field 2: got \"y\", expected \"c1\""
    );
}
