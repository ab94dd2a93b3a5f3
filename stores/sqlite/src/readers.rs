//! The connections on which duplicates are read, on the threads of their callers.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::connect;

/// A few connections that only read, opened when they are first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    most: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    /// How many there are, in use or not.
    open: usize,
    /// How many threads wait for one.
    waiting: usize,
    /// The store was closed: what comes back is not kept.
    closed: bool,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        // A read takes microseconds: more connections than processors would only wait for each other.
        let most = std::thread::available_parallelism().map_or(4, usize::from).clamp(2, 16);
        Readers { path, most, state: Mutex::default(), returned: Condvar::new() }
    }

    /// A connection, for as long as the caller keeps it.
    pub(crate) fn get(&self) -> rusqlite::Result<Reader<'_>> {
        let mut state = self.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(Reader { readers: self, connection: Some(connection) });
            }
            if state.open < self.most {
                state.open += 1;
                drop(state);
                let mut reader = Reader { readers: self, connection: None };
                // Counted out again by `drop` if it fails.
                reader.connection = Some(connect::reader(&self.path)?);
                return Ok(reader);
            }
            state.waiting += 1;
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Closes what is idle, and what comes back.
    pub(crate) fn close(&self) {
        let idle = {
            let mut state = self.lock();
            state.closed = true;
            state.open -= state.idle.len();
            std::mem::take(&mut state.idle)
        };
        drop(idle);
    }

    /// In a forked child: not even closed, for SQLite would take the parent's locks for its own.
    pub(crate) fn abandon(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            std::mem::take(&mut state.idle).into_iter().for_each(std::mem::forget);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back when this is dropped.
pub(crate) struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Deref for Reader<'_> {
    type Target = Connection;
    #[inline]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("there from `get` until `drop`")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.lock();
        match self.connection.take() {
            Some(connection) if !state.closed => state.idle.push(connection),
            _ => state.open -= 1,
        }
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.readers.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Readers;

    #[test]
    fn what_cannot_be_opened_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let readers = Readers::new(folder.path().join("missing.db"));
        for _ in 0..=readers.most {
            assert!(readers.get().is_err());
        }
        assert_eq!(readers.lock().open, 0);
    }
}
