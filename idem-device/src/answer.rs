//! What is answered: names and values, written as JSON or as CBOR when it is known which of them was asked for.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use idem::store::{AttemptId, Payload};
use idem::{Text, Timestamp, Token, encoding};

use crate::value::show;

/// How bodies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Cbor,
}

/// Names and values, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object(Vec<(&'static str, Value)>);

#[derive(Debug, Clone)]
enum Value {
    Null,
    Flag(bool),
    Number(u64),
    Text(Cow<'static, str>),
    Shared(Text),
    Token(Token),
    /// A UUID.
    Attempt(AttemptId),
    /// In the form of RFC 3339, UTC.
    Time(Timestamp),
    /// A byte string; base64 in JSON.
    Bytes(Vec<u8>),
    /// A value that is encoded already. What the format cannot say stands, as bytes, under the second name.
    Encoded(Payload, &'static str),
    Object(Object),
    List(Vec<Object>),
}

impl Object {
    pub(crate) fn new() -> Self {
        Object(Vec::with_capacity(12))
    }

    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((name, value));
        self
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| *other == name)
    }

    pub(crate) fn text(self, name: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        self.with(name, Value::Text(text.into()))
    }

    pub(crate) fn shared(self, name: &'static str, text: &Text) -> Self {
        self.with(name, Value::Shared(text.clone()))
    }

    pub(crate) fn token(self, token: Token) -> Self {
        self.with("token", Value::Token(token))
    }

    pub(crate) fn number(self, name: &'static str, number: u64) -> Self {
        self.with(name, Value::Number(number))
    }

    pub(crate) fn flag(self, name: &'static str, flag: bool) -> Self {
        self.with(name, Value::Flag(flag))
    }

    pub(crate) fn null(self, name: &'static str) -> Self {
        self.with(name, Value::Null)
    }

    pub(crate) fn bytes(self, name: &'static str, bytes: &[u8]) -> Self {
        self.with(name, Value::Bytes(bytes.to_vec()))
    }

    /// A value that is encoded already; what JSON cannot say stands under `other_name`.
    pub(crate) fn encoded(self, name: &'static str, other_name: &'static str, encoding: &Payload) -> Self {
        self.with(name, Value::Encoded(encoding.clone(), other_name))
    }

    /// A moment, in the form of RFC 3339, UTC; null for never.
    pub(crate) fn time(self, name: &'static str, time: Timestamp) -> Self {
        // What text cannot say is so far off that it never comes.
        if time.as_micros() > 253_402_300_799_999_999 {
            return self.null(name);
        }
        self.with(name, Value::Time(time))
    }

    /// Whole milliseconds, rounded up.
    pub(crate) fn millis(self, name: &'static str, duration: Duration) -> Self {
        self.number(name, millis(duration))
    }

    /// A UUID; null for nobody's.
    pub(crate) fn attempt(self, name: &'static str, attempt: AttemptId) -> Self {
        if attempt == AttemptId::NOBODY { self.null(name) } else { self.with(name, Value::Attempt(attempt)) }
    }

    pub(crate) fn object(self, name: &'static str, object: Option<Object>) -> Self {
        match object {
            Some(object) => self.with(name, Value::Object(object)),
            None => self.null(name),
        }
    }

    pub(crate) fn list(self, name: &'static str, list: Vec<Object>) -> Self {
        self.with(name, Value::List(list))
    }

    /// Another one's names and values after its own.
    pub(crate) fn and(mut self, other: Object) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(crate) fn write(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Json => self.write_json(out),
            Format::Cbor => self.write_cbor(out),
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let start = out.len();
            json_name(name, out);
            match value {
                Value::Null => out.extend_from_slice(b"null"),
                Value::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
                Value::Number(number) => drop(write!(out, "{number}")),
                Value::Token(token) => drop(write!(out, "\"{token}\"")),
                Value::Attempt(attempt) => drop(write!(out, "\"{}\"", Uuid(*attempt))),
                Value::Time(time) => drop(write!(out, "\"{}\"", rfc3339(*time))),
                Value::Text(text) => show::text(text, out),
                Value::Shared(text) => show::text(text, out),
                Value::Bytes(bytes) => base64(bytes, out),
                Value::Encoded(encoding, other) => {
                    if show::to_json(encoding, out).is_none() {
                        out.truncate(start);
                        json_name(other, out);
                        base64(encoding, out);
                    }
                }
                Value::Object(object) => object.write_json(out),
                Value::List(list) => {
                    out.push(b'[');
                    for (index, object) in list.iter().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        object.write_json(out);
                    }
                    out.push(b']');
                }
            }
        }
        out.push(b'}');
    }

    fn write_cbor(&self, out: &mut Vec<u8>) {
        encoding::map_header(self.0.len(), out);
        for (name, value) in &self.0 {
            let name = match value {
                Value::Encoded(bytes, other) if !is_encoding(bytes) => other,
                _ => name,
            };
            cbor_text(name, out);
            match value {
                Value::Null => out.push(0xf6),
                Value::Flag(flag) => out.push(if *flag { 0xf5 } else { 0xf4 }),
                Value::Number(number) => drop(encoding::append(number, out)),
                Value::Token(token) => cbor_text(&token.to_string(), out),
                Value::Attempt(attempt) => cbor_text(&Uuid(*attempt).to_string(), out),
                Value::Time(time) => cbor_text(&rfc3339(*time).to_string(), out),
                Value::Text(text) => cbor_text(text, out),
                Value::Shared(text) => cbor_text(text, out),
                Value::Encoded(bytes, _) if is_encoding(bytes) => out.extend_from_slice(bytes),
                Value::Encoded(bytes, _) => cbor_bytes(bytes, out),
                Value::Bytes(bytes) => cbor_bytes(bytes, out),
                Value::Object(object) => object.write_cbor(out),
                Value::List(list) => {
                    encoding::array_header(list.len(), out);
                    for object in list {
                        object.write_cbor(out);
                    }
                }
            }
        }
    }
}

/// A name of ours, which has nothing to escape.
fn json_name(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Whether a caller can read it as a value.
fn is_encoding(bytes: &[u8]) -> bool {
    encoding::is_encoding(bytes)
}

fn cbor_text(text: &str, out: &mut Vec<u8>) {
    encoding::text_header(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn cbor_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encoding::bytes_header(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let _ = write!(out, "\"{}\"", STANDARD.encode(bytes));
}

/// Whole milliseconds, rounded up.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// A moment in the form of RFC 3339, UTC.
fn rfc3339(time: Timestamp) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_micros(time.system_time())
}

/// An attempt's id, shown as a UUID.
pub(crate) struct Uuid(pub(crate) AttemptId);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0.to_bytes());
        let part = |from: u32, digits: u32| bits << from >> (128 - 4 * digits);
        let [a, b, c, d, e] = [part(0, 8), part(32, 4), part(48, 4), part(64, 4), part(80, 12)];
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

/// An answer, before it is known how it is written.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    /// What it is called in logs and metrics.
    pub(crate) outcome: &'static str,
    pub(crate) object: Object,
    /// Whether it is a problem document (RFC 9457).
    pub(crate) problem: bool,
}

impl Answer {
    /// Says first what the outcome is.
    pub(crate) fn new(status: StatusCode, outcome: &'static str, mut object: Object) -> Self {
        object.0.insert(0, ("outcome", Value::Text(outcome.into())));
        Answer { status, retry_after: None, outcome, object, problem: false }
    }

    pub(crate) fn ok(outcome: &'static str, object: Object) -> Self {
        Answer::new(StatusCode::OK, outcome, object)
    }

    pub(crate) fn write(&self, format: Format) -> Response {
        let mut body = Vec::with_capacity(256);
        self.object.write(format, &mut body);
        let kind = match (format, self.problem) {
            (Format::Json, false) => "application/json",
            (Format::Json, true) => "application/problem+json",
            (Format::Cbor, _) => "application/cbor",
        };
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // What is left of the body is not waited for.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 11.6.1.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            // Whole seconds, and never at once (RFC 9110, section 10.2.3).
            let seconds = after.as_millis().div_ceil(1000).max(1);
            headers
                .insert(header::RETRY_AFTER, HeaderValue::from(u32::try_from(seconds).unwrap_or(u32::MAX)));
        }
        response
    }
}

/// What is written once it is known how: the layer around all routes does that.
impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
