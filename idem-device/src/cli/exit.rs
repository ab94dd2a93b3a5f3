//! How a command ends when it has not done what it was told: each reason with an exit code of its own, for scripts.

use std::fmt;

/// The end of a command, in words and as an exit code.
///
/// 1 is anything else that went wrong (the store does not answer), 2 a command line that is none.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) code: u8,
    message: String,
}

/// There is no such record.
const NO_RECORD: u8 = 3;
/// The record does not allow it, or still runs.
const REFUSED: u8 = 4;
/// Nobody has agreed to it.
const NOT_AGREED: u8 = 5;
/// The store's settings cost a promise.
const WARNED: u8 = 6;

/// What the help of the whole command says of them.
pub(super) const CODES: &str = "\
Exit codes: 0 done; 1 it failed, such as a store that does not answer; 2 the command line is wrong; 3 there is no such \
record; 4 the record does not allow it, or still runs; 5 nobody agreed to the change; 6 doctor has warnings.";

impl Exit {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Exit { code, message: message.into() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Exit::new(2, message)
    }

    pub(super) fn no_record(message: impl Into<String>) -> Self {
        Exit::new(NO_RECORD, message)
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Exit::new(REFUSED, message)
    }

    pub(super) fn not_agreed(message: impl Into<String>) -> Self {
        Exit::new(NOT_AGREED, message)
    }

    pub(super) fn warned(message: impl Into<String>) -> Self {
        Exit::new(WARNED, message)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}
