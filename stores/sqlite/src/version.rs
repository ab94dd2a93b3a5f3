//! Which version of a file is there now, without a lock and without a call of the system.
//!
//! SQLite's connections to a file with a write-ahead log share memory, which begins with the *wal-index header*, twice: how
//! far the log goes that counts, a checksum over all of that, its salts, and a counter of changes
//! (<https://sqlite.org/walformat.html>, section 2.1). Every commit, of whichever process, writes both before it is
//! acknowledged, first the second one. Whoever finds both as they were has missed nothing.
#![allow(unsafe_code, reason = "shared memory: a duplicate costs a third of what SQLite's locks make of it")]

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use rusqlite::{Connection, ffi};

use crate::connect;

/// Both headers: 48 bytes each.
const WORDS: usize = 24;
/// In pieces of so many bytes SQLite maps this memory (`WALINDEX_PGSZ`).
const PIECE: c_int = 32 * 1024;

/// One version of a file. Two that are equal have the same records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version([u32; WORDS]);

/// Where it stands.
#[derive(Debug)]
pub(crate) struct Versions {
    header: NonNull<AtomicU32>,
    /// As long as it is open, and has been read with, the memory stays where it is. Nothing more is asked of it.
    #[expect(dead_code, reason = "closed when this is dropped")]
    connection: Mutex<Connection>,
}

// SAFETY: the header is memory that every process with the file changes while others read; it is only read here, as
// atomic words. It lives as long as `connection`, which can be sent, and is shared behind a lock.
unsafe impl Send for Versions {}
// SAFETY: see above.
unsafe impl Sync for Versions {}

impl Versions {
    /// None where SQLite gives no such memory: then every duplicate is read from the file.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let connection = connect::reader(path).ok()?;
        // The first read opens the log, and the memory.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).ok()?;
        let header = header(&connection)?;
        Some(Versions { header, connection: Mutex::new(connection) })
    }

    /// The version that is there now: with everything whose end was known before.
    pub(crate) fn now(&self) -> Version {
        // What others have said of their commits was said before this is read.
        fence(Ordering::SeqCst);
        // SAFETY: `header` found `WORDS` aligned words there; they stay as long as the connection in `self`. Others change
        // them meanwhile, in other processes too, which atomic words allow. The words may belong to two versions then: those
        // are no version that was there before, in which both headers are the same.
        let words = unsafe { std::slice::from_raw_parts(self.header.as_ptr(), WORDS) };
        let version = Version(std::array::from_fn(|at| words[at].load(Ordering::Relaxed)));
        fence(Ordering::SeqCst);
        version
    }
}

impl Version {
    /// Whether nobody was about to change it.
    pub(crate) fn is_whole(&self) -> bool {
        let (first, second) = self.0.split_at(WORDS / 2);
        first == second
    }
}

/// Where SQLite has mapped the headers for this connection.
fn header(connection: &Connection) -> Option<NonNull<AtomicU32>> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    let mut mapped: *mut c_void = ptr::null_mut();
    // SAFETY: the connection is open, and in nobody else's hands. `SQLITE_FCNTL_FILE_POINTER` writes a pointer to its file, and
    // nothing else, there (<https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html>). The file lives as long as the
    // connection, and has methods if it is open; `xShmMap` is among them from version 2 on, and may be left out
    // (<https://sqlite.org/c3ref/io_methods.html>). It is called as SQLite's own log does, for the first piece and without
    // making it: `mapped` is null, or points to `PIECE` bytes that stay mapped until the connection lets go of its log,
    // which it does when it is closed.
    unsafe {
        let name = c"main".as_ptr();
        let found = ffi::sqlite3_file_control(
            connection.handle(),
            name,
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        );
        if found != ffi::SQLITE_OK || file.is_null() || (*file).pMethods.is_null() {
            return None;
        }
        let methods = (*file).pMethods;
        if (*methods).iVersion < 2 {
            return None;
        }
        let map = (*methods).xShmMap?;
        if map(file, 0, PIECE, 0, (&raw mut mapped).cast()) != ffi::SQLITE_OK {
            return None;
        }
    }
    NonNull::new(mapped.cast::<AtomicU32>()).filter(|header| header.is_aligned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, std::path::PathBuf, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.execute_batch("CREATE TABLE a (a); INSERT INTO a VALUES (0)").unwrap();
        (folder, path, writer)
    }

    #[test]
    fn every_commit_makes_another_version_and_nothing_else_does() {
        let (_folder, path, writer) = file();
        let versions = Versions::open(&path).unwrap();
        let other = Connection::open(&path).unwrap();
        let mut seen = vec![versions.now()];
        let mut is_new = |what: &str| {
            let version = versions.now();
            assert!(version.is_whole() && !seen.contains(&version), "{what}");
            seen.push(version);
        };
        for _ in 0..3 {
            for connection in [&writer, &other] {
                connection.execute("UPDATE a SET a = a + 1", []).unwrap();
                is_new("a commit");
            }
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            writer.execute("UPDATE a SET a = a + 1", []).unwrap();
            is_new("the first commit of a new log");
            // The same again, and the log as long as it was.
            other.execute("UPDATE a SET a = a - 1", []).unwrap();
            is_new("what undoes a commit");
        }
        let version = versions.now();
        writer.execute_batch("BEGIN IMMEDIATE; UPDATE a SET a = 7; ROLLBACK").unwrap();
        assert_eq!(other.query_row("SELECT a FROM a", [], |row| row.get::<_, i64>(0)), Ok(6));
        writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        assert_eq!(versions.now(), version, "nothing was changed");
    }

    #[test]
    fn where_there_is_no_log_there_are_no_versions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert!(Versions::open(&path).is_none(), "no file");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE a (a)").unwrap();
        assert!(Versions::open(&path).is_none());
    }
}
