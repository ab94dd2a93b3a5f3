//! The ledger: a file for each process, to which every event is appended with one write.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::event::{Event, Moment, What};
use crate::Token;

/// Where a process writes what happens in it.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    process: u32,
    next: AtomicU64,
    closed: AtomicBool,
}

const ENDING: &str = "jsonl";

impl Ledger {
    pub(super) fn open(folder: &Path, process: u32) -> io::Result<Ledger> {
        let path = folder.join(format!("{process}.{ENDING}"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Ledger { file, process, next: AtomicU64::new(1), closed: AtomicBool::new(false) })
    }

    pub(super) fn process(&self) -> u32 {
        self.process
    }

    /// A number that this process has not given before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes what happens now; says whether that was done.
    ///
    /// # Panics
    /// If it cannot be written: what is not in the ledger cannot be checked.
    pub(super) fn write(&self, token: Option<Token>, what: What) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        self.append(Moment::now(), self.process, token, what);
        true
    }

    /// Writes what began at this moment, and turns out to be worth writing now.
    pub(super) fn write_at(&self, at: Moment, token: Token, what: What) {
        if !self.closed.load(Ordering::Acquire) {
            self.append(at, self.process, Some(token), what);
        }
    }

    /// Writes down what is done to another process.
    pub(super) fn note(&self, process: u32, what: What) {
        self.append(Moment::now(), process, None, what);
    }

    fn append(&self, at: Moment, process: u32, token: Option<Token>, what: What) {
        let token = token.map(short).unwrap_or_default();
        let event = Event { at, process, token, what };
        let mut line = serde_json::to_vec(&event).expect("an event is plain data");
        line.push(b'\n');
        // One write, so that lines of threads do not mix; and whatever a kill leaves has no end of line.
        (&self.file).write_all(&line).expect("the ledger takes a line");
    }

    /// Nothing is written any more: the process that this stands for is dead.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// How tokens are called in the ledger.
pub(super) fn short(token: Token) -> String {
    let mut text = token.to_string();
    text.truncate(16);
    text
}

/// Reads what the processes have written, as it grows.
#[derive(Debug)]
pub(super) struct Reader {
    folder: PathBuf,
    read: BTreeMap<PathBuf, u64>,
}

impl Reader {
    pub(super) fn new(folder: &Path) -> Reader {
        Reader { folder: folder.to_owned(), read: BTreeMap::new() }
    }

    /// The whole lines that have been added since the last time.
    ///
    /// # Errors
    /// If the folder cannot be read, or a line in it is none of a ledger.
    pub(super) fn more(&mut self) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        for entry in self.folder.read_dir()? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            let from = self.read.entry(path.clone()).or_default();
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(*from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            // What a kill has cut has no end of line.
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            *from += whole as u64;
            for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let event = serde_json::from_slice(line).map_err(|error| {
                    let line = String::from_utf8_lossy(line);
                    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}: {line}", path.display()))
                })?;
                events.push(event);
            }
        }
        Ok(events)
    }
}
