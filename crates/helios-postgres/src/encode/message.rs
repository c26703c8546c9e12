//! Every backend message but the rows.

use super::Output;
use helios_types::{Error, Type};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    /// The connection ends with it.
    Fatal,
    Warning,
    Notice,
    Info,
    Log,
    Debug,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE",
            Severity::Info => "INFO",
            Severity::Log => "LOG",
            Severity::Debug => "DEBUG",
        }
    }
}

/// What ReadyForQuery says of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    Idle,
    Open,
    Failed,
}

/// One column of a RowDescription.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub name: &'a str,
    /// Table and attnum, zeroes when the column is not a table's.
    pub table: u32,
    pub attnum: i16,
    pub ty: Type,
    pub binary: bool,
}

impl Output {
    fn empty_message(&mut self, tag: u8) {
        let start = self.begin(tag);
        self.end(start);
    }

    pub fn authentication_ok(&mut self) {
        let start = self.begin(b'R');
        self.i32(0);
        self.end(start);
    }

    pub fn authentication_sasl(&mut self, mechanisms: &[&str]) {
        let start = self.begin(b'R');
        self.i32(10);
        for mechanism in mechanisms {
            self.text(mechanism);
        }
        self.buffer.push(0);
        self.end(start);
    }

    pub fn authentication_sasl_continue(&mut self, data: &[u8]) {
        let start = self.begin(b'R');
        self.i32(11);
        self.buffer.extend_from_slice(data);
        self.end(start);
    }

    pub fn authentication_sasl_final(&mut self, data: &[u8]) {
        let start = self.begin(b'R');
        self.i32(12);
        self.buffer.extend_from_slice(data);
        self.end(start);
    }

    pub fn negotiate_protocol_version(&mut self, minor: u16, unknown_options: &[&str]) {
        let start = self.begin(b'v');
        self.i32(3 << 16 | i32::from(minor));
        self.i32(unknown_options.len() as i32);
        for option in unknown_options {
            self.text(option);
        }
        self.end(start);
    }

    pub fn parameter_status(&mut self, name: &str, value: &str) {
        let start = self.begin(b'S');
        self.text(name);
        self.text(value);
        self.end(start);
    }

    pub fn backend_key_data(&mut self, pid: i32, key: &[u8]) {
        let start = self.begin(b'K');
        self.i32(pid);
        self.buffer.extend_from_slice(key);
        self.end(start);
    }

    pub fn ready_for_query(&mut self, transaction: Transaction) {
        let start = self.begin(b'Z');
        self.buffer.push(match transaction {
            Transaction::Idle => b'I',
            Transaction::Open => b'T',
            Transaction::Failed => b'E',
        });
        self.end(start);
    }

    pub fn parse_complete(&mut self) {
        self.empty_message(b'1');
    }

    pub fn bind_complete(&mut self) {
        self.empty_message(b'2');
    }

    pub fn close_complete(&mut self) {
        self.empty_message(b'3');
    }

    pub fn no_data(&mut self) {
        self.empty_message(b'n');
    }

    pub fn portal_suspended(&mut self) {
        self.empty_message(b's');
    }

    pub fn empty_query(&mut self) {
        self.empty_message(b'I');
    }

    pub fn parameter_description(&mut self, types: &[Type]) {
        let start = self.begin(b't');
        self.i16(types.len() as u16 as i16);
        for ty in types {
            self.u32(ty.oid);
        }
        self.end(start);
    }

    pub fn row_description<'a>(&mut self, fields: impl ExactSizeIterator<Item = Field<'a>>) {
        let start = self.begin(b'T');
        self.i16(fields.len() as u16 as i16);
        for field in fields {
            self.text(field.name);
            self.u32(field.table);
            self.i16(field.attnum);
            self.u32(field.ty.oid);
            self.i16(type_length(field.ty));
            self.i32(field.ty.modifier);
            self.i16(i16::from(field.binary));
        }
        self.end(start);
    }

    /// CommandComplete with a word and a count, which may be empty.
    pub fn command_tag(&mut self, word: &str, count: &str) {
        let start = self.begin(b'C');
        self.buffer.extend_from_slice(word.as_bytes());
        self.text(count);
        self.end(start);
    }

    /// CopyInResponse or CopyOutResponse.
    pub fn copy_response(&mut self, into_server: bool, binary: bool, columns: usize) {
        let start = self.begin(if into_server { b'G' } else { b'H' });
        self.buffer.push(u8::from(binary));
        self.i16(columns as u16 as i16);
        for _ in 0..columns {
            self.i16(i16::from(binary));
        }
        self.end(start);
    }

    pub fn copy_data(&mut self, data: &[u8]) {
        let start = self.begin(b'd');
        self.buffer.extend_from_slice(data);
        self.end(start);
    }

    pub fn copy_done(&mut self) {
        self.empty_message(b'c');
    }

    pub fn error(&mut self, severity: Severity, error: &Error, context: Option<&str>) {
        let fields = error.fields();
        let start = self.begin(b'E');
        self.report(severity, error.sqlstate(), &fields.message);
        self.optional(b'D', fields.detail.as_deref());
        self.optional(b'H', fields.hint.as_deref());
        if let Some(position) = fields.position {
            self.optional(b'P', Some(&position.to_string()));
        }
        self.optional(b'W', context);
        self.optional(b's', fields.schema.as_deref());
        self.optional(b't', fields.table.as_deref());
        self.optional(b'c', fields.column.as_deref());
        self.optional(b'd', fields.datatype.as_deref());
        self.optional(b'n', fields.constraint.as_deref());
        self.buffer.push(0);
        self.end(start);
    }

    /// NoticeResponse.
    pub fn notice(
        &mut self,
        severity: Severity,
        sqlstate: &str,
        message: &str,
        detail: Option<&str>,
        hint: Option<&str>,
    ) {
        let start = self.begin(b'N');
        self.report(severity, sqlstate, message);
        self.optional(b'D', detail);
        self.optional(b'H', hint);
        self.buffer.push(0);
        self.end(start);
    }

    fn report(&mut self, severity: Severity, sqlstate: &str, message: &str) {
        self.optional(b'S', Some(severity.name()));
        self.optional(b'V', Some(severity.name()));
        self.optional(b'C', Some(sqlstate));
        self.optional(b'M', Some(message));
    }

    fn optional(&mut self, code: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.buffer.push(code);
            self.text(text);
        }
    }
}

/// `pg_type.typlen`: fixed size in bytes, -1 for variable length, -2 for a C string.
fn type_length(ty: Type) -> i16 {
    match helios_types::types::info(ty.oid) {
        Some(info) => info.len,
        None => -1,
    }
}
