//! Reading JSON text, with PostgreSQL's faults.

use super::build::{Container, ObjectBuilder, push_i64, push_numeric, push_string};
use super::{Jsonb, element};
use crate::limits::NESTING_MAX;
use crate::numeric::Numeric;
use crate::{Error, Result, error};

/// Checks that `text` is JSON, without building anything.
pub fn validate(text: &str) -> Result<()> {
    let mut parser = Parser::new(text, false);
    parser.check(0)?;
    parser.end()
}

pub(super) fn parse(text: &str) -> Result<Jsonb> {
    let mut parser = Parser::new(text, true);
    let mut out = Vec::with_capacity(text.len() + 16);
    out.push(0);
    let kind = parser.build(&mut out, 0)?;
    parser.end()?;
    out[0] = kind;
    Ok(Jsonb::from_buffer(out))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    String,
    Number,
    True,
    False,
    Null,
    Punctuation(u8),
    End,
}

struct Parser<'a> {
    text: &'a str,
    /// Start and end of the current token.
    start: usize,
    at: usize,
    token: Token,
    /// Whether strings are decoded into `decoded`.
    decode: bool,
    decoded: String,
}

fn json_error() -> Error {
    error!(
        InvalidTextRepresentation,
        "invalid input syntax for type json"
    )
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, decode: bool) -> Self {
        Parser {
            text,
            start: 0,
            at: 0,
            token: Token::End,
            decode,
            decoded: String::new(),
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn current(&self) -> &'a str {
        self.text.get(self.start..self.at).unwrap_or("")
    }

    /// Reads the next token.
    fn next(&mut self) -> Result<Token> {
        while matches!(self.byte(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.start = self.at;
        self.token = match self.byte(self.at) {
            None => Token::End,
            Some(b @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => {
                self.at += 1;
                Token::Punctuation(b)
            }
            Some(b'"') => {
                self.string()?;
                Token::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Token::Number
            }
            Some(_) => self.word()?,
        };
        Ok(self.token)
    }

    /// The end of a run of characters that could belong to a word.
    fn word_end(&self, from: usize) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or(&[]);
        let run = rest
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80));
        from + run.unwrap_or(rest.len())
    }

    fn word(&mut self) -> Result<Token> {
        let end = self.word_end(self.at);
        if end == self.at {
            let c = self.text[self.at..]
                .chars()
                .next()
                .map_or(1, char::len_utf8);
            self.at += c;
            return Err(self.invalid_token());
        }
        self.at = end;
        match self.current() {
            "true" => Ok(Token::True),
            "false" => Ok(Token::False),
            "null" => Ok(Token::Null),
            _ => Err(self.invalid_token()),
        }
    }

    fn invalid_token(&self) -> Error {
        json_error().with_detail(format!("Token \"{}\" is invalid.", self.current()))
    }

    fn digits(&self, mut at: usize) -> Option<usize> {
        let start = at;
        while self.byte(at).is_some_and(|b| b.is_ascii_digit()) {
            at += 1;
        }
        (at > start).then_some(at)
    }

    fn number(&mut self) -> Result<()> {
        let end = self.number_end();
        // Letters that touch a number make one bad token with it.
        let word = self.word_end(end.unwrap_or(self.at + 1));
        match end {
            Some(end) if word == end => {
                self.at = end;
                Ok(())
            }
            _ => {
                self.at = word;
                Err(self.invalid_token())
            }
        }
    }

    fn number_end(&self) -> Option<usize> {
        let mut at = self.at;
        if self.byte(at) == Some(b'-') {
            at += 1;
        }
        at = match self.byte(at)? {
            b'0' => at + 1,
            _ => self.digits(at)?,
        };
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(self.byte(at), Some(b'+' | b'-')) {
                at += 1;
            }
            at = self.digits(at)?;
        }
        Some(at)
    }

    fn string(&mut self) -> Result<()> {
        self.decoded.clear();
        self.at += 1;
        let mut plain = self.at;
        loop {
            match self.byte(self.at) {
                None => return Err(self.invalid_token()),
                Some(b'"') => break,
                Some(b'\\') => {
                    self.copy(plain);
                    self.escape()?;
                    plain = self.at;
                }
                Some(b) if b < 0x20 => {
                    return Err(json_error()
                        .with_detail(format!("Character with value 0x{b:02x} must be escaped.")));
                }
                Some(_) => self.at += 1,
            }
        }
        self.copy(plain);
        self.at += 1;
        Ok(())
    }

    fn copy(&mut self, from: usize) {
        if self.decode {
            self.decoded.push_str(&self.text[from..self.at]);
        }
    }

    fn escape(&mut self) -> Result<()> {
        let Some(escaped) = self.byte(self.at + 1) else {
            self.at = self.text.len();
            return Err(self.invalid_token());
        };
        let plain = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => {
                let c = self.text[self.at + 1..].chars().next().unwrap_or(' ');
                return Err(
                    json_error().with_detail(format!("Escape sequence \"\\{c}\" is invalid."))
                );
            }
        };
        self.at += 2;
        if self.decode {
            self.decoded.push(plain);
        }
        Ok(())
    }

    /// The four digits of the escape at the current position, which is moved behind them.
    fn code_unit(&mut self) -> Result<u32> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
        let unit = digits.and_then(|d| {
            d.iter()
                .try_fold(0, |n, b| Some(n << 4 | char::from(*b).to_digit(16)?))
        });
        let Some(unit) = unit else {
            return Err(
                json_error().with_detail("\"\\u\" must be followed by four hexadecimal digits.")
            );
        };
        self.at += 6;
        Ok(unit)
    }

    fn unicode_escape(&mut self) -> Result<()> {
        let low_missing =
            || json_error().with_detail("Unicode low surrogate must follow a high surrogate.");
        let unit = self.code_unit()?;
        if !self.decode {
            // Type json keeps the spelling, so pairs are checked only when they are decoded.
            return Ok(());
        }
        let code = match unit {
            0xd800..=0xdbff => {
                if self.byte(self.at) != Some(b'\\') || self.byte(self.at + 1) != Some(b'u') {
                    return Err(low_missing());
                }
                match self.code_unit()? {
                    low @ 0xdc00..=0xdfff => 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                    0xd800..=0xdbff => {
                        return Err(json_error().with_detail(
                            "Unicode high surrogate must not follow a high surrogate.",
                        ));
                    }
                    _ => return Err(low_missing()),
                }
            }
            0xdc00..=0xdfff => return Err(low_missing()),
            0 => {
                return Err(error!(InvalidJson, "unsupported Unicode escape sequence")
                    .with_detail("\\u0000 cannot be converted to text.")
                    .with_sqlstate(*b"22P05"));
            }
            unit => unit,
        };
        self.decoded
            .push(char::from_u32(code).ok_or_else(json_error)?);
        Ok(())
    }

    fn expected(&self, what: &str) -> Error {
        if self.token == Token::End {
            return json_error().with_detail("The input string ended unexpectedly.");
        }
        json_error().with_detail(format!(
            "Expected {what}, but found \"{}\".",
            self.current()
        ))
    }

    fn end(&mut self) -> Result<()> {
        match self.next()? {
            Token::End => Ok(()),
            _ => Err(self.expected("end of input")),
        }
    }

    fn check_depth(&self, depth: usize) -> Result<()> {
        if depth >= NESTING_MAX {
            return Err(
                error!(LimitExceeded, "JSON nests deeper than {NESTING_MAX} levels")
                    .with_sqlstate(*b"54001"),
            );
        }
        Ok(())
    }

    fn check(&mut self, depth: usize) -> Result<()> {
        self.next()?;
        self.check_current(depth)
    }

    /// The value that the current token starts.
    fn check_current(&mut self, depth: usize) -> Result<()> {
        self.check_depth(depth)?;
        match self.token {
            Token::String | Token::Number | Token::True | Token::False | Token::Null => Ok(()),
            Token::Punctuation(b'{') => self.members(|parser| parser.check(depth + 1)),
            Token::Punctuation(b'[') => self.elements(|parser| parser.check_current(depth + 1)),
            _ => Err(self.expected("JSON value")),
        }
    }

    /// The members of an object behind its brace; `value` reads each value, the key is decoded.
    fn members(&mut self, mut value: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let mut first = true;
        loop {
            match self.next()? {
                Token::String => {}
                Token::Punctuation(b'}') if first => return Ok(()),
                _ if first => return Err(self.expected("string or \"}\"")),
                _ => return Err(self.expected("string")),
            }
            first = false;
            let key = std::mem::take(&mut self.decoded);
            if self.next()? != Token::Punctuation(b':') {
                return Err(self.expected("\":\""));
            }
            self.decoded = key;
            value(self)?;
            match self.next()? {
                Token::Punctuation(b',') => {}
                Token::Punctuation(b'}') => return Ok(()),
                _ => return Err(self.expected("\",\" or \"}\"")),
            }
        }
    }

    /// The elements of an array behind its bracket; `value` finds the first token read.
    fn elements(&mut self, mut value: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.next()? == Token::Punctuation(b']') {
            return Ok(());
        }
        loop {
            value(self)?;
            match self.next()? {
                Token::Punctuation(b',') => {}
                Token::Punctuation(b']') => return Ok(()),
                _ => return Err(self.expected("\",\" or \"]\"")),
            }
            self.next()?;
        }
    }

    /// Appends the value's bytes to `out` and returns its element type.
    fn build(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<u8> {
        self.next()?;
        self.build_current(out, depth)
    }

    fn build_current(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<u8> {
        self.check_depth(depth)?;
        match self.token {
            Token::String => {
                push_string(out, &self.decoded);
                Ok(element::STRING)
            }
            Token::Number => self.build_number(out),
            Token::True | Token::False => {
                out.push(u8::from(self.token == Token::True));
                Ok(element::BOOL)
            }
            Token::Null => Ok(element::NULL),
            Token::Punctuation(b'{') => {
                let mut object = ObjectBuilder::new();
                self.members(|parser| {
                    let key = std::mem::take(&mut parser.decoded);
                    let mut result = Ok(element::NULL);
                    object.push_with(&key, |out| {
                        result = parser.build(out, depth + 1);
                        *result.as_ref().unwrap_or(&element::NULL)
                    });
                    result.map(|_| ())
                })?;
                object.finish_into(out);
                Ok(element::DOCUMENT)
            }
            Token::Punctuation(b'[') => {
                let container = Container::open(out);
                let mut index = 0usize;
                self.elements(|parser| {
                    let type_at = out.len();
                    out.push(0);
                    out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
                    out.push(0);
                    out[type_at] = parser.build_current(out, depth + 1)?;
                    index += 1;
                    Ok(())
                })?;
                container.close(out);
                Ok(element::ARRAY)
            }
            _ => Err(self.expected("JSON value")),
        }
    }

    fn build_number(&mut self, out: &mut Vec<u8>) -> Result<u8> {
        let digits = self.current();
        if let Ok(value) = digits.parse::<i64>() {
            return Ok(push_i64(out, value));
        }
        Ok(push_numeric(out, &Numeric::parse(digits)?))
    }
}
