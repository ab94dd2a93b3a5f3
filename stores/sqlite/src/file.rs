//! One open file: what its handles, its writer and its watches share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use idem_runtime::store::{Answer, Asked, Pending, Record, Reply, Request, StoreError, protocol};
use idem_runtime::{Now, Text, Token};
use rusqlite::Connection;

use crate::clock::Clock;
use crate::failure::Failure;
use crate::options::{self, SqliteStoreBuilder};
use crate::queue::{Job, Queue, Waiting};
use crate::readers::{Reader, Readers};
use crate::recent::Recent;
use crate::watch::Watches;
use crate::writer::Writer;
use crate::{busy, connect, overdue, records, walk};

/// One open file.
#[derive(Debug)]
pub(crate) struct File {
    /// How errors call it.
    pub(crate) name: Text,
    pub(crate) clock: Clock,
    pub(crate) queue: Queue,
    pub(crate) watches: Watches,
    readers: Readers,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    process: u32,
    /// How long a request may take.
    pub(crate) time_limit: Duration,
    /// Whether somebody looks that requests are answered in time.
    pub(crate) looked_after: AtomicBool,
    /// When a reader last saw that the file is the one that was opened, by the leases' clock.
    seen: AtomicU64,
}

/// How long readers trust that the file is still the one that was opened, in microseconds: asking costs as much as
/// half of their reading. The writer asks every time.
const TRUST: u64 = 10_000;

impl File {
    /// Opens the file; gives it and the connection that writes.
    pub(crate) fn open(builder: &SqliteStoreBuilder) -> Result<(File, Connection), StoreError> {
        let name = &options::name(&builder.path, "");
        let refuse = |message: String| StoreError::refused(name.clone(), message);
        builder.check().map_err(refuse)?;
        // The program may change its folder later.
        let path = std::path::absolute(&builder.path)
            .map_err(|error| refuse("lies in a folder that is not known".into()).with_source(error))?;
        let clock = Clock::open().map_err(|cause| {
            refuse(format!(
                "cannot measure leases without the number of this boot: make /proc readable ({cause})"
            ))
        })?;
        let until = busy::deadline(builder.time_limit);
        let connection = connect::writer(&path, builder.synchronous, name, until)?;
        let file = File {
            name: name.clone(),
            clock,
            queue: Queue::default(),
            watches: Watches::default(),
            readers: Readers::new(path.clone()),
            identity: identity(&path),
            path,
            process: std::process::id(),
            time_limit: builder.time_limit,
            looked_after: AtomicBool::new(false),
            seen: AtomicU64::new(0),
        };
        Ok((file, connection))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is still the process and the file that were opened.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.check_process()?;
        if self.identity == identity(&self.path) { Ok(()) } else { Err(Failure::Moved) }
    }

    fn check_process(&self) -> Result<(), Failure> {
        if self.process == std::process::id() { Ok(()) } else { Err(Failure::Forked) }
    }

    /// See [`Open::read`].
    fn read(&self, recent: &Recent, namespace: &str, request: &Request) -> Option<Answer> {
        // Whatever fails here is asked of the writer, which tries again and says what is wrong.
        let reply = match request {
            Request::Claim(claim) => self.duplicate(recent, namespace, claim.token, request).ok()??,
            Request::Get { token } => {
                let record = self.look(namespace, *token).ok()?;
                Reply::Record(record.map(Arc::new))
            }
            Request::List(query) => {
                let now = self.clock.now();
                let reader = self.reader(&now).ok()?;
                Reply::Page(walk::list(&reader, namespace, query, &now).ok()?)
            }
            _ => return None,
        };
        Some(Ok(reply))
    }

    /// The answer to a claim that changes nothing.
    fn duplicate(
        &self,
        recent: &Recent,
        namespace: &str,
        token: Token,
        claim: &Request,
    ) -> Result<Option<Reply>, Failure> {
        let now = self.clock.now();
        self.trust(&now)?;
        let read = || Ok::<_, Failure>(records::find(&*self.readers.get()?, namespace, token, &now)?.record);
        let found = recent.get(&self.path, namespace, token, read)?;
        // What is remembered may have expired since.
        let Some(record) = found.filter(|record| !protocol::expired(&record.head, &now)) else {
            return Ok(None);
        };
        // No fence is needed where nothing changes.
        let decision = protocol::decide(Some(record.view()), claim, &now, || 0);
        Ok(match decision.change {
            protocol::Change::Nothing => Some(protocol::reply(decision.verdict, Some(&record))),
            _ => None,
        })
    }

    /// The record under a token, if there is one that has not expired.
    pub(crate) fn look(&self, namespace: &str, token: Token) -> Result<Option<Record>, Failure> {
        let now = self.clock.now();
        Ok(records::find(&*self.reader(&now)?, namespace, token, &now)?.record)
    }

    fn reader(&self, now: &Now) -> Result<Reader<'_>, Failure> {
        self.trust(now)?;
        Ok(self.readers.get()?)
    }

    /// Whether this is still the process that has opened it and, as far as is known, the file. Before anything that another
    /// thread may have had in its hands when this process was forked.
    fn trust(&self, now: &Now) -> Result<(), Failure> {
        if now.lease.micros.abs_diff(self.seen.load(Ordering::Relaxed)) > TRUST {
            self.check()?;
            self.seen.store(now.lease.micros, Ordering::Relaxed);
            return Ok(());
        }
        self.check_process()
    }

    /// Hands a request to the writer.
    pub(crate) fn write(self: &Arc<Self>, namespace: &Text, request: Request) -> Asked {
        let (responder, pending) = Pending::channel(self.name.clone());
        // A forked child has no writer.
        if let Err(failure) = self.check_process() {
            return Asked::Now(Err(failure.explain(&self.name)));
        }
        let until = busy::deadline(self.time_limit);
        let job = Job { namespace: namespace.clone(), request, until, waiting: Waiting::new(responder) };
        if !self.queue.push(job) {
            return Asked::Now(Err(StoreError::refused(
                self.name.clone(),
                "has no writer any more: it ended by a fault of its own; open the store again",
            )));
        }
        overdue::look_after(self);
        Asked::Later(pending)
    }
}

/// What the handles of a file hold together: when the last of them goes, the writer ends.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) file: Arc<File>,
    recent: Recent,
}

impl Open {
    /// Starts the writer.
    pub(crate) fn start(file: File, connection: Connection) -> Result<Open, StoreError> {
        let open = Open { file: Arc::new(file), recent: Recent::default() };
        let writer = Writer::new(Arc::clone(&open.file), connection);
        match thread::Builder::new().name("idem-sqlite".into()).spawn(move || writer.run()) {
            Ok(_) => Ok(open),
            Err(error) => {
                Err(StoreError::unavailable(open.file.name.clone(), "could not start the thread that writes")
                    .with_source(error))
            }
        }
    }

    /// Answers a request on this thread, if that needs no change and the file can be read right now.
    pub(crate) fn read(&self, namespace: &str, request: &Request) -> Option<Answer> {
        self.file.read(&self.recent, namespace, request)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.file.check_process().is_ok() {
            // The writer closes last: the last connection tidies the log away, and a reading one cannot.
            self.file.readers.close();
            self.recent.close();
            self.file.queue.close();
        } else {
            self.file.readers.abandon();
            self.recent.abandon();
        }
    }
}

/// Which file stands under a path: its device and its number there.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Where an open file can be neither removed nor replaced.
#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use idem_runtime::store::{Claim, Fault};

    use super::*;

    #[test]
    fn a_forked_child_is_told_to_start_another_program() {
        let folder = tempfile::tempdir().unwrap();
        let builder = SqliteStoreBuilder::new(folder.path().join("a.db"));
        let (mut file, _connection) = File::open(&builder).unwrap();
        // As if another process had opened it.
        file.process = 0;
        let file = Arc::new(file);
        let claim = Request::Claim(Arc::new(Claim::default()));
        assert!(file.read(&Recent::default(), "", &claim).is_none());
        // Also where the file was looked at a moment ago.
        let now = file.clock.now();
        file.seen.store(now.lease.micros, Ordering::Relaxed);
        assert!(matches!(file.trust(&now), Err(Failure::Forked)));
        match file.write(&"".into(), claim) {
            Asked::Now(Err(error)) => {
                assert_eq!(error.fault(), Fault::Refused);
                assert!(error.to_string().contains("let the child start another program"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    #[test]
    fn what_stands_under_the_path_instead_of_the_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (file, connection) = File::open(&SqliteStoreBuilder::new(path.clone())).unwrap();
        let get = Request::Get { token: Token::default() };
        assert!(file.read(&Recent::default(), "", &get).is_some());
        drop(connection);
        std::fs::rename(&path, folder.path().join("b.db")).unwrap();
        let (_other, _connection) = File::open(&SqliteStoreBuilder::new(path)).unwrap();
        // As if it had last been looked at long ago.
        file.seen.store(0, Ordering::Relaxed);
        assert!(file.read(&Recent::default(), "", &get).is_none());
    }
}
