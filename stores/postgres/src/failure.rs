//! What can go wrong, and how it is said.

use idem_runtime::store::StoreError;
use idem_runtime::{Text, Token};
use sqlx::Error;

use crate::schema::VERSION;

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection broke, or says what no good one says: whether it was carried out is not known, and the
    /// connection is of no use any more.
    Broken(Error),
    /// The server said no: it was not carried out.
    Refused(Error),
    /// The record under this token cannot be read.
    Damaged(Token, String),
    /// An operation that a newer version of the library has.
    Unknown(&'static str),
    /// As it is said already.
    Said(StoreError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let broken = match &error {
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
            // 57P01 to 57P05: the server ends the connection. 08: the connection. 25006: it has become a standby.
            Error::Database(_) => {
                let code = code(&error);
                code.starts_with("57P") || code.starts_with("08") || code == READ_ONLY
            }
            _ => false,
        };
        if broken { Failure::Broken(error) } else { Failure::Refused(error) }
    }
}

const READ_ONLY: &str = "25006";

/// The server's code of an error; nothing where it does not come from the server.
pub(crate) fn code(error: &Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

impl Failure {
    /// Whether the same may succeed in a moment: others were in the way.
    pub(crate) fn is_passing(&self) -> bool {
        // Serialization, deadlock, lock not available.
        matches!(self, Failure::Refused(error) if ["40001", "40P01", "55P03"].contains(&&*code(error)))
    }

    /// What the caller is told.
    pub(crate) fn explain(self, store: &Text) -> StoreError {
        match self {
            Failure::Broken(error) => {
                StoreError::lost(store.clone(), "was lost while it was asked; ask again").with_source(error)
            }
            Failure::Refused(error) => said(error, store),
            Failure::Unknown(operation) => StoreError::refused(
                store.clone(),
                format!("does not know the operation `{operation}`: update idem-postgres"),
            ),
            Failure::Said(error) => error,
            Failure::Damaged(token, cause) => StoreError::refused(
                store.clone(),
                format!(
                    "holds a damaged record under the token {token} and leaves it as it is ({cause}): restore it from a \
                     copy; or, if the operation may be done again, delete the row \
                     (DELETE FROM idem_record WHERE token = '\\x{token}')"
                ),
            ),
        }
    }
}

/// What the server has said to a request.
fn said(error: Error, store: &Text) -> StoreError {
    type Make = fn(Text, &'static str) -> StoreError;
    let code = code(&error);
    let (make, message): (Make, _) = match &*code {
        "42P01" | "42703" | "3F000" => (
            StoreError::refused,
            "does not have the tables it had when it was connected to: run `PostgresStore::migrate`, or restore them",
        ),
        "42501" => (StoreError::refused, DENIED),
        "53100" => (StoreError::refused, "has no room left on its disk: free some, then VACUUM or purge"),
        "53200" | "53300" | "53400" => {
            (StoreError::unavailable, "has too much to do: raise its limits, or ask less of it")
        }
        "54000" => (
            StoreError::too_large,
            "takes no record of that size: lower `max_result`, or give smaller arguments",
        ),
        READ_ONLY => (StoreError::refused, STANDBY),
        "57014" | "55P03" => (
            StoreError::unavailable,
            "was being written by others for the whole time limit: look for a transaction that stays open \
             (pg_stat_activity), or raise `time_limit`",
        ),
        "26000" | "42P05" | "08P01" => (
            StoreError::refused,
            "forgets prepared statements, as a transaction-pooling proxy does: add `pooled=transaction` to the URL",
        ),
        code if code.starts_with("40") => (StoreError::unavailable, "was being changed by others; ask again"),
        code if code.starts_with("22") || code.starts_with("42") => {
            (StoreError::refused, "does not understand this version of idem")
        }
        _ => (StoreError::unavailable, "failed"),
    };
    make(store.clone(), message).with_source(error)
}

const DENIED: &str = "does not let this user do that: GRANT SELECT, INSERT, UPDATE, DELETE ON idem_record; \
                      GRANT USAGE ON SEQUENCE idem_fence; GRANT SELECT ON idem_schema; USAGE ON their schema";

/// What is said where the user may not do what is needed.
pub(crate) fn denied(store: &Text) -> StoreError {
    StoreError::refused(store.clone(), DENIED)
}

/// What is said of a server that takes no writes.
pub(crate) const STANDBY: &str = "is read-only, a standby or a database with default_transaction_read_only: \
                                  connect to the primary";

/// What the server, or the way to it, has said when it was connected to.
pub(crate) fn connecting(error: Error, store: &Text) -> StoreError {
    type Make = fn(Text, &'static str) -> StoreError;
    let code = code(&error);
    let (make, message): (Make, _) = match (&error, &*code) {
        (Error::Configuration(_), _) => (StoreError::refused, "cannot be connected to: its URL is not right"),
        (Error::Tls(_), _) => (
            StoreError::refused,
            "could not agree on TLS: check `sslmode`, `sslrootcert` and the server's certificate",
        ),
        (_, "28P01" | "28000") => (
            StoreError::refused,
            "does not let this user in: check the user, the password and the server's pg_hba.conf",
        ),
        (_, "3D000") => {
            (StoreError::refused, "has no database of that name: CREATE DATABASE, or correct the URL")
        }
        (_, "53300") => (
            StoreError::unavailable,
            "has no connection left: lower `connections` in the services' URLs, or raise max_connections",
        ),
        (_, "57P03") => (StoreError::unavailable, "is starting or stopping"),
        (_, "08P01") => (
            StoreError::refused,
            "does not take this connection's settings, as a connection-pooling proxy does: \
             add `pooled=transaction` to the URL",
        ),
        (Error::Database(_), code) if code.starts_with("42501") => {
            (StoreError::refused, "does not let this user connect")
        }
        (Error::Protocol(_), _) => {
            (StoreError::unavailable, "does not answer as PostgreSQL does: check host and port")
        }
        _ => (StoreError::unavailable, "cannot be reached: check that it runs, its host and its port"),
    };
    make(store.clone(), message).with_source(error)
}

/// What the server has said while the tables were made.
pub(crate) fn migrating(error: Error, store: &Text) -> StoreError {
    match &*code(&error) {
        "42501" | READ_ONLY => StoreError::refused(
            store.clone(),
            "does not let this user make the tables: migrate as one who may create in the schema, or run what \
             `PostgresStore::schema` gives",
        )
        .with_source(error),
        _ => match Failure::from(error) {
            Failure::Broken(error) => StoreError::lost(store.clone(), "was lost during the migration; migrate again")
                .with_source(error),
            failure => failure.explain(store),
        },
    }
}

/// What is said of tables of our names that are not ours.
pub(crate) fn foreign(store: &Text) -> StoreError {
    StoreError::refused(
        store.clone(),
        "has a table `idem_record` or `idem_schema` of another program: choose another schema (`schema=idem` in the URL)",
    )
}

/// What is said of tables that a newer version of the library has made.
pub(crate) fn newer(store: &Text, version: i32) -> StoreError {
    StoreError::refused(
        store.clone(),
        format!(
            "has version {version} of the tables, and this program knows {VERSION} at most: a newer idem-postgres has \
             migrated them; update this program"
        ),
    )
}

/// What is said where the tables are missing, or older.
pub(crate) fn unmade(store: &Text, version: Option<i32>) -> StoreError {
    let found = match version {
        None => "has no tables of idem yet".to_owned(),
        Some(version) => format!("has version {version} of the tables, and this program needs {VERSION}"),
    };
    StoreError::refused(
        store.clone(),
        format!(
            "{found}: run `PostgresStore::migrate(url)` once with a user who may create tables, or the statements of \
             `PostgresStore::schema()`; a service that may do so itself has `migrate=true` in its URL"
        ),
    )
}
