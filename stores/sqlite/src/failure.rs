//! What can go wrong, and how it is said.

use idem_runtime::store::{CodecError, StoreError};
use idem_runtime::{Text, Token};
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_WRITE, SQLITE_READONLY_DBMOVED};

use crate::busy;

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// SQLite says so of a commit: whether it is on the disk may not be known.
    Commit(rusqlite::Error),
    /// The record under this token cannot be read.
    Damaged(Token, String),
    /// A newer version of the library wrote the record under this token.
    NewerRecord(Token, CodecError),
    /// Another file stands in the place of the one that was opened, or none.
    Moved,
    /// This process is not the one that opened the file.
    Forked,
    /// A newer version of the library has changed the file.
    Newer(i64),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sqlite(error)
    }
}

impl Failure {
    /// Whether the same may succeed in a moment.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Failure::Sqlite(error) | Failure::Commit(error) if busy::is_busy(error))
    }

    /// Whether it may have been done all the same.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Failure::Commit(error) if is_unknown(error))
    }

    /// What the caller is told.
    pub(crate) fn explain(self, store: &Text) -> StoreError {
        let store = store.clone();
        match self {
            Failure::Commit(error) if is_unknown(&error) => StoreError::lost(
                store,
                "could not tell whether the disk has what was written; ask again, and check the disk",
            )
            .with_source(error),
            Failure::Sqlite(error) | Failure::Commit(error) => explain(store, error),
            Failure::Damaged(token, cause) => StoreError::refused(
                store,
                format!(
                    "holds a damaged record under the token {token} and leaves it as it is ({cause}): restore the file \
                     from a copy; or, if the operation may be done again, delete the row \
                     (DELETE FROM record WHERE token = x'{token}')"
                ),
            ),
            Failure::NewerRecord(token, cause) => {
                StoreError::refused(store, format!("cannot read the record under the token {token}"))
                    .with_source(cause)
            }
            Failure::Moved => StoreError::refused(
                store,
                "was deleted, moved or replaced while it was open: put the file back or open the store again",
            ),
            Failure::Forked => StoreError::refused(
                store,
                "was opened before this process was forked, and SQLite does not work over a fork: \
                 let the child start another program (exec) before it uses the store",
            ),
            Failure::Newer(version) => StoreError::refused(store, newer(version)),
        }
    }
}

/// Whether a commit that failed with this may be on the disk all the same.
fn is_unknown(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        // What ends a transaction is written last, so a write that failed leaves nothing of it. A failed sync does:
        // what the system has may reach the disk yet, and count after a crash.
        Some(ErrorCode::SystemIoFailure) => extended(error) != SQLITE_IOERR_WRITE,
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => false,
        _ => !busy::is_busy(error),
    }
}

/// What is said of a file that a newer version of the library wrote.
pub(crate) fn newer(version: i64) -> String {
    format!(
        "has version {version} of the tables, and this program knows {} at most: \
         a newer idem-sqlite has migrated the file; update this program",
        crate::schema::VERSION
    )
}

fn explain(store: Text, error: rusqlite::Error) -> StoreError {
    type Make = fn(Text, &'static str) -> StoreError;
    let (make, message): (Make, _) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => (
            StoreError::unavailable,
            "was being written by others for the whole time limit: \
             look for a process that keeps a transaction open, or raise `time_limit`",
        ),
        Some(ErrorCode::DiskFull) => (
            StoreError::refused,
            "has no room left on its disk: free some (expired records are reused first)",
        ),
        Some(ErrorCode::ReadOnly) if extended(&error) == SQLITE_READONLY_DBMOVED => {
            return Failure::Moved.explain(&store);
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (StoreError::refused, READ_ONLY),
        Some(ErrorCode::NotADatabase) => {
            (StoreError::refused, "is not an SQLite database: give another path, or move the file away")
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            StoreError::refused,
            "is damaged: look at it with `PRAGMA integrity_check`, and restore it from a copy",
        ),
        Some(ErrorCode::CannotOpen) => (
            StoreError::unavailable,
            "could not be opened: check its folder, its permissions and how many files the process may open",
        ),
        Some(ErrorCode::TooBig) => (
            StoreError::too_large,
            "takes no record of that size: lower `max_result`, or give smaller arguments",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            StoreError::unavailable,
            "could not be read or written: check the disk, its room and the limits of the process",
        ),
        Some(ErrorCode::Unknown | ErrorCode::TypeMismatch) => (
            StoreError::refused,
            "does not have the tables it had when it was opened: restore it from a copy",
        ),
        _ => (StoreError::unavailable, "failed"),
    };
    make(store, message).with_source(error)
}

/// What is said of a file that cannot be written.
pub(crate) const READ_ONLY: &str = "is read-only: give this process permission to write the file and its folder (SQLite keeps two files beside it)";

fn extended(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().map_or(0, |error| error.extended_code)
}

/// Why a record could not be read.
pub(crate) fn unreadable(token: Token, error: CodecError) -> Failure {
    match error {
        CodecError::Newer { .. } => Failure::NewerRecord(token, error),
        error => Failure::Damaged(token, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use idem_runtime::store::Fault;
    use rusqlite::{Error, ffi};

    use super::*;

    fn sqlite(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn what_is_known_of_the_request() {
        let name = Text::from("sqlite:orders.db");
        for (failure, fault, said) in [
            (Failure::Sqlite(sqlite(ffi::SQLITE_BUSY)), Fault::Unavailable, "time limit"),
            (Failure::Commit(sqlite(ffi::SQLITE_BUSY)), Fault::Unavailable, "time limit"),
            (Failure::Commit(sqlite(ffi::SQLITE_FULL)), Fault::Refused, "no room left"),
            (Failure::Commit(sqlite(ffi::SQLITE_IOERR_WRITE)), Fault::Unavailable, "room and the limits"),
            (Failure::Commit(sqlite(ffi::SQLITE_IOERR_FSYNC)), Fault::Lost, "ask again"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_IOERR_READ)), Fault::Unavailable, "check the disk"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_READONLY)), Fault::Refused, "read-only"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_READONLY_DBMOVED)), Fault::Refused, "open the store again"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_CORRUPT)), Fault::Refused, "integrity_check"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_NOTADB)), Fault::Refused, "is not an SQLite database"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_TOOBIG)), Fault::TooLarge, "max_result"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_ERROR)), Fault::Refused, "tables"),
            (Failure::Sqlite(sqlite(ffi::SQLITE_NOMEM)), Fault::Unavailable, "failed"),
            (Failure::Moved, Fault::Refused, "replaced"),
            (Failure::Forked, Fault::Refused, "let the child"),
            (Failure::Newer(7), Fault::Refused, "version 7"),
            (Failure::Damaged(Token::default(), "cut off".into()), Fault::Refused, "x'0000"),
        ] {
            let said_before = format!("{failure:?}");
            let error = failure.explain(&name);
            assert_eq!(error.fault(), fault, "{said_before}");
            assert!(error.to_string().contains(said), "{error}");
            assert!(error.to_string().starts_with("the store sqlite:orders.db "), "{error}");
        }
    }
}
