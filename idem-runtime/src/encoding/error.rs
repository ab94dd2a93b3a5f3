//! What went wrong, and where in the value.

use std::fmt;

use serde::de::{Expected, Unexpected};

/// A value that has no encoding.
///
/// Says what is wrong, and in which field.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(Box<Failure>);

/// Bytes that are not the encoding of a value of this type.
///
/// Says what was expected, what was found instead, and in which field; of the value itself it
/// shows nothing but names of fields and variants.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(Box<Failure>);

#[derive(Debug, Clone)]
struct Failure {
    message: String,
    /// The way to the value: `.items[2].price`.
    path: String,
}

impl Failure {
    #[cold]
    fn new(message: String) -> Box<Self> {
        Box::new(Failure { message, path: String::new() })
    }

    fn within(mut self: Box<Self>, step: Step<'_>) -> Box<Self> {
        self.path.insert_str(0, &step.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.strip_prefix('.').unwrap_or(&self.path);
        if path.is_empty() {
            return f.write_str(&self.message);
        }
        // Where things nest too deep, the way is longer than anybody reads.
        match path.char_indices().nth(100) {
            Some((end, _)) => write!(f, "in `{}…`: {}", &path[..end], self.message),
            None => write!(f, "in `{path}`: {}", self.message),
        }
    }
}

/// One step on the way to the value in which something is wrong.
pub(super) enum Step<'a> {
    Field(&'a str),
    Element(usize),
    /// Of a map. Its key is the user's data, which an error does not show.
    Entry,
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Element(index) => write!(f, "[{index}]"),
            Step::Entry => f.write_str("[_]"),
        }
    }
}

impl EncodeError {
    #[cold]
    pub(super) fn new(message: impl Into<String>) -> Self {
        EncodeError(Failure::new(message.into()))
    }

    #[cold]
    pub(super) fn within(self, step: Step<'_>) -> Self {
        EncodeError(self.0.within(step))
    }
}

impl DecodeError {
    #[cold]
    pub(crate) fn new(message: impl Into<String>) -> Self {
        DecodeError(Failure::new(message.into()))
    }

    #[cold]
    pub(super) fn within(self, step: Step<'_>) -> Self {
        DecodeError(self.0.within(step))
    }
}

impl serde::ser::Error for EncodeError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        EncodeError::new(message.to_string())
    }
}

impl serde::de::Error for DecodeError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError::new(message.to_string())
    }

    // serde's own words for these two would show the value.
    #[cold]
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        DecodeError::new(format!("expected {expected}, found {}", kind(found)))
    }

    #[cold]
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let kind = kind(found);
        let noun = kind.split_once(' ').map_or(kind, |(_, noun)| noun);
        DecodeError::new(format!("expected {expected}, found another {noun}"))
    }
}

fn kind(found: Unexpected<'_>) -> &str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a float",
        Unexpected::Char(_) => "a character",
        Unexpected::Str(_) => "a text",
        Unexpected::Bytes(_) => "a byte string",
        Unexpected::Unit => "null",
        Unexpected::Option => "an option",
        Unexpected::NewtypeStruct => "a newtype struct",
        Unexpected::Seq => "an array",
        Unexpected::Map => "a map",
        Unexpected::Enum => "an enum",
        Unexpected::UnitVariant => "a variant without content",
        Unexpected::NewtypeVariant | Unexpected::TupleVariant | Unexpected::StructVariant => {
            "a variant with content"
        }
        // So serde shows an integer of 128 bits.
        Unexpected::Other(what) if what.starts_with("integer ") => "an integer of 128 bits",
        Unexpected::Other(what) => what,
    }
}
