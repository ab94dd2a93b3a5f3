//! The tables, and how a file comes to have them.

use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::busy;

/// What an SQLite file says it belongs to: "idem".
const APPLICATION: i64 = 0x6964_656d;

/// The version of the tables that this program writes: how many steps it knows.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// What brings the tables from one version to the next. A step that has been released never changes.
///
/// The record is the codec's; beside it stand the columns that are searched. `expires`, `lease_end` and
/// `first_at` are microseconds, an `expires` of 2^63 - 1 is never. `fence` outlives records.
///
/// Every page that a commit changes is written to the log, so indices are few: a claim and its completion change
/// one place of the table and, in `record_expires`, places that are neighbours as a rule (an index by the state, of
/// which they would be the two ends, made a call a tenth slower). Interrupted records are what people look for; of
/// running ones there is no index, which two of three commits would have to write.
const STEPS: &[&str] = &[
    "
    CREATE TABLE record (
        namespace TEXT NOT NULL,
        token BLOB NOT NULL,
        state INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        lease_run INTEGER NOT NULL,
        lease_end INTEGER NOT NULL,
        first_at INTEGER NOT NULL,
        function TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (namespace, token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX record_state ON record (state, expires);
    CREATE TABLE fence (only INTEGER PRIMARY KEY CHECK (only = 1), last INTEGER NOT NULL) STRICT;
    INSERT INTO fence VALUES (1, 0);
",
    "
    DROP INDEX record_state;
    CREATE INDEX record_expires ON record (expires);
    CREATE INDEX record_interrupted ON record (namespace, token) WHERE state = 2;
",
];

/// Why a file is not used.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// It holds something else.
    Foreign,
    /// A newer version of the library wrote it.
    Newer(i64),
}

impl From<rusqlite::Error> for Unfit {
    fn from(error: rusqlite::Error) -> Self {
        Unfit::Sqlite(error)
    }
}

/// Which version of the tables a file of ours has; 0 for an empty one.
pub(crate) fn version(connection: &Connection) -> Result<i64, Unfit> {
    // One look at all of it: another process may be making the tables.
    let _look = connection.unchecked_transaction()?;
    version_of(connection, STEPS)
}

fn version_of(connection: &Connection, steps: &[&str]) -> Result<i64, Unfit> {
    let read = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = read("PRAGMA user_version")?;
    match read("PRAGMA application_id")? {
        APPLICATION if version > steps.len() as i64 => Err(Unfit::Newer(version)),
        APPLICATION => Ok(version),
        0 if version == 0 && read("SELECT count(*) FROM sqlite_schema")? == 0 => Ok(0),
        _ => Err(Unfit::Foreign),
    }
}

/// Brings the tables to the present version. Several processes may try at once: one does it.
pub(crate) fn migrate(connection: &Connection, until: Instant) -> Result<(), Unfit> {
    migrate_with(connection, STEPS, until)
}

fn migrate_with(connection: &Connection, steps: &[&str], until: Instant) -> Result<(), Unfit> {
    let transaction =
        busy::retry(until, || Transaction::new_unchecked(connection, TransactionBehavior::Immediate))?;
    let found = version_of(&transaction, steps)?;
    for step in steps.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: &str = "ALTER TABLE record ADD COLUMN note TEXT; CREATE INDEX record_note ON record (note);";

    fn migrate_now(connection: &Connection, steps: &[&str]) -> Result<(), Unfit> {
        migrate_with(connection, steps, Instant::now())
    }

    #[test]
    fn a_file_is_brought_from_any_version_to_the_last_and_keeps_its_records() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("a.db")).unwrap();
        assert_eq!(version(&connection).unwrap(), 0);
        migrate_now(&connection, STEPS).unwrap();
        connection.execute("INSERT INTO record VALUES ('', x'01', 3, 9, 0, 0, 1, 'f', x'02')", []).unwrap();

        let steps = [STEPS, &[NEXT]].concat();
        migrate_now(&connection, &steps).unwrap();
        migrate_now(&connection, &steps).unwrap();
        assert_eq!(version_of(&connection, &steps).unwrap(), VERSION + 1);
        let kept: (Vec<u8>, Option<String>) = connection
            .query_row("SELECT data, note FROM record", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(kept, (vec![2], None));

        // The program of before does not touch it.
        assert!(matches!(migrate_now(&connection, STEPS), Err(Unfit::Newer(v)) if v == VERSION + 1));
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_now(&connection, STEPS).unwrap();
        let steps = [STEPS, &[NEXT, "CREATE TABLE record (again INTEGER)"]].concat();
        assert!(matches!(migrate_now(&connection, &steps), Err(Unfit::Sqlite(_))));
        assert_eq!(version(&connection).unwrap(), VERSION);
        assert!(connection.prepare("SELECT note FROM record").is_err());
    }

    #[test]
    fn what_belongs_to_others_is_left_alone() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE orders (id INTEGER)").unwrap();
        assert!(matches!(migrate_now(&connection, STEPS), Err(Unfit::Foreign)));

        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA application_id = 7").unwrap();
        assert!(matches!(migrate_now(&connection, STEPS), Err(Unfit::Foreign)));
    }
}
