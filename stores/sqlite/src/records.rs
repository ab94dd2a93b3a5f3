//! One record in the file, and what the file says of itself.

use idem_runtime::store::{Head, Record, State, protocol};
use idem_runtime::{Now, Token};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use crate::failure::{Failure, unreadable};

/// The record under a token, and the row that it was read from.
#[derive(Debug)]
pub(crate) struct Found {
    /// The record; none if it has expired.
    pub(crate) record: Option<Record>,
    /// Whether there is a row.
    pub(crate) row: bool,
}

/// Reads the record under a token.
pub(crate) fn find(
    connection: &Connection,
    namespace: &str,
    token: Token,
    now: &Now,
) -> Result<Found, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT data FROM record WHERE namespace = ?1 AND token = ?2")?;
    let mut rows = statement.query(params![namespace, token.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(Found { record: None, row: false });
    };
    let record = decode(token, row.get_ref(0)?)?;
    let record = Some(record).filter(|record| !protocol::expired(&record.head, now));
    Ok(Found { record, row: true })
}

fn decode(token: Token, data: ValueRef<'_>) -> Result<Record, Failure> {
    match data {
        ValueRef::Blob(data) => Record::decode(data).map_err(|error| unreadable(token, error)),
        _ => Err(Failure::Damaged(token, "it is not bytes".into())),
    }
}

/// Writes a record, in place of the row that is there, if one is.
pub(crate) fn put(
    connection: &Connection,
    namespace: &str,
    token: Token,
    record: &Record,
    row: bool,
    buffer: &mut Vec<u8>,
) -> Result<(), Failure> {
    const INSERT: &str = "INSERT INTO record (namespace, token, state, expires, lease_run, lease_end, first_at, \
                          function, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    const UPDATE: &str = "UPDATE record SET state = ?3, expires = ?4, lease_run = ?5, lease_end = ?6, first_at = ?7, \
                          function = ?8, data = ?9 WHERE namespace = ?1 AND token = ?2";
    buffer.clear();
    record.encode(buffer);
    let Head { state, expires, lease, first_at, .. } = record.head;
    let mut statement = connection.prepare_cached(if row { UPDATE } else { INSERT })?;
    statement.execute(params![
        namespace,
        token.as_bytes(),
        number(state),
        micros(expires.as_micros()),
        bits(lease.run),
        micros(lease.micros),
        micros(first_at.as_micros()),
        &*record.function,
        &*buffer,
    ])?;
    Ok(())
}

/// Removes the row under a token.
pub(crate) fn remove(connection: &Connection, namespace: &str, token: Token) -> Result<(), Failure> {
    let mut statement =
        connection.prepare_cached("DELETE FROM record WHERE namespace = ?1 AND token = ?2")?;
    statement.execute(params![namespace, token.as_bytes()])?;
    Ok(())
}

/// The last fence that was given to an attempt.
pub(crate) fn fence(connection: &Connection) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached("SELECT last FROM fence")?;
    let last: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(last.unsigned_abs())
}

/// Keeps the last fence that was given to an attempt.
pub(crate) fn set_fence(connection: &Connection, last: u64) -> Result<(), Failure> {
    connection.prepare_cached("UPDATE fence SET last = ?1")?.execute([micros(last)])?;
    Ok(())
}

/// Which version of the tables the file has now.
pub(crate) fn version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?)
}

/// A number that another connection's commit changes.
pub(crate) fn data_version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

/// How a state is written; never changes.
pub(crate) fn number(state: State) -> i64 {
    match state {
        State::Running => 0,
        State::Free => 1,
        State::Interrupted => 2,
        State::Done => 3,
        _ => 4,
    }
}

/// What SQLite cannot hold is never reached: 292,000 years.
pub(crate) fn micros(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

pub(crate) fn bits(run: u64) -> i64 {
    i64::from_ne_bytes(run.to_ne_bytes())
}
