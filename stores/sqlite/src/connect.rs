//! How a file becomes a connection, and what is refused on the way.

use std::path::{Path, PathBuf};
use std::time::Instant;

use idem_runtime::Text;
use idem_runtime::store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use crate::failure::{Failure, READ_ONLY, newer};
use crate::options::Synchronous;
use crate::schema::{self, Unfit};
use crate::{busy, network};

/// How many pages the log takes before it is brought back into the file (16 MiB): the more, the less often a page is
/// written twice.
const LOG: i64 = 4_000;
/// What is left of a log that has grown larger, while something was being read for long.
const LIMIT: i64 = 64 << 20;
/// How much of the file the writing connection keeps in memory, in KiB.
const CACHE: i64 = 16_000;
/// How many prepared statements a connection keeps: more than there are.
const STATEMENTS: usize = 32;

/// The connection that writes. Makes the file if it is not there, and brings its tables to the present version.
pub(crate) fn writer(
    path: &Path,
    synchronous: Synchronous,
    name: &Text,
    until: Instant,
) -> Result<Connection, StoreError> {
    let refuse = |message: String| StoreError::refused(name.clone(), message);
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(refuse(format!(
            "cannot be opened: there is no folder {}; make it first",
            folder.display()
        )));
    }
    if path.is_dir() {
        return Err(refuse("is a folder: give the path of a file in it".into()));
    }
    if let Some(kind) = network::kind_of(&folder) {
        return Err(refuse(format!(
            "lies on a network file system ({kind}), where SQLite's locks do not hold: \
             use a local disk, or a store made for several machines"
        )));
    }
    let said = |error| match error {
        Unfit::Sqlite(error) => opening(error, &folder, name),
        Unfit::Foreign => refuse("is another program's SQLite database: give another path".into()),
        Unfit::Newer(version) => refuse(newer(version)),
    };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags).map_err(|error| opening(error, &folder, name))?;

    // Another program's file is not even brought to WAL.
    let version = retry(until, || schema::version(&connection)).map_err(said)?;
    if connection.is_readonly(MAIN_DB).map_err(|error| opening(error, &folder, name))? {
        return Err(refuse(READ_ONLY.into()));
    }
    let journal = busy::retry(until, || {
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
    });
    match journal.map_err(|error| opening(error, &folder, name))?.as_str() {
        "wal" => {}
        other => {
            return Err(refuse(format!(
                "cannot keep a write-ahead log (its journal mode stays {other}): its file system has no shared memory"
            )));
        }
    }
    set_up(&connection, synchronous).map_err(|error| opening(error, &folder, name))?;
    if version < schema::VERSION {
        schema::migrate(&connection, until).map_err(said)?;
    }
    Ok(connection)
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Where SQLite keeps two files beside the file.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else statements are prepared again when other values are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn set_up(connection: &Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", LOG)?;
    connection.pragma_update(None, "journal_size_limit", LIMIT)?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    match synchronous {
        Synchronous::Full => {
            connection.pragma_update(None, "synchronous", "FULL")?;
            // On macOS an ordinary sync leaves the data in the disk's own memory. Elsewhere this says nothing.
            connection.pragma_update(None, "fullfsync", true)?;
            connection.pragma_update(None, "checkpoint_fullfsync", true)
        }
        Synchronous::Normal => connection.pragma_update(None, "synchronous", "NORMAL"),
    }
}

fn retry<T>(until: Instant, mut run: impl FnMut() -> Result<T, Unfit>) -> Result<T, Unfit> {
    loop {
        match run() {
            Err(Unfit::Sqlite(error)) if busy::is_busy(&error) && Instant::now() < until => busy::pause(),
            result => return result,
        }
    }
}

/// What is said when the file cannot even be opened.
fn opening(error: rusqlite::Error, folder: &Path, name: &Text) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => StoreError::refused(
            name.clone(),
            format!(
                "cannot be opened: give this process permission to read and write the file and its folder {}",
                folder.display()
            ),
        )
        .with_source(error),
        _ => Failure::Sqlite(error).explain(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writing_connection_is_set_as_its_durability_class_says() {
        let folder = tempfile::tempdir().unwrap();
        for (synchronous, number) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
            let path = folder.path().join("a.db");
            let connection = writer(&path, synchronous, &"sqlite:a.db".into(), busy::deadline(LONG)).unwrap();
            let read = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(read("synchronous"), number);
            assert_eq!(read("wal_autocheckpoint"), LOG);
            assert_eq!(read("journal_size_limit"), 67_108_864);
            assert_eq!(read("cache_size"), -CACHE);
        }
    }

    const LONG: std::time::Duration = std::time::Duration::from_secs(60);
}
